import LoRAFiles
import LoRAJSON
import LoRATemplates

/// The messages of a conversation as files have them, of OpenAI's kind (`role`, `content`) or of
/// ShareGPT's (`from`, `value`).
struct MessageList {
  private let value: JSONValue
  private let path: String
  private let line: Int
  private let map: FieldMap

  init(_ value: JSONValue, path: String, line: Int, map: FieldMap) {
    (self.value, self.path, self.line, self.map) = (value, path, line, map)
  }

  /// The conversation, with the tools and further variables that stand beside it.
  func chat(beside record: RecordFields) throws(FormatError) -> ChatRecord {
    guard let elements = value.arrayValue else {
      throw record.error(
        "expected a list of messages, found \(value.kind)",
        "write [{\"role\": \"user\", \"content\": \"...\"}, ...]")
    }
    guard !elements.isEmpty else {
      throw record.error(
        "the conversation has no messages", "give it one at least, or leave it out")
    }
    var chat = ChatRecord(messages: [])
    var weights: [Float?] = []
    for (index, element) in elements.enumerated() {
      let message = try message(element, index + 1)
      chat.messages.append(TemplateValue(.object(message.object)))
      weights.append(message.weight)
    }
    if let system = try record.string("system"), !system.isEmpty,
      chat.messages[0]["role"] != "system"
    {
      chat.messages.insert(["role": "system", "content": .string(system)], at: 0)
      weights.insert(nil, at: 0)
    }
    if weights.contains(where: { $0 != nil }) { chat.weights = weights.map { $0 ?? 1 } }
    chat.tools = try list("tools", of: record)
    chat.documents = try list("documents", of: record)
    if let variables = record.value("chat_template_kwargs") {
      guard variables.objectValue != nil else {
        throw record.error(
          "expected an object as 'chat_template_kwargs', found \(variables.kind)",
          "write the template's variables, as {\"enable_thinking\": false}")
      }
      chat.variables = TemplateValue(variables)
    }
    return chat
  }

  // MARK: - Messages

  private func message(
    _ element: JSONValue, _ number: Int
  ) throws(FormatError) -> (object: JSONObject, weight: Float?) {
    guard var message = element.objectValue else {
      throw error(
        number, "expected an object with a role and a content, found \(element.kind)",
        "write {\"role\": \"user\", \"content\": \"...\"}")
    }
    let (roleName, contentName) = Self.names(in: message, map)
    guard let roleName, let given = message[roleName]?.stringValue else {
      throw error(
        number, "it has no role; found \(RecordFields.list(message.keys))",
        "say who speaks: {\"role\": \"user\", ...}; other names by --map role=FIELD")
    }
    let content = contentName.flatMap { message[$0] } ?? .null
    for name in [roleName, contentName].compactMap({ $0 }) { message[name] = nil }
    var result: JSONObject = ["role": .string(try role(given, of: roleName, number))]
    if given == "function_call" {
      result["tool_calls"] = try call(content, number)
    } else {
      result["content"] = try checked(content, in: message, number)
    }
    let weight = try weight(message, number)
    for (key, value) in message where !["weight", "train"].contains(key) {
      result[key] = key == "tool_calls" ? try calls(value, number) : value
    }
    return (result, weight)
  }

  /// The fields that say who speaks, and what.
  private static func names(
    in message: JSONObject, _ map: FieldMap
  ) -> (role: String?, content: String?) {
    func name(_ candidates: [String]) -> String? { candidates.first { message[$0] != nil } }
    return (
      map.names[.role] ?? name(["role", "from", "name", "speaker"]),
      map.names[.content] ?? name(["content", "value", "text"])
    )
  }

  /// Whether a value is a list of messages by its form: objects that say who speaks, and what.
  static func areMessages(_ value: JSONValue?, _ map: FieldMap) -> Bool {
    guard let elements = value?.arrayValue, !elements.isEmpty else { return false }
    return elements.allSatisfy { element in
      guard let message = element.objectValue else { return false }
      let (role, content) = names(in: message, map)
      return [role, content].allSatisfy { $0.flatMap { message[$0]?.stringValue } != nil }
    }
  }

  /// What speakers are called elsewhere, in the words of templates.
  private static let roles: [String: String] = [
    "human": "user", "prompter": "user", "customer": "user",
    "gpt": "assistant", "bot": "assistant", "agent": "assistant", "chatgpt": "assistant",
    "bing": "assistant", "bard": "assistant", "ai": "assistant", "chatbot": "assistant",
    "function_call": "assistant", "observation": "tool", "function_response": "tool",
  ]

