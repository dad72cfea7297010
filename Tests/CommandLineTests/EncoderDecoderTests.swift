import Foundation
import LoRAJSON
import Testing

/// A model of an encoder and a decoder, from data to answers: T5 with a tokenizer of its own
/// (Tests/Reference/encoder_decoders.py).
@Suite struct EncoderDecoderTests {
  private let model = Fixtures.path("encoder_decoders/t5-published")

  private struct Pair {
    let prompt: String
    let completion: String
    let target: [Int]
    let nll: Double
    let decoded: String
  }

  /// Texts, and what `tokenizers` and transformers make of them.
  private func pairs() throws -> [Pair] {
    let text = try String(contentsOfFile: model + "/texts.json", encoding: .utf8)
    let all = try #require(try JSONValue(parsing: text).arrayValue)
    return try all.map {
      Pair(
        prompt: try #require($0["prompt"]?.stringValue),
        completion: try #require($0["completion"]?.stringValue),
        target: try #require($0["target"]?.arrayValue).compactMap(\.intValue),
        nll: try #require($0["nll"]?.doubleValue), decoded: try #require($0["decoded"]?.stringValue)
      )
    }
  }

  private func jsonl(_ pairs: [Pair]) throws -> String {
    let lines = pairs.map { pair in
      JSONValue.object(["prompt": .string(pair.prompt), "completion": .string(pair.completion)])
        .encoded() + "\n"
    }
    return try Fixtures.file("pairs.jsonl", lines.joined())
  }

  private func score(_ model: String, _ data: String, _ more: String...) throws -> JSONValue {
    try Command.start(["score", "--model", model, "--data", data, "--json"] + more).outcome().json()
  }

  @Test func scoresCompletions() throws {
    let pairs = try pairs()
    let result = try score(model, jsonl(pairs))
    let documents = try #require(result["documents"]?.arrayValue)
    #expect(documents.count == pairs.count)
    for (document, pair) in zip(documents, pairs) {
      #expect(document["tokens"]?.intValue == pair.target.count)
      #expect(abs((document["nll"]?.doubleValue ?? 0) - pair.nll) < 1e-4, "\(pair.prompt)")
    }
  }

  @Test func learnsAndAnswers() throws {
    let pair = try pairs()[0]
    let data = try jsonl([pair])
    let folder = try Command.temporaryFolder()
    let adapter = folder + "/adapter"
    _ = try Command.succeed(
      "train", "--model", model, "--data", data, "--output", adapter, "--targets", "all-linear",
      "--rank", "8", "--steps", "60", "--learning-rate", "2e-2", "--eval-data", data)
    let before = try #require(try score(model, data)["nll"]?.doubleValue)
    let after = try #require(try score(model, data, "--adapter", adapter)["nll"]?.doubleValue)
    // A tied head of such small vectors is never sure; what it likes best is what counts below.
    #expect(after < before - 0.8, "\(before), \(after)")
    func answer(_ arguments: String...) throws -> JSONValue {
      try Command.start(
        ["generate", "--prompt", pair.prompt, "--max-tokens", "20", "--json"] + arguments
      ).outcome().json()
    }
    let learned = try answer("--model", model, "--adapter", adapter)
    #expect(learned["text"]?.stringValue == pair.decoded)
    #expect(learned["stopped"]?.stringValue == "stop_token")
    let merged = folder + "/merged"
    _ = try Command.succeed(
      "merge", "--model", model, "--adapter", adapter, "--output", merged)
    #expect(abs((try score(merged, data)["nll"]?.doubleValue ?? 9) - after) < 1e-4)
    #expect(try answer("--model", merged)["text"] == learned["text"])
    let description = try Command.succeed("inspect", model).output
    #expect(description.contains("an encoder of 2 and a decoder of 2 layers"))
    let configuration = try String(
      contentsOfFile: adapter + "/adapter_config.json", encoding: .utf8)
    #expect(configuration.contains("SEQ_2_SEQ_LM"))
  }

  /// A GGUF file by llama.cpp's converter, which takes distances up to 128, and an adapter on every layer.
  @Test func readsGGUF() throws {
    let folder = try Command.temporaryFolder()
    let (directory, file) = (folder + "/t5", Fixtures.path("encoder_decoders/t5-published.gguf"))
    try FileManager.default.copyItem(atPath: model, toPath: directory)
    let config = directory + "/config.json"
    try String(contentsOfFile: config, encoding: .utf8)
      .replacingOccurrences(
        of: #""relative_attention_max_distance": 20"#,
        with: #""relative_attention_max_distance": 128"#
      ).write(toFile: config, atomically: true, encoding: .utf8)
    let adapter = folder + "/adapter"
    _ = try Command.succeed(
      "train", "--model", directory, "--data", try jsonl(pairs()), "--output", adapter, "--steps",
      "3", "--learning-rate", "2e-2", "--rank", "3")
    let converted = folder + "/adapter.gguf"
    _ = try Command.succeed(
      "convert", "--input", adapter, "--to", "gguf", "--base", file, "--output", converted)
    let back = folder + "/back"
    _ = try Command.succeed("convert", "--input", converted, "--to", "peft", "--output", back)
    let rows = try pairs().map { [5, 9, 7, 0] + $0.target }
    let ids = try Fixtures.file("ids.json", "\(rows)")
    func nlls(_ model: String, _ more: String...) throws -> JSONValue? {
      try Command.start(
        ["score", "--model", model, "--ids", ids, "--per-token", "--json"] + more
      ).outcome().json()["documents"]
    }
    let (base, adapted) = (try nlls(directory), try nlls(directory, "--adapter", adapter))
    #expect(base != adapted)
    #expect(try nlls(file) == base)
    #expect(try nlls(file, "--adapter", converted) == adapted)
    #expect(try nlls(directory, "--adapter", back) == adapted)
  }

  @Test func textsHaveNoSource() throws {
    let text = try Fixtures.file("text.txt", "the house is red\n")
    let lines = try Fixtures.file("text.jsonl", "{\"text\": \"the house\"}\n")
    for arguments in [
      ["score", "--model", model, "--text", text],
      ["score", "--model", model, "--data", lines],
      ["train", "--model", model, "--data", text, "--output", text + ".out"],
      ["train", "--model", model, "--data", lines, "--output", text + ".out"],
    ] {
      let outcome = try Command.start(arguments).outcome()
      #expect(outcome.status == 1)
      #expect(
        outcome.errors.contains("it is a text, and the model reads a source and writes a target"),
        "\(outcome.errors)")
    }
    let windows = try Command.start(
      ["score", "--model", model, "--data", jsonl(pairs()), "--window", "8"]
    ).outcome()
    #expect(windows.status == 1 && windows.errors.contains("the window"))
  }

  @Test func virtualTokensAreRefused() throws {
    for method in ["prompt-tuning", "prefix-tuning"] {
      let outcome = try Command.start([
        "train", "--model", model, "--data", jsonl(pairs()), "--method", method, "--output",
        Command.temporaryFolder() + "/a",
      ]).outcome()
      #expect(outcome.status == 1 && outcome.errors.contains("virtual tokens can't be put before"))
    }
  }
}
