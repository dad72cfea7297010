import Foundation
import LoRAJSON
import Testing

@testable import lora

/// Conversations as data: shown, trained on, and asked in the words of their training.
@Suite struct ChatDataTests {
  private static let template = """
    {% for m in messages %}{{ m.role }} {{ m.content }}
    {% endfor %}{% if add_generation_prompt %}assistant{% endif %}
    """

  private static let chats = """
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    {"messages": [{"role": "user", "content": 3}]}
    {"messages": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "dd"}]}
    """

  private let model: String
  private let template: String
  private let data: String

  init() throws {
    model = try Fixtures.modelWithTokenizer()
    template = try Fixtures.file("plain.jinja", Self.template)
    data = try Fixtures.file("chats.jsonl", Self.chats)
  }

  @Test func whatIsLearnedIsShown() throws {
    let outcome = try Command.succeed(
      "data", "show", data, "--model", model, "--chat-template", template, "--invalid-records",
      "skip")
    #expect(outcome.output.contains("user a\n⟦assistant b\n⟧"), "\(outcome.output)")
    #expect(
      outcome.errors.contains("warning: left out: \(data): line 2, message 1: expected a string"))
    #expect(outcome.errors.contains("1 invalid record was left out (line 2)"))
    let rows = try Command.succeed(
      "data", "show", data, "--model", model, "--chat-template", template, "--invalid-records",
      "skip", "--rows", "1", "--json"
    ).json()["rows"]
    let row = try #require(rows?[0])
    let (ids, targets) = (row["ids"]?.arrayValue ?? [], row["targets"]?.arrayValue ?? [])
    #expect(ids.count == targets.count && row["text"] == "user a\nassistant b\n")
    for index in ids.indices.dropLast() where targets[index] != -100 {
      #expect(targets[index] == ids[index + 1])
    }
  }

  @Test(arguments: [
    ([], "the model has no chat template"),
    (["--use-template", "never"], "no template is to be used"),
    (["--map", "prompt"], "--map: the map of fields is prompt"),
  ])
  func mistakesAreNamed(options: [String], words: String) throws {
    let outcome = try Command.start(["data", "show", data, "--model", model] + options).outcome()
    #expect(outcome.status == (options.first == "--map" ? 64 : 1))
    #expect(outcome.errors.contains(words) && outcome.output.isEmpty, "\(outcome.errors)")
  }

  /// The template lies beside the adapter, and its conversations use it.
  @Test func theTemplateStaysWithTheAdapter() throws {
    let folder = try Command.temporaryFolder()
    let adapter = folder + "/adapter"
    _ = try Command.succeed(
      "train", "--model", model, "--data", data, "--chat-template", template, "--invalid-records",
      "skip", "--steps", "2", "--packing", "--output", adapter)
    #expect(
      try String(contentsOfFile: adapter + "/chat_template.jinja", encoding: .utf8) == Self.template
    )
    let asked = try Fixtures.file(
      "asked.json", #"[[{"role": "user", "content": "a"}], [{"role": "user", "content": "cc"}]]"#)
    let none = try Command.run("generate", "--model", model, "--messages", asked)
    #expect(none.status == 1 && none.errors.contains("no chat template"), "\(none.errors)")
    let outcome = try Command.succeed(
      "generate", "--model", model, "--adapter", adapter, "--messages", asked, "--max-tokens", "2",
      "--json")
    let answers = try outcome.output.split(separator: "\n").map {
      try JSONValue(parsing: String($0))
    }
    let prompts = try ["user a\nassistant", "user cc\nassistant"].map { text in
      try Command.succeed(
        "tokenize", "--model", model, "--text", text, "--no-special", "--json"
      ).json()["ids"]?.arrayValue?.count
    }
    #expect(answers.map { $0["prompt_tokens"]?.intValue } == prompts)
    let other = folder + "/other"
    try FileManager.default.copyItem(atPath: adapter, toPath: other)
    try Fixtures.write("x", to: other + "/chat_template.jinja")
    let both = try Command.run(
      "generate", "--model", model, "--adapter", adapter, "--adapter", other, "--messages", asked)
    #expect(both.status == 1 && both.errors.contains("different templates"), "\(both.errors)")
  }

  @Test func aPromptOrMessages() throws {
    for options in [[], ["--prompt", "a", "--messages", data]] {
      let outcome = try Command.start(["generate", "--model", model] + options).outcome()
      #expect(
        outcome.status == 64 && outcome.errors.contains("either --prompt TEXT or --messages FILE"))
    }
  }
}
