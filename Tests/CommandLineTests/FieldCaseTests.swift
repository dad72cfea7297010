import Foundation
import LoRAJSON
import Testing

/// Inputs from the field about prompts, completions and ends, of the shared folder's `cases`.
@Suite(.enabled(if: FieldCases.arePresent, "the shared folder's cases are not at hand"))
struct FieldCaseTests {
  private func generate(
    _ model: String, _ prompt: String, adapter: String? = nil, tokens: Int = 8
  ) throws -> JSONValue {
    var arguments = ["generate", "--model", model, "--prompt", prompt]
    arguments += ["--max-tokens", "\(tokens)", "--json"]
    if let adapter { arguments += ["--adapter", adapter] }
    return try Command.start(arguments).outcome().json()
  }

  /// Trains on `lines`; the adapter, and what was said on standard error.
  private func train(
    _ model: String, _ lines: String, steps: Int, batch: Int = 1, rank: Int = 8
  ) throws -> (adapter: String, errors: String, firstLoss: Double?) {
    let folder = try Command.temporaryFolder()
    let data = try Fixtures.file("d.jsonl", lines)
    let outcome = try Command.succeed(
      "train", "--model", model, "--data", data, "--output", folder + "/a", "--steps", "\(steps)",
      "--batch", "\(batch)", "--learning-rate", "0.02", "--rank", "\(rank)", "--log",
      folder + "/l.jsonl")
    let log = try String(contentsOfFile: folder + "/l.jsonl", encoding: .utf8)
    let first = try JSONValue(parsing: String(log.prefix { $0 != "\n" }))
    return (folder + "/a", outcome.errors, first["loss"]?.doubleValue)
  }

  @Test("decoding starts behind the prompt", arguments: ["the fox\n", "the fox\t", "fox 日本"])
  func promptsAreNotEchoed(prompt: String) throws {
    let model = FieldCases.path("01-decode-echoes-prompt-bytes/model")
    let text = try #require(try generate(model, prompt, tokens: 3)["text"]?.stringValue)
    #expect(!text.hasPrefix(String(prompt.suffix(1))) && !text.hasPrefix("日"))
  }

  @Test func aLearnedLetterComesAlone() throws {
    let model = FieldCases.path("01-decode-echoes-prompt-bytes/model")
    let adapter = try train(
      model, #"{"prompt":"Q: a\nA:\n","completion":"b"}"#, steps: 60
    ).adapter
    #expect(try generate(model, "Q: a\nA:\n", adapter: adapter)["text"]?.stringValue == "b")
  }

  @Test func noSpaceComesBetweenPromptAndCompletion() throws {
    let model = FieldCases.path("02-extra-space-in-completion/model")
    let result = try train(model, #"{"prompt":"Answer: ","completion":"yes"}"#, steps: 60)
    // Neither the joint tokens, which the prompt's are no beginning of, nor "▁yes" behind them.
    let loss = try #require(result.firstLoss)
    #expect(abs(loss - 6.35774) > 0.1)
    let answer = try generate(model, "Answer: ", adapter: result.adapter)
    #expect(answer["text"]?.stringValue == "yes" && answer["stopped"]?.stringValue == "stop_token")
  }

  @Test(arguments: ["model", "model-bos-only"])
  func aTemplatesEndIsNotFed(name: String) throws {
    let model = FieldCases.path("03-generate-feeds-eos/\(name)")
    let lines = """
      {"prompt":"the quick","completion":" brown fox"}
      {"prompt":"Once upon","completion":" a time"}
      {"prompt":"What is 2","completion":" plus 2?"}
      """
    let result = try train(model, lines, steps: 150, batch: 3)
    let answer = try generate(model, "the quick", adapter: result.adapter, tokens: 10)
    #expect(answer["prompt_tokens"]?.intValue == 3)
    #expect(answer["text"]?.stringValue == " brown fox")
  }

  @Test func norIsAGGUFsEnd() throws {
    let model = FieldCases.path("03-generate-feeds-eos/add_eos.gguf")
    #expect(try generate(model, "the quick", tokens: 3)["prompt_tokens"]?.intValue == 3)
  }

  @Test func trainingAndGenerationAgreeOnTheEnd() throws {
    let model = FieldCases.path("13-eos-of-tokenizer-not-of-config/model")
    let lines = """
      {"prompt":"the quick","completion":" brown fox"}
      {"prompt":"Once upon","completion":" a time"}
      """
    let result = try train(model, lines, steps: 150, batch: 2)
    #expect(result.errors.contains("'<unk>' (0)") && result.errors.contains("'</s>' (2)"))
    let answer = try generate(model, "the quick", adapter: result.adapter, tokens: 10)
    #expect(answer["text"]?.stringValue == " brown fox")
    #expect(answer["stopped"]?.stringValue == "stop_token")
  }
}

private enum FieldCases {
  static let root = (Fixtures.shared ?? "") + "/cases"
  static let arePresent = FileManager.default.fileExists(atPath: root + "/README.md")
  static func path(_ name: String) -> String { root + "/" + name }
}
