import Foundation
import LoRAFiles
import LoRAJSON
import LoRATensor
import Testing

@testable import lora

@Suite struct ScoreTests {
  @Test func splitsStripsAndSkips() {
    let text = "\u{FEFF}one<|x|>\n <|x|> two\r\n<|x|>\u{3000}three\u{85}"
    #expect(
      ScoreCommand.documents(in: text, split: "<|x|>") == ["\u{FEFF}one", "two", "three"])
    #expect(ScoreCommand.documents(in: " a b\n", split: nil) == ["a b"])
    #expect(ScoreCommand.documents(in: " \n", split: nil).isEmpty)
    #expect(ScoreCommand.documents(in: "a\r\nb", split: "\n") == ["a", "b"])
  }

  /// With and without an adapter, against transformers and PEFT.
  @Test(arguments: ["llama-grouped", "qwen2-window", "mistral-window", "llama-linear-sharded"])
  func agreesWithTransformers(name: String) throws {
    let model = Fixtures.model(name)
    let expected = try SafetensorsFile(path: model + "/expected.safetensors")
    for (tensor, adapter) in [("nll", [] as [String]), ("nll_adapted", [model + "/adapter"])] {
      let arguments =
        ["score", "--model", model, "--ids", model + "/expected.safetensors#ids", "--per-token"]
        + ["--json"] + adapter.flatMap { ["--adapter", $0] }
      let result = try Command.start(arguments).outcome().json()
      let wanted = try expected.tensor(named: tensor)
      let found = result["documents"]?.arrayValue?.flatMap { document in
        (document["token_nlls"]?.arrayValue ?? []).compactMap(\.doubleValue)
      }
      let values = wanted.scalars(as: Float.self).map { Double($0) }
      #expect(found?.count == values.count)
      for (a, b) in zip(found ?? [], values) { #expect(abs(a - b) < 1e-4) }
      let mean = values.reduce(0, +) / Double(values.count)
      #expect(abs((result["nll"]?.doubleValue ?? 0) - mean) < 1e-4)
      #expect(result["tokens"]?.intValue == values.count)
      #expect(abs((result["perplexity"]?.doubleValue ?? 0) - exp(mean)) < 1e-2 * exp(mean))
    }
  }

  @Test func adaptersSumAndScale() throws {
    let model = Fixtures.model("llama-grouped")
    func nll(_ adapters: String...) throws -> Double {
      let arguments =
        ["score", "--model", model, "--ids", model + "/expected.safetensors#ids", "--json"]
        + adapters.flatMap { ["--adapter", $0] }
      let value = try Command.start(arguments).outcome().json()["nll"]?.doubleValue
      return try #require(value)
    }
    let adapter = model + "/adapter"
    #expect(try nll(adapter + ":0") == nll())
    #expect(try abs(nll(adapter + ":0.25", adapter + ":0.75") - nll(adapter)) < 1e-5)
    #expect(try abs(nll(adapter + ":-1") - nll(adapter)) > 1e-4)
  }

  @Test func readsTextForPeople() throws {
    let model = try Fixtures.modelWithTokenizer()
    let text = try Fixtures.file("text.txt", "Abc def.\n-- \n\n-- \nHe did it!\n")
    let outcome = try Command.succeed(
      "score", "--model", model, "--text", text, "--split", "-- ", "--per-token")
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 5)
    #expect(lines[0].hasPrefix("document 1: 8 tokens, NLL "))
    #expect(lines[1].split(separator: " ").count == 8)
    #expect(lines[4].hasPrefix("all: 18 tokens, NLL "))
  }

  @Test(.enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func givesTheFiveStories() throws {
    let shared = try #require(Fixtures.shared)
    let result = try Command.succeed(
      "score", "--model", shared + "/models/stories260k", "--text",
      shared + "/data/tinystories_sample.txt", "--split", "<|endoftext|>", "--json"
    ).json()
    let expected = [1.31599, 1.23856, 0.95223, 1.49345, 1.18792]
    let found = (result["documents"]?.arrayValue ?? []).compactMap { $0["nll"]?.doubleValue }
    #expect(found.count == 5)
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-5) }
    #expect(abs((result["nll"]?.doubleValue ?? 0) - 1.266441) < 1e-5)
    #expect(result["tokens"]?.intValue == 1804)
    #expect(result["documents"]?[0]?["token_nlls"] == nil)
  }
}
