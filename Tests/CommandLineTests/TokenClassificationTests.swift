import Foundation
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import Testing

/// Classifiers of tokens on the command line.
@Suite struct TokenClassificationTests {
  private let model = Fixtures.path("sentences/mean-normalized")

  /// Words with tags, once as records and once as lines.
  private func data(_ folder: String) throws -> (records: String, lines: String) {
    let texts: [[(String, String)]] = [
      [("block", "O"), ("my", "O"), ("card", "B-THING")],
      [("lost", "O"), ("package", "B-THING"), ("number", "I-THING")],
      [("hello", "O"), ("there", "O")], [("money", "B-THING"), ("arrived", "O")],
    ]
    let records = texts.map { text in
      let (words, tags) = (text.map(\.0), text.map(\.1))
      let object: JSONObject = [
        "tokens": .array(words.map { .string($0) }), "ner_tags": .array(tags.map { .string($0) }),
      ]
      return String(decoding: JSONValue.object(object).encodedBytes(), as: UTF8.self) + "\n"
    }
    let lines = texts.map { text in text.map { "\($0.0) \($0.1)\n" }.joined() + "\n" }
    try Fixtures.write(records.joined(), to: folder + "/data.jsonl")
    try Fixtures.write(lines.joined(), to: folder + "/data.conll")
    return (folder + "/data.jsonl", folder + "/data.conll")
  }

  private func train(_ data: String, _ output: String, _ options: String...) throws -> JSONValue {
    let outcome = try Command.start(
      ["train", "--task", "token-classification", "--model", model, "--data", data]
        + ["--output", output, "--epochs", "100", "--batch", "2", "--learning-rate", "0.01"]
        + ["--json"] + options
    ).outcome()
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try outcome.json()
  }

