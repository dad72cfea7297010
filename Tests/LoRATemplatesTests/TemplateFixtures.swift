import Foundation
import LoRAJSON
import LoRATemplates

/// Files written by Tests/Reference/chat_templates.py.
enum TemplateFixtures {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures/templates").path

  /// What stood on the clock when they were written.
  static let clock = CalendarTime(
    year: 2026, month: 3, day: 7, hour: 15, minute: 4, second: 9)

  static let specialTokens: TemplateValue = [
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>",
  ]

  static func json(_ name: String) throws -> JSONValue {
    try JSONValue(parsing: Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)")))
  }

  static func source(_ name: String, in directory: String = directory) throws -> String {
    try String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)
  }

  static func template(_ name: String) throws -> ChatTemplate {
    try ChatTemplate(try source(name), specialTokens: specialTokens)
  }

  /// The conversation of that name in conversations.json.
  static func conversation(_ given: JSONValue) -> Conversation {
    func list(_ key: String) -> [TemplateValue]? {
      given[key]?.arrayValue.map { $0.map(TemplateValue.init) }
    }
    return Conversation(
      messages: list("messages") ?? [], tools: list("tools"), documents: list("documents"),
      addsGenerationPrompt: given["prompt"]?.boolValue ?? true,
      variables: TemplateValue(given["variables"] ?? [:]))
  }
}

/// What a template makes, or its error.
func outcome(_ render: () throws(TemplateError) -> RenderedText) -> Result<
  RenderedText, TemplateError
> {
  do throws(TemplateError) {
    return .success(try render())
  } catch {
    return .failure(error)
  }
}
