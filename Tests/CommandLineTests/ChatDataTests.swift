import Foundation
import LoRAJSON
import LoRAKit
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

  @Test func templatesWithNames() throws {
    let outcome = try Command.succeed(
      "data", "show", data, "--model", model, "--chat-template", "plain", "--invalid-records",
      "skip")
    // The model's vocabulary has no colon.
    #expect(outcome.output.contains("⟦ b</s>⟧"), "\(outcome.output)")
    let adapter = try Command.temporaryFolder() + "/adapter"
    _ = try Command.succeed(
      "train", "--model", model, "--data", data, "--chat-template", "plain", "--invalid-records",
      "skip", "--steps", "1", "--output", adapter)
    #expect(
      try String(contentsOfFile: adapter + "/chat_template.jinja", encoding: .utf8)
        == NamedTemplate.plain.source)
  }

  @Test(arguments: [
    ([], "the model has no chat template"),
    (["--use-template", "never"], "no template is to be used"),
    (["--map", "prompt"], "'prompt': expected MEANING=FIELD"),
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

  /// What only texts have is not taken without a word where it does nothing.
  @Test(arguments: [
    ["--loss-on", "all"], ["--use-template", "always"], ["--system", "S"],
    ["--chat-template", "x"], ["--invalid-records", "skip"], ["--packing"],
  ])
  func optionsOfTextsAreForTexts(options: [String]) throws {
    let outcome = try Command.start(
      [
        "train", "--task", "embedding", "--model", model, "--data", data, "--output",
        try Command.temporaryFolder() + "/out",
      ] + options
    ).outcome()
    #expect(outcome.status == 64 && outcome.errors.contains("\(options[0]) is for --task text"))
  }

  @Test func optionsOfEvaluations() throws {
    for (options, words) in [
      (["--loss-on", "all"], "--loss-on and --invalid-records"),
      (["--metric", "perplexity", "--shots", "1"], "generates no answers"),
      (["--metric", "good"], "good"),
    ] {
      let outcome = try Command.start(
        ["eval", "--model", model, "--data", data] + options
      ).outcome()
      #expect(outcome.status == 64 && outcome.errors.contains(words), "\(outcome.errors)")
    }
    let choice = try Command.run(
      "eval", "--model", model, "--data",
      try Fixtures.file("q.jsonl", #"{"prompt":"a","completion":"b"}"#),
      "--metric", "choice")
    #expect(choice.status == 1 && choice.errors.contains("needs records with \"choices\""))
  }

  /// Adapters, strengths and mixes beside the base, with what the base lost.
  @Test func candidatesAreCompared() throws {
    let adapter = Fixtures.model("llama-grouped") + "/adapter"
    let questions = try Fixtures.file(
      "q.jsonl", #"{"prompt":"a","completion":"b"}"# + "\n" + #"{"prompt":"c","completion":"d"}"#)
    let answers = try Command.temporaryFolder() + "/answers.jsonl"
    let result = try Command.succeed(
      "eval", "--model", model, "--adapter", adapter, "--adapter",
      adapter + ":0.5+" + adapter + ":0.5",
      "--data", questions, "--metric", "command:while read line; do echo 0.5; done", "--control",
      questions, "--answers", answers, "--max-tokens", "3", "--json"
    ).json()
    let candidates = try #require(result["candidates"]?.arrayValue)
    #expect(candidates.map { $0["score"] } == [0.5, 0.5, 0.5] && result["examples"] == 2)
    // Half and half of one adapter is that adapter.
    let losses = candidates.compactMap { $0["control_nll"]?.doubleValue }
    #expect(abs(losses[1] - losses[2]) < 1e-6 && abs(losses[0] - losses[1]) > 1e-6)
    #expect(candidates[1]["verdict"] == "unclear")
    let lines = try String(contentsOfFile: answers, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 2)
    // Answers replace answers, and nothing else.
    let again = [
      "eval", "--model", model, "--data", questions, "--answers", answers, "--max-tokens", "1",
    ]
    #expect(try Command.start(again).outcome().errors.contains("--force"))
    _ = try Command.start(again + ["--force"]).outcome()
    #expect(
      try String(contentsOfFile: answers, encoding: .utf8).split(separator: "\n").map(\.count)
        != lines.map(\.count))
    let log = try Fixtures.file("log.jsonl", "{\"step\":1}\n")
    let other = try Command.run(
      "eval", "--model", model, "--data", questions, "--answers", log, "--force")
    #expect(other.status == 1 && other.errors.contains("no file of answers"), "\(other.errors)")
    for program in ["false", "echo 1", "while read line; do echo good; done"] {
      let outcome = try Command.run(
        "eval", "--model", model, "--data", questions, "--metric", "command:" + program,
        "--max-tokens", "1")
      #expect(outcome.status == 1 && outcome.errors.contains("--metric command:\(program)"))
    }
  }
}
