import ArgumentParser
import LoRAFiles
import LoRAJSON
import LoRAKit

/// What a conversation's template is given.
struct ConversationOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The conversation, or several (.json).", valueName: "file"))
  var messages: String?
  @Option(
    help: ArgumentHelp(
      "The tools that the model may call, a list of JSON schemas.", valueName: "file"))
  var tools: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Variables of the template, as {\"enable_thinking\": false} or {\"documents\": [...]}.",
      valueName: "json"))
  var variables: String?

  /// A file's conversations: a list of messages is one, a list of such lists are several.
  struct Conversations {
    let all: [Conversation]
    /// Whether the file has a list of them.
    let isList: Bool
    private let path: String

    fileprivate init(_ all: [Conversation], isList: Bool, path: String) {
      (self.all, self.isList, self.path) = (all, isList, path)
    }

    /// Calls `body` with each. What a template refuses says which one it is and by what template.
    func forEach(by template: String, _ body: (Conversation) throws -> Void) throws {
      for (index, conversation) in all.enumerated() {
        do {
          try body(conversation)
        } catch let error as TemplateError {
          let place = isList ? "\(path), conversation \(index)" : path
          throw CommandError("\(place): \(template)", error)
        }
      }
    }
  }

  /// Whether a template for tools is to be used.
  var hasTools: Bool {
    get throws { try tools != nil || (given()["tools"] ?? .null) != .null }
  }

  /// The conversations of `path`.
  func conversations(
    of path: String, addingGenerationPrompt asks: Bool = true
  ) throws -> Conversations {
    let variables = try given()
    let tools = try self.tools.map { try list($0) }
    let entries = try list(path)
    var isList = false
    if case .array? = entries.first { isList = true }
    let all = try (isList ? entries : [.array(entries)]).enumerated().map { index, entry in
      guard case .array(let turns) = entry else {
        throw CommandError("\(path): entry \(index) is no list of messages, as the first one is")
      }
      return Conversation(
        messages: turns, tools: tools, addsGenerationPrompt: asks, variables: variables)
    }
    return Conversations(all, isList: isList, path: path)
  }

  private func given() throws -> TemplateValue {
    try variables.map { try TemplateValue(variables: $0) } ?? TemplateValue([:] as JSONValue)
  }

  private func list(_ path: String) throws -> [TemplateValue] {
    let bytes = try FileSystem.read(path)
    do {
      if case .array(let values) = TemplateValue(try JSONValue(parsing: bytes)) { return values }
    } catch {
      throw CommandError(path, error)
    }
    throw CommandError("\(path): expected a JSON list")
  }
}

extension TemplateValue {
  /// The argument of `--variables`.
  init(variables text: String) throws {
    do {
      self.init(try JSONValue(parsing: text))
    } catch {
      throw CommandError("--variables", error)
    }
    guard case .object = self else {
      throw CommandError("--variables: expected a JSON object, as {\"enable_thinking\": false}")
    }
  }
}
