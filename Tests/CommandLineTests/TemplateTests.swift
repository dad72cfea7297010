import Foundation
import LoRAJSON
import Testing

/// `lora template`.
@Suite struct TemplateTests {
  private static let source =
    "{% for m in messages %}{{ bos_token }}{{ m.role[0] }}.{{ m.content }}{{ eos_token }}{% endfor %}"
    + "{% if add_generation_prompt %}{{ bos_token }}a.{% endif %}{{ name }}"

  private static let turns = #"""
    [{"role": "user", "content": "abc"}, {"role": "assistant", "content": "de,f"}]
    """#

  /// A model's folder with a template, and a file of messages.
  private func files(
    _ configuration: String, messages: String = turns
  ) throws -> (model: String, messages: String) {
    let model = try Fixtures.modelWithTokenizer()
    try Fixtures.write(configuration, to: model + "/tokenizer_config.json")
    let file = model + "/messages.json"
    try Fixtures.write(messages, to: file)
    return (model, file)
  }

  private func configuration(_ template: JSONValue) -> String {
    let config: JSONObject = ["bos_token": "<s>", "eos_token": "</s>", "chat_template": template]
    return config.encoded()
  }

  @Test func printsTheTextAndItsIds() throws {
    let (model, messages) = try files(configuration(.string(Self.source)))
    let arguments = ["template", "--model", model, "--messages", messages]
    let text = "<s>u.abc</s><s>a.de,f</s><s>a."
    #expect(try Command.start(arguments).outcome().output == text + "\n")
    let result = try Command.start(arguments + ["--json"]).outcome().json()
    #expect(result["text"]?.stringValue == text)
    let ids = result["ids"]?.arrayValue?.compactMap(\.intValue) ?? []
    #expect(
      ids.first == 1 && ids.filter { $0 == 1 }.count == 3 && ids.filter { $0 == 2 }.count == 2)
    let further = try Command.start(
      arguments + ["--no-generation-prompt", "--variables", #"{"name": "x", "bos_token": "!"}"#]
    ).outcome()
    #expect(further.output == "!u.abc</s>!a.de,f</s>x\n")
  }

  @Test func masksTheAssistant() throws {
    let (model, messages) = try files(configuration(.string(Self.source)))
    let result = try Command.succeed(
      "template", "--model", model, "--messages", messages, "--mask", "--json"
    ).json()
    let ids = result["ids"]?.arrayValue?.compactMap(\.intValue) ?? []
    let mask = result["mask"]?.arrayValue?.compactMap(\.intValue) ?? []
    #expect(ids.count == mask.count)
    // "<s>a.de,f</s>".
    #expect(mask.reduce(0, +) == 8)
    #expect(mask.firstIndex(of: 1) == 7 && mask.lastIndex(of: 1) == 14)
    #expect(result["assistant"]?[0]?[0]?.intValue == 12)
  }

  @Test func refusesWhereTheMaskIsNotKnown() throws {
    let source = "{% for m in messages %}{{ m.content }}{% endfor %}{{ messages|length }}"
    let (model, messages) = try files(configuration(.string(source)))
    let outcome = try Command.run("template", "--model", model, "--messages", messages, "--mask")
    #expect(outcome.status == 1 && outcome.output.isEmpty)
    #expect(outcome.errors.contains("the assistant's parts cannot be told"))
  }

  @Test func takesTheTemplateFromWhereTransformersHasIt() throws {
    let named: JSONValue = [
      ["name": "default", "template": "plain"], ["name": "tool_use", "template": "tools"],
    ]
    let (model, messages) = try files(configuration(named))
    let tools = model + "/tools.json"
    try Fixtures.write("[]", to: tools)
    func output(_ further: String...) throws -> String {
      let arguments = ["template", "--model", model, "--messages", messages] + further
      return try Command.start(arguments).outcome().output
    }
    #expect(try output() == "plain\n")
    #expect(try output("--tools", tools) == "tools\n")
    try Fixtures.write("file", to: model + "/chat_template.jinja")
    #expect(try output() == "file\n")
    #expect(try output("--tools", tools) == "file\n")
    let further = model + "/additional_chat_templates"
    try FileManager.default.createDirectory(atPath: further, withIntermediateDirectories: true)
    try Fixtures.write("further", to: further + "/tool_use.jinja")
    #expect(try output("--tools", tools) == "further\n")
    try Fixtures.write("own{{ eos_token }}", to: model + "/own.jinja")
    #expect(try output("--template", model + "/own.jinja") == "own</s>\n")
  }

  @Test func printsAResultALine() throws {
    let (model, messages) = try files(
      configuration(.string(Self.source)), messages: "[\(Self.turns), \(Self.turns)]")
    let outcome = try Command.succeed(
      "template", "--model", model, "--messages", messages, "--json", "--no-generation-prompt")
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 2 && lines[0] == lines[1])
  }

  @Test(arguments: [
    ("[]", "the conversation is empty"), ("{}", "expected a JSON list"), ("[", "messages.json"),
    (#"["x"]"#, "a message must be an object"),
    (#"[{"role": "x", "content": 1}]"#, "line 1, column"),
  ])
  func namesWhatIsWrong(_ messages: String, _ message: String) throws {
    let source = "{{ messages[0].content + 'x' }}"
    let (model, file) = try files(configuration(.string(source)), messages: messages)
    let outcome = try Command.run("template", "--model", model, "--messages", file)
    #expect(outcome.status == 1 && outcome.output.isEmpty)
    #expect(outcome.errors.hasPrefix("error: ") && outcome.errors.contains(message))
  }

  @Test func needsATemplate() throws {
    let (model, messages) = try files("{}")
    let none = try Command.run("template", "--model", model, "--messages", messages)
    #expect(none.status == 1 && none.errors.contains("no chat template"))
    #expect(try Command.run("template", "--messages", messages).status == 64)
  }
}