  @Test func trainedAndUsed() throws {
    let folder = try Command.temporaryFolder()
    let data = try data(folder)
    let adapter = folder + "/names"
    let result = try train(
      data.records, adapter, "--eval-data", data.lines, "--head-learning-rate", "0.02")
    #expect(try #require(result["eval_f1_before"]?.doubleValue) < 1)
    #expect(result["eval_f1_after"]?.doubleValue == 1)
    #expect(result["eval_accuracy_after"]?.doubleValue == 1)
    #expect(try #require(result["eval_loss_after"]?.doubleValue) < 0.2)
    let configuration = try PEFTAdapterFile(path: adapter).configuration
    #expect(configuration.taskType == "TOKEN_CLS" && configuration.savedModules == ["classifier"])
    // The same bits from lines as from records.
    _ = try train(data.lines, folder + "/lines", "--head-learning-rate", "0.02")
    let weights = "/adapter_model.safetensors"
    #expect(try Fixtures.haveSameTensors(adapter + weights, folder + "/lines" + weights))

    func classify(_ options: String...) throws -> JSONValue {
      let outcome = try Command.start(["classify"] + options + ["--json"]).outcome()
      #expect(outcome.status == 0, "\(outcome.errors)")
      return try outcome.json()
    }
    let found = try classify(
      "--model", model, "--adapter", adapter, "--data", data.records, "--logits")
    #expect(found["accuracy"]?.doubleValue == 1 && found["f1"]?.doubleValue == 1)
    let documents = try #require(found["documents"]?.arrayValue)
    let first = try #require(documents[1]["tokens"]?.arrayValue)
    #expect(first.map { $0["token"]?.stringValue } == ["lost", "package", "number"])
    #expect(first.map { $0["label"]?.stringValue } == ["O", "B-THING", "I-THING"])
    #expect((0.5...1).contains(try #require(first[0]["score"]?.doubleValue)))
    #expect(first[0]["logits"]?.arrayValue?.count == 3)
    // Batches by length change nothing, nor does merging.
    _ = try Command.succeed(
      "merge", "--model", model, "--adapter", adapter, "--output", folder + "/merged")
    for other in [
      try classify(
        "--model", model, "--adapter", adapter, "--data", data.records, "--batch", "1", "--logits"),
      try classify("--model", folder + "/merged", "--data", data.lines, "--logits"),
    ] {
      #expect(other["f1"]?.doubleValue == 1)
      let others = try #require(other["documents"]?.arrayValue)
      #expect(try largestDifference(documents, others) < 1e-4)
    }
    #expect(
      try Command.succeed("inspect", folder + "/merged").output
        .contains("head of 3 labels for each token: B-THING, I-THING, O"))
    let inspected = try Command.succeed("inspect", folder + "/merged", "--json").json()
    #expect(inspected["configuration"]?["labelled"]?.stringValue == "tokens")
    // Trained on, from where it was.
    let more = try train(
      data.records, folder + "/more", "--init-adapter", adapter, "--eval-data", data.records)
    #expect(more["eval_f1_before"]?.doubleValue == 1)
    // Vectors are those of the encoder that it changed.
    let vector = try Command.succeed(
      "embed", "--model", model, "--adapter", adapter, "--text", "hello"
    ).output
    #expect(vector.split(separator: " ").count == 24)
  }

  private func largestDifference(_ a: [JSONValue], _ b: [JSONValue]) throws -> Double {
    func logits(_ documents: [JSONValue]) throws -> [Double] {
      try documents.flatMap { document in
        try #require(document["tokens"]?.arrayValue).flatMap {
          $0["logits"]?.arrayValue?.compactMap(\.doubleValue) ?? []
        }
      }
    }
    let (a, b) = (try logits(a), try logits(b))
    #expect(a.count == b.count && !a.isEmpty)
    return zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
  }

  /// Ids are classified one and all, by a checkpoint of transformers and PEFT's adapter on it.
  @Test(arguments: [("logits", false), ("adapted", true)])
  func idsOfTransformersModels(name: String, isAdapted: Bool) throws {
    let path = Fixtures.path("tokens/distilbert")
    let file = try SafetensorsFile(path: path + "/expected.safetensors")
    let ids = try file.tensor(named: "ids"), expected = try file.tensor(named: name)
    let lengths = try file.tensor(named: "lengths").scalars(as: Int64.self).map { Int($0) }
    let list = lengths.indices.map { index in
      "["
        + ids[row: index].scalars(as: Int64.self).prefix(lengths[index]).map { "\($0)" }
        .joined(separator: ", ") + "]"
    }
    let place = try Command.temporaryFolder() + "/ids.json"
    try Fixtures.write("[" + list.joined(separator: ", ") + "]", to: place)
    let outcome = try Command.start(
      ["classify", "--model", path, "--ids", place, "--logits", "--json"]
        + (isAdapted ? ["--adapter", path + "/adapter"] : [])
    ).outcome()
    let documents = try #require(try outcome.json()["documents"]?.arrayValue)
    for (index, document) in documents.enumerated() {
      let tokens = try #require(document["tokens"]?.arrayValue)
      #expect(tokens.count == lengths[index])
      let row = expected[row: index].converted(to: .float32).scalars(as: Float.self)
      let found = tokens.flatMap { $0["logits"]?.arrayValue?.compactMap(\.doubleValue) ?? [] }
      #expect(found.count == 4 * tokens.count)
      #expect(zip(found, row).allSatisfy { abs($0 - Double($1)) < 1e-4 })
      #expect(tokens[0]["token"] == .null)
      #expect(
        tokens.map { $0["id"]?.intValue }
          == ids[row: index].scalars(as: Int64.self).prefix(tokens.count).map { Int($0) })
    }
  }

  /// A text is divided by the tokenizer alone; what has no token has no label.
  @Test func textsAndWordsWithoutTokens() throws {
    let folder = try Command.temporaryFolder()
    let adapter = folder + "/names"
    _ = try train(try data(folder).records, adapter)
    let text = try Command.succeed(
      "classify", "--model", model, "--adapter", adapter, "--text", "My card, blocks!"
    ).output.split(separator: "\n").map { String($0.prefix { $0 != " " }) }
    #expect(text == ["my", "card", ",", "block", "##s", "!"])
    try Fixtures.write(
      #"{"tokens": ["block", "my", "\u200b", "card"]}"# + "\n" + #"{"text": "my card"}"# + "\n",
      to: folder + "/mixed.jsonl")
    let found = try Command.succeed(
      "classify", "--model", model, "--adapter", adapter, "--data", folder + "/mixed.jsonl",
      "--logits", "--json"
    ).json()
    #expect(found["accuracy"] == nil && found["f1"] == nil)
    let words = try #require(found["documents"]?.arrayValue?[0]["tokens"]?.arrayValue)
    #expect(words.count == 4 && words[3]["label"]?.stringValue == "B-THING")
    for key in ["label", "score", "logits"] { #expect(words[2][key] == .null) }
    let plain = try Command.succeed(
      "classify", "--model", model, "--adapter", adapter, "--data", folder + "/mixed.jsonl"
    ).output
    #expect(plain.contains(#"\u{200B} without a label: it has no token"# + "\ncard B-THING ("))
    // Longer than the model's positions: cut, and said.
    let long = Array(repeating: "card", count: 60).map { "\"\($0)\"" }.joined(separator: ", ")
    let tags = Array(repeating: "\"O\"", count: 60).joined(separator: ", ")
    try Fixtures.write(
      "{\"tokens\": [\(long)], \"tags\": [\(tags)]}", to: folder + "/long.jsonl")
    let outcome = try Command.succeed(
      "classify", "--model", model, "--adapter", adapter, "--data", folder + "/long.jsonl",
      "--json")
    #expect(outcome.errors.contains("line 1 is longer than the model's 40 positions"))
    let cut = try #require(try outcome.json()["documents"]?.arrayValue?[0]["tokens"]?.arrayValue)
    #expect(cut.count == 60 && cut[37]["label"] != .null && cut[38]["label"] == .null)
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let folder = try Command.temporaryFolder()
    let data = try data(folder)
    let tagger = Fixtures.path("tokens/bert")
    func refuses(_ text: String, _ arguments: String...) throws {
      let outcome = try Command.start(arguments).outcome()
      #expect(outcome.status == 1 && outcome.output.isEmpty)
      #expect(outcome.errors.contains(text), "\(outcome.errors)")
    }
    func trains(_ text: String, _ model: String, _ data: String, _ more: String...) throws {
      let outcome = try Command.start(
        ["train", "--task", "token-classification", "--model", model, "--data", data, "--output"]
          + [folder + "/a"] + more
      ).outcome()
      #expect(outcome.status == 1 && outcome.output.isEmpty)
      #expect(outcome.errors.contains(text), "\(outcome.errors)")
    }
    try Fixtures.write(#"{"tokens": ["a", "b"], "tags": ["O"]}"#, to: folder + "/uneven.jsonl")
    try trains("line 1: 'tokens' has 2 elements, and 'tags' has 1", model, folder + "/uneven.jsonl")
    try Fixtures.write(#"{"tokens": ["a"], "tags": ["O"]}"#, to: folder + "/one.jsonl")
    try trains("all examples have the label 'O'", model, folder + "/one.jsonl")
    try Fixtures.write(#"{"tokens": ["a"], "tags": ["B-X"]}"#, to: folder + "/other.jsonl")
    try trains(
      "the label 'B-X' is not one of the model's 3", model, data.records, "--eval-data",
      folder + "/other.jsonl")
    try trains(
      "it is a classifier of sequences", Fixtures.path("encoders/bert-classifier"), data.records)
    try trains(
      "it has no classifier of tokens here", Fixtures.model("granite-v4"), data.records)
    try refuses(
      "train it by --task token-classification", "train", "--task", "classification", "--model",
      tagger, "--data", Fixtures.path("sentences/cls/texts.jsonl"), "--output", folder + "/a")
    #expect(!FileManager.default.fileExists(atPath: folder + "/a"))
    try refuses(
      "it is a classifier of tokens ('bert') and predicts no next tokens", "score", "--model",
      tagger, "--ids", Fixtures.sequences())
    try refuses(
      "predicts no next tokens", "generate", "--model", tagger, "--prompt", "a")
  }
}
