import Foundation
import LoRAJSON
import Testing

@testable import lora

/// Conversations through a pipe: what is typed, what is answered, and what is kept.
@Suite struct ChatTests {
  /// The tiny Llama with a template.
  private func model() throws -> String {
    let folder = try Fixtures.modelWithTokenizer()
    let template = """
      {% for m in messages %}{{ m.content }}!{% endfor %}
      """
    try template.write(
      toFile: folder + "/chat_template.jinja", atomically: true, encoding: .utf8)
    return folder
  }

  private func talk(_ lines: [String], _ arguments: [String]) throws -> Command.Outcome {
    let text = try Fixtures.file("typed.txt", lines.map { $0 + "\n" }.joined())
    return try Command.start(
      ["chat", "--max-tokens", "3"] + arguments, through: "\"$@\" < '\(text)'"
    ).outcome()
  }

  @Test func adaptersAreSwitchedWhileTalking() throws {
    let adapter = Fixtures.model("llama-grouped") + "/adapter"
    let saved = try Command.temporaryFolder() + "/saved.json"
    let outcome = try talk(
      [
        "Hello", "/adapter adapter:0.7", "Why \\", "so", "", "/base", "//slash", "/scale 2",
        "/regenerate", "/compare", "/save \(saved)", "/save \(saved)", "/stats", "/adapter nobody",
        "/what", "/quit", "never said",
      ], ["--model", try model(), "--adapter", adapter, "--system", "S"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    for part in [
      "answers by adapter;", "answers by adapter:0.7\n", "answers by base\n",
      "error: no adapter is chosen", "saved.json: 7 messages", "it exists, and is not replaced",
      "tokens/s; context", "there is no adapter 'nobody'; there is 'adapter'",
      "there is no '/what'",
    ] { #expect(outcome.errors.contains(part), "\(part): \(outcome.errors)") }
    let messages = try #require(
      try JSONValue(parsing: String(contentsOfFile: saved, encoding: .utf8)).arrayValue)
    #expect(
      messages.map { $0["role"]?.stringValue } == [
        "system", "user", "assistant", "user", "assistant", "user", "assistant",
      ])
    try #require(messages.count == 7)
    #expect(
      [1, 3, 5].map { messages[$0]["content"]?.stringValue } == ["Hello", "Why \nso", "/slash"])
    for turn in [2, 4, 6] {
      #expect(outcome.output.contains(try #require(messages[turn]["content"]?.stringValue)))
    }
    // The comparison has the base and the adapter under their names.
    #expect(outcome.output.contains("[base]\n") && outcome.output.contains("[adapter]\n"))
    #expect(!outcome.output.contains("\u{1B}"))
  }

  /// What is typed wrongly ends no conversation, and is not changed into something else.
  @Test func bytesThatAreNoTextAreNotSaid() throws {
    let typed = try Fixtures.file("bytes.txt", "")
    try (Data([0xFF, 0xFE, 0x0A]) + Data("Hi\n".utf8)).write(to: URL(filePath: typed))
    let outcome = try Command.start(
      ["chat", "--max-tokens", "3", "--model", try model()], through: "\"$@\" < '\(typed)'"
    ).outcome()
    #expect(outcome.status == 0 && outcome.errors.contains("error: the line is not text in UTF-8"))
    #expect(outcome.output.split(separator: "\n", omittingEmptySubsequences: false).count == 2)
  }

  /// A conversation that is longer than the context goes on, and says what it has forgotten.
  @Test func oldExchangesAreForgotten() throws {
    let saved = try Command.temporaryFolder() + "/saved.json"
    let outcome = try talk(
      (0..<5).map { _ in "Hello" } + ["/stats", "/save \(saved)", "/clear", "Hello", "/stats"],
      ["--model", try model(), "--system", "S", "--context", "24"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.split(separator: "\n").count >= 6, "\(outcome.output)")
    let told =
      "(the context of 24 tokens is full: the first 4 of 5 messages are forgotten, the system's is not)"
    #expect(outcome.errors.contains(told), "\(outcome.errors)")
    #expect(outcome.errors.contains("of 10 messages forgotten\n"))
    #expect(outcome.errors.contains("of 24 tokens (") && outcome.errors.contains("11 messages\n"))
    #expect(outcome.errors.hasSuffix("of them kept from before\n"))
    let long = try talk(
      [String(repeating: "long", count: 9)], ["--model", try model(), "--context", "24"])
    #expect(long.errors.contains("error: the context's limit is 24 tokens"), "\(long.errors)")
    let more = try talk(["Hello"], ["--model", try model(), "--context", "65"])
    #expect(more.status == 1 && more.errors.contains("--context is 65; the model has 64 positions"))
    #expect(try talk([], ["--model", try model(), "--context", "1"]).status == 64)
  }

  @Test func aModelWithoutATemplateIsRefused() throws {
    let outcome = try talk(["Hello"], ["--model", try Fixtures.modelWithTokenizer()])
    #expect(outcome.status == 1 && outcome.errors.contains("no chat template"), "\(outcome.errors)")
  }

  @Test func instructions() {
    #expect(ChatInstruction("Hello") == .say("Hello"))
    #expect(ChatInstruction("//x") == .say("/x"))
    #expect(ChatInstruction("/adapter a:0.5 b") == .adapters(["a:0.5", "b"]))
    #expect(ChatInstruction("/scale 2") == .scale("2"))
    #expect(ChatInstruction("/compare") == .compare(""))
    #expect(ChatInstruction("/compare  two words") == .compare("two words"))
    #expect(ChatInstruction("/system ") == .system(""))
    #expect(ChatInstruction("/") == .unknown("/") && ChatInstruction("/x y") == .unknown("/x y"))
  }

  @Test func adaptersHaveTheNamesOfTheirFolders() {
    #expect(
      ChatAdapters.names(of: ["runs/polite", "polite/", "a b.gguf", "x:y/z.safetensors"])
        == ["polite", "polite-2", "a-b", "z"])
  }

  @Test func textsStandSideBySide() throws {
    #expect(Columns.lines(of: "one two three", width: 7) == ["one two", "three"])
    #expect(Columns.lines(of: "abcdefgh\n\nx", width: 3) == ["abc", "def", "gh", "", "x"])
    #expect(Columns.lines(of: "日本語", width: 4) == ["日本", "語"])
    let lines = try #require(
      Columns.lines([("base", "short"), ("b", String(repeating: "日本 ", count: 12))], width: 63))
    #expect(lines[0] == "base" + String(repeating: " ", count: 29) + "b")
    #expect(lines[2].hasPrefix("short ") && lines.count > 3)
    // The second column begins where it should, whatever stands before it.
    #expect(lines.dropFirst(2).allSatisfy { Columns.width(of: String($0.prefix(33))) >= 33 })
    #expect(Columns.lines([("base", "x"), ("b", "y")], width: 40) == nil)
  }
}