  private func role(
    _ given: String, of field: String, _ number: Int
  ) throws(FormatError) -> String {
    let word = given.lowercased()
    if let role = Self.roles[word] { return role }
    if ["user", "assistant", "system", "tool"].contains(word) { return word }
    // OpenAI's own further roles (developer, function) and those of a template are the template's matter.
    if field == "role", !given.isEmpty { return given }
    throw error(
      number, "'\(given)' says nothing of who speaks",
      "name speakers as user (human), assistant (gpt), system or tool")
  }

  /// A text, or a list of parts that are texts; nothing where tools are called instead.
  private func checked(
    _ content: JSONValue, in message: JSONObject, _ number: Int
  ) throws(FormatError) -> JSONValue {
    switch content {
    case .string: return content
    case .null where message["tool_calls"] != nil || message["function_call"] != nil: return content
    case .null:
      throw error(
        number, "it has no content; found \(RecordFields.list(message.keys))",
        "write what is said as \"content\"; other names by --map content=FIELD")
    case .array(let parts):
      for part in parts where part["type"]?.stringValue != "text" {
        throw error(
          number,
          "a part of its content is \(part["type"].map { "of the type \($0)" } ?? part.kind)",
          "only parts of the type \"text\" are read: pictures and sounds are not learned from")
      }
      return content
    default:
      throw error(number, "expected a string as its content, found \(content.kind)", "write a text")
    }
  }

  // MARK: - Weights

  /// `weight` as OpenAI has it, or `train` as axolotl has it.
  private func weight(_ message: JSONObject, _ number: Int) throws(FormatError) -> Float? {
    if let train = message["train"]?.boolValue { return train ? 1 : 0 }
    guard let value = message["weight"], !value.isNull else { return nil }
    guard let weight = value.doubleValue, weight.isFinite, weight >= 0 else {
      throw error(
        number, "expected a number from 0 as its weight, found \(value)",
        "0 leaves a message out of the loss, 1 is what every other one counts")
    }
    return Float(weight)
  }

  // MARK: - Tools

  /// Calls with their arguments as objects, which templates write out: OpenAI's API has them as texts.
  private func calls(_ value: JSONValue, _ number: Int) throws(FormatError) -> JSONValue {
    guard let calls = value.arrayValue else {
      if value.isNull { return value }
      throw error(number, "expected a list as its tool_calls, found \(value.kind)", "")
    }
    return .array(
      calls.map { call in
        guard var object = call.objectValue, var function = object["function"]?.objectValue,
          let arguments = Self.object(in: function["arguments"])
        else { return call }
        function["arguments"] = arguments
        object["function"] = .object(function)
        return .object(object)
      })
  }

  /// ShareGPT's message of a call: a text that is the call's JSON.
  private func call(_ content: JSONValue, _ number: Int) throws(FormatError) -> JSONValue {
    let parsed = content.stringValue.flatMap { try? JSONValue(parsing: $0) } ?? content
    let calls = parsed.arrayValue ?? [parsed]
    var result: [JSONValue] = []
    for call in calls {
      guard let name = call["name"], name.stringValue != nil else {
        throw error(
          number, "its call of a function is no object with a name and arguments",
          "write {\"name\": \"...\", \"arguments\": {...}}")
      }
      let arguments = call["arguments"] ?? call["parameters"] ?? [:]
      result.append([
        "type": "function",
        "function": ["name": name, "arguments": Self.object(in: arguments) ?? arguments],
      ])
    }
    return .array(result)
  }

  /// The object that a text holds; nil for another text, and for no text.
  private static func object(in value: JSONValue?) -> JSONValue? {
    guard let text = value?.stringValue, let parsed = try? JSONValue(parsing: text),
      parsed.objectValue != nil
    else { return nil }
    return parsed
  }

  /// A list that stands beside the messages, or a text that is its JSON.
  private func list(
    _ name: String, of record: RecordFields
  ) throws(FormatError) -> [TemplateValue]? {
    guard let value = record.value(name) else { return nil }
    let parsed = value.stringValue.flatMap { try? JSONValue(parsing: $0) } ?? value
    if let text = value.stringValue, text.isEmpty { return nil }
    guard let elements = parsed.arrayValue, elements.allSatisfy({ $0.objectValue != nil }) else {
      throw record.error(
        "expected a list of objects as '\(name)', found \(value.kind)",
        "write each as an object; tools are JSON schemas")
    }
    // Data sets that have the column for all conversations have it empty where there are none.
    return elements.isEmpty ? nil : elements.map { TemplateValue($0) }
  }

  private func error(_ number: Int, _ problem: String, _ remedy: String) -> FormatError {
    FormatError(
      .typeMismatch, file: path, subject: "line \(line), message \(number)", problem: problem,
      remedy: remedy)
  }
}
