import LoRAFiles
import LoRAJSON

/// What a record of named fields means, in JSON and tables alike.
///
/// | fields | form |
/// | --- | --- |
/// | `messages`, or `conversations` | a conversation, of OpenAI's or ShareGPT's kind |
/// | `prompt` and `completion` | a pair; lists of messages make a conversation |
/// | `instruction` and `output` | Alpaca's; `input`, `system` and `history` may stand beside them |
/// | `text` | a text |
///
/// The first of them goes, as in TRL. Other fields are metadata.
struct RecordFields {
  let path: String
  let line: Int
  let object: JSONObject
  var map = FieldMap()

  /// The record that the fields make.
  func record() throws(FormatError) -> DataRecord {
    if let messages = value("messages") ?? value("conversations") ?? value("conversation") {
      let chat = try messageList(messages).chat(beside: self)
      return record(.chat(chat), unused: ["prompt", "completion", "instruction", "output", "text"])
    }
    if let prompt = value("prompt"), let completion = value("completion") {
      let rest = ["instruction", "output", "text"]
      if prompt.arrayValue != nil || completion.arrayValue != nil {
        return record(.chat(try chat(prompt: prompt, completion: completion)), unused: rest)
      }
      let pair = PromptCompletion(
        prompt: try text(prompt, "prompt"), completion: try text(completion, "completion"))
      return record(.pair(pair), unused: rest)
    }
    if let instruction = try string("instruction"), let output = try string("output") {
      let record = InstructionRecord(
        instruction: instruction, input: try string("input") ?? "", output: output,
        system: try string("system").flatMap { $0.isEmpty ? nil : $0 }, history: try history())
      return self.record(.instruction(record), unused: ["prompt", "completion", "text"])
    }
    if let text = try string("text") {
      return record(.text(text), unused: ["prompt", "completion"])
    }
    throw unknownForm()
  }

  private func record(_ content: DataRecord.Content, unused: [String]) -> DataRecord {
    DataRecord(content, line: line, unusedFields: unused.filter { value($0) != nil })
  }

  /// The fields of each form.
  static let forms = [
    ["messages"], ["conversations"], ["conversation"], ["prompt", "completion"],
    ["instruction", "output"], ["text"], ["chosen", "rejected"],
  ]

  // MARK: - Conversations

  private func messageList(_ value: JSONValue) throws(FormatError) -> MessageList {
    // In a table a list is written as JSON.
    if let text = value.stringValue, text.contains("["), let list = try? JSONValue(parsing: text) {
      return MessageList(list, path: path, line: line, map: map)
    }
    return MessageList(value, path: path, line: line, map: map)
  }

  /// The conversation of a prompt and what follows it, of which the latter is learned.
  private func chat(
    prompt: JSONValue, completion: JSONValue
  ) throws(FormatError) -> ChatRecord {
    func list(_ value: JSONValue, _ role: JSONValue) throws(FormatError) -> MessageList {
      let messages: JSONValue =
        value.stringValue == nil ? value : [["role": role, "content": value]]
      return try messageList(messages)
    }
    var chat = try list(prompt, "user").chat(beside: self)
    let answers = try list(completion, "assistant").chat(
      beside: RecordFields(path: path, line: line, object: [:], map: map))
    chat.weights =
      chat.messages.map { _ in 0 }
      + answers.messages.indices.map { answers.weights?[$0] ?? 1 }
    chat.messages += answers.messages
    return chat
  }

  /// What was asked and answered before: pairs, as LLaMA-Factory has them.
  private func history() throws(FormatError) -> [PromptCompletion] {
    guard let value = value("history") else { return [] }
    var turns: [PromptCompletion] = []
    for turn in value.arrayValue ?? [.null] {
      guard let parts = turn.arrayValue, parts.count == 2, let prompt = parts[0].stringValue,
        let completion = parts[1].stringValue
      else {
        throw error(
          "expected a list of [question, answer] as 'history', found \(value.kind)",
          "give what was said before in such pairs of strings")
      }
      turns.append(PromptCompletion(prompt: prompt, completion: completion))
    }
    return turns
  }

  // MARK: - Values

  /// The value of a field; nil where it is absent or null.
  func value(_ name: String) -> JSONValue? {
    guard let value = object[name], !value.isNull else { return nil }
    return value
  }

  func string(_ name: String) throws(FormatError) -> String? {
    guard let value = value(name) else { return nil }
    return try text(value, name)
  }

  private func text(_ value: JSONValue, _ name: String) throws(FormatError) -> String {
    if let text = value.stringValue { return text }
    throw error(
      "expected a string as '\(name)', found \(value.kind)",
      "write it as one text, as the model will be asked")
  }

  // MARK: - Errors

  func error(_ problem: String, _ remedy: String) -> FormatError {
    FormatError(
      .typeMismatch, file: path, subject: "line \(line)", problem: problem, remedy: remedy)
  }

  private func unknownForm() -> FormatError {
    if value("chosen") != nil, value("rejected") != nil {
      return error("it is a preference, found \(Self.list(object.keys))", "give --task preference")
    }
    return error(
      "expected {\"text\": ...}, {\"prompt\": ..., \"completion\": ...}, {\"messages\": [...]} or "
        + "{\"instruction\": ..., \"output\": ...}; found \(Self.list(object.keys))",
      "rename the fields, or say which is which: " + Self.map(for: object.keys))
  }

  /// Field names in a sentence.
  static func list(_ names: [String]) -> String {
    names.isEmpty ? "no fields" : names.prefix(8).map { "'\($0)'" }.joined(separator: ", ")
  }

  /// How fields of no known form are named, by what such fields are called elsewhere.
  static func map(for names: [String]) -> String {
    func first(_ candidates: [String]) -> String? {
      candidates.lazy.compactMap { candidate in names.first { $0.lowercased() == candidate } }.first
    }
    if let turns = first(["dialogue", "dialog", "utterances", "turns", "chat"]) {
      return "--map messages=\(turns)"
    }
    let asked = first(["prompt", "question", "query", "instruction", "input", "source", "q"])
    let answered = first(["completion", "answer", "response", "output", "reply", "target", "a"])
    if let asked, let answered { return "--map prompt=\(asked),completion=\(answered)" }
    if let text = first(["content", "sentence", "document", "body"]) {
      return "--map text=\(text)"
    }
    return "--map prompt=FIELD,completion=FIELD"
  }
}
