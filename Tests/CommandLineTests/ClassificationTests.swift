import Foundation
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import Testing

/// Classifiers and encoders of texts on the command line.
@Suite struct ClassificationTests {
  private let model = Fixtures.path("sentences/mean-normalized")
  private var data: String { model + "/texts.jsonl" }

  private func train(_ folder: String, _ options: String...) throws -> JSONValue {
    let outcome = try Command.start(
      ["train", "--task", "classification", "--model", model, "--data", data, "--output", folder]
        + ["--epochs", "30", "--batch", "4", "--learning-rate", "0.01", "--json"] + options
    ).outcome()
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try outcome.json()
  }

  @Test func trainedAndUsed() throws {
    let folder = try Command.temporaryFolder() + "/intents"
    let result = try train(folder, "--eval-data", data, "--head-learning-rate", "0.03")
    #expect(try #require(result["eval_accuracy_before"]?.doubleValue) < 1)
    #expect(result["eval_accuracy_after"]?.doubleValue == 1)
    #expect(try #require(result["eval_loss_after"]?.doubleValue) < 0.2)
    #expect(
      Fixtures.names(in: folder) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "config.json",
        "report.html",
      ])
    let page = try String(contentsOfFile: folder + "/report.html", encoding: .utf8)
    #expect(page.contains("the model says &#39;") && page.contains("accuracy, held-out data"))
    let configuration = try PEFTAdapterFile(path: folder).configuration
    #expect(configuration.taskType == "SEQ_CLS" && configuration.savedModules == ["classifier"])

    let found = try Command.succeed(
      "classify", "--model", model, "--adapter", folder, "--data", data, "--logits", "--json"
    ).json()
    #expect(found["accuracy"]?.doubleValue == 1)
    let documents = try #require(found["documents"]?.arrayValue)
    #expect(documents.count == 12 && documents[0]["label"]?.stringValue == "delivery")
    #expect(documents[0]["logits"]?.arrayValue?.count == 3)
    #expect((0...1).contains(try #require(documents[0]["score"]?.doubleValue)))
    let line = try Command.succeed(
      "classify", "--model", model, "--adapter", folder, "--text", "i lost my card"
    ).output
    #expect(line.hasPrefix("card (0.") && line.hasSuffix(")\n"))
    // Batches by length change nothing.
    let single = try Command.succeed(
      "classify", "--model", model, "--adapter", folder, "--data", data, "--batch", "1", "--json"
    ).json()
    for (a, b) in zip(documents, single["documents"]?.arrayValue ?? []) {
      #expect(a["label"] == b["label"])
      #expect(
        abs((a["score"]?.doubleValue ?? 0) - (b["score"]?.doubleValue ?? 1)) < 1e-5)
    }
    // Its vectors are those of the encoder that it changed.
    let plain = try Command.succeed("embed", "--model", model, "--text", "hello").output
    let adapted = try Command.succeed(
      "embed", "--model", model, "--adapter", folder, "--text", "hello"
    ).output
    #expect(adapted.split(separator: " ").count == 24 && adapted != plain)
    // Merged, the head is in the model, with its labels.
    _ = try Command.succeed(
      "merge", "--model", model, "--adapter", folder, "--output", folder + "-merged")
    let merged = try Command.succeed(
      "classify", "--model", folder + "-merged", "--data", data, "--logits", "--json"
    ).json()
    #expect(merged["accuracy"]?.doubleValue == 1)
    for (a, b) in zip(documents, try #require(merged["documents"]?.arrayValue)) {
      #expect(a["label"] == b["label"])
      for (x, y) in zip(a["logits"]?.arrayValue ?? [], b["logits"]?.arrayValue ?? []) {
        #expect(abs((x.doubleValue ?? 0) - (y.doubleValue ?? 1)) < 1e-4)
      }
    }
    // Trained on, from where it was.
    let more = try train(folder + "-2", "--init-adapter", folder, "--eval-data", data)
    #expect(more["eval_accuracy_before"]?.doubleValue == 1)
  }

  /// A new head learns ten times as fast as the adapter, up to 0.01, and an older one as fast.
  @Test func aNewHeadHasARateOfItsOwn() throws {
    let folder = try Command.temporaryFolder()
    func train(_ name: String, _ options: String...) throws {
      let outcome = try Command.start(
        [
          "train", "--task", "classification", "--model", model, "--data", data, "--output",
          "\(folder)/\(name)", "--steps", "3", "--no-report",
        ] + options
      ).outcome()
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    func same(_ a: String, _ b: String) throws -> Bool {
      try Fixtures.haveSameTensors(
        "\(folder)/\(a)/adapter_model.safetensors", "\(folder)/\(b)/adapter_model.safetensors")
    }
    try train("usual")
    try train("given", "--head-learning-rate", "0.01")
    try train("slow", "--head-learning-rate", "0.001")
    #expect(try same("usual", "given"))
    #expect(try !same("usual", "slow"))
    try train("fast", "--learning-rate", "0.02")
    try train("as fast", "--learning-rate", "0.02", "--head-learning-rate", "0.02")
    #expect(try same("fast", "as fast"))
    try train("more", "--init-adapter", "\(folder)/usual")
    try train(
      "more, given", "--init-adapter", "\(folder)/usual", "--head-learning-rate", "0.001")
    #expect(try same("more", "more, given"))
  }

  @Test func resumedRunsHaveTheSameBits() throws {
    let folder = try Command.temporaryFolder()
    _ = try train(folder + "/a")
    let running = try Command.start(
      ["train", "--task", "classification", "--model", model, "--data", data, "--epochs", "30"]
        + ["--batch", "4", "--learning-rate", "0.01", "--checkpoint-every", "1", "--output"]
        + [folder + "/b"])
    let states = { Fixtures.names(in: folder + "/b").filter { $0.hasPrefix("lora-run-") } }
    while running.process.isRunning, states().isEmpty { usleep(5_000) }
    running.process.terminate()
    _ = try running.outcome()
    _ = try Command.succeed("train", "--resume", folder + "/b")
    let weights = "/adapter_model.safetensors"
    #expect(
      try Data(contentsOf: URL(filePath: folder + "/a" + weights))
        == Data(contentsOf: URL(filePath: folder + "/b" + weights)))
  }

  @Test func severalLabelsAText() throws {
    let folder = try Command.temporaryFolder()
    try Fixtures.write(
      #"{"text": "my card was stolen", "label": ["card", "help"]}"# + "\n"
        + #"{"text": "where is my parcel", "label": ["delivery"]}"# + "\n"
        + #"{"text": "hello", "label": []}"# + "\n", to: folder + "/data.jsonl")
    let result = try Command.succeed(
      "train", "--task", "classification", "--model", model, "--data", folder + "/data.jsonl",
      "--eval-data", folder + "/data.jsonl", "--steps", "80", "--learning-rate", "0.02", "--output",
      folder + "/a", "--json"
    ).json()
    #expect(result["eval_f1_after"]?.doubleValue == 1)
    let found = try Command.succeed(
      "classify", "--model", model, "--adapter", folder + "/a", "--data", folder + "/data.jsonl",
      "--json"
    ).json()
    #expect(found["accuracy"]?.doubleValue == 1)
    #expect(
      found["documents"]?.arrayValue?.map { $0["labels"]?.arrayValue?.compactMap(\.stringValue) }
        == [["card", "help"], ["delivery"], []])
    let text = try Command.succeed(
      "classify", "--model", model, "--adapter", folder + "/a", "--text", "hello")
    #expect(text.output == "none\n")
  }

  @Test func embeddings() throws {
    let texts = try JSONDecoder().decode(
      [String].self, from: Data(contentsOf: URL(filePath: model + "/texts.json")))
    let file = try Command.temporaryFolder() + "/texts.txt"
    try Fixtures.write(texts.joined(separator: "\n"), to: file)
    let outcome = try Command.succeed("embed", "--model", model, "--data", file, "--json")
    #expect(outcome.errors.contains("line 4 is longer than 16 tokens, and its end was cut"))
    let expected = try SafetensorsFile(path: model + "/expected.safetensors")
      .tensor(named: "embeddings")
    let documents = try #require(try outcome.json()["documents"]?.arrayValue)
    for (index, document) in documents.enumerated() {
      let found = document["embedding"]?.arrayValue?.compactMap(\.doubleValue) ?? []
      let wanted = expected[row: index].scalars(as: Float.self)
      #expect(found.count == 24)
      #expect(zip(found, wanted).allSatisfy { abs($0 - Double($1)) < 1e-5 })
    }
    let line = try Command.succeed("embed", "--model", model, "--text", "hello").output
    #expect(line.split(separator: " ").count == 24)
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let folder = try Command.temporaryFolder()
    func refuses(_ text: String, _ arguments: String...) throws {
      let outcome = try Command.start(arguments).outcome()
      #expect(outcome.status == 1 && outcome.output.isEmpty)
      #expect(outcome.errors.contains(text), "\(outcome.errors)")
    }
    try Fixtures.write(#"{"text": "a", "label": "x"}"#, to: folder + "/one.jsonl")
    try Fixtures.write(
      #"{"text": "a", "label": "x"}"# + "\n" + #"{"text": "a", "label": "y"}"#,
      to: folder + "/two.jsonl")
    try refuses(
      "all examples have the label 'x'", "train", "--task", "classification", "--model", model,
      "--data", folder + "/one.jsonl", "--output", folder + "/a")
    try refuses(
      "the label 'delivery' is not one of the model's 2", "train", "--task", "classification",
      "--model", model, "--data", folder + "/two.jsonl", "--eval-data", data, "--output",
      folder + "/a")
    try refuses(
      "it has no classifier of sequences here", "train", "--task", "classification", "--model",
      Fixtures.model("llama-grouped"), "--data", folder + "/two.jsonl", "--output", folder + "/a")
    try Fixtures.write(#"{"text": "a", "text_pair": "b"}"#, to: folder + "/pair.jsonl")
    try refuses(
      "there is one pair", "train", "--task", "embedding", "--model", model, "--data",
      folder + "/pair.jsonl", "--output", folder + "/a")
    try refuses(
      "the batch size is 1; expected at least 2", "train", "--task", "embedding", "--model", model,
      "--data", data, "--batch", "1", "--output", folder + "/a")
    try Fixtures.write(#"{"text": "a"}"#, to: folder + "/alone.jsonl")
    try refuses(
      "line 1: it has neither 'text_pair' nor 'label'", "train", "--task", "embedding", "--model",
      model, "--data", folder + "/alone.jsonl", "--output", folder + "/a")
    #expect(!FileManager.default.fileExists(atPath: folder + "/a"))
    try refuses("has no classifier of sequences", "classify", "--model", model, "--text", "a")
    try refuses(
      "no head is trained", "train", "--model", Fixtures.model("llama-grouped"), "--data",
      Fixtures.sequences(), "--steps", "1", "--head-learning-rate", "0.1", "--output",
      folder + "/a")
  }
}
