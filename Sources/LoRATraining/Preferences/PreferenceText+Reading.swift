package import LoRAFiles
package import LoRAJSON
import LoRATemplates

extension PreferenceText {
  /// Reads the examples of the file at `path`: JSON lines, a JSON list or a table, all of them pairs
  /// (`prompt`, `chosen`, `rejected`) or all single completions (`prompt`, `completion` and `label`, true
  /// or false). Each is a text, or a list of messages, as TRL has them. Without a prompt it is what `chosen` and
  /// `rejected` begin with alike. Fields of other names are told by `fields`; the rest is metadata.
  ///
  /// Throws `FormatError` with the line of the problem, also for a completion that is empty and for a
  /// pair of equal ones, and ``TrainingError`` for a map of fields that such records don't have.
  public static func read(
    _ path: String, fields: FieldMap = FieldMap()
  ) throws -> [PreferenceText] {
    try fields.demand(
      [.prompt, .chosen, .rejected, .completion, .label, .tools, .system, .role, .content],
      of: "preferences")
    let file = try DataFile(path, fields: fields)
    guard file.format != .text, file.format != .safetensors else {
      throw FormatError(
        .unsupported, file: path, problem: "\(file.format.title) holds no preferences",
        remedy: "give records of \(PreferenceFields.forms), one a line")
    }
    var examples: [PreferenceText] = []
    try file.forEachObject { value, line in
      let example = try PreferenceFields(path: path, line: line, fields: fields).example(of: value)
      if let first = examples.first, first.isPair != example.isPair {
        throw LabelledText.error(
          path, line,
          "one of this record and that on line \(first.line) is a pair and the other is not",
          "give all records of a file one form")
      }
      examples.append(example)
    }
    guard !examples.isEmpty else {
      throw FormatError(.invalidValue, file: path, problem: "it holds no examples")
    }
    return examples
  }
}

/// What a record of a file of preferences means.
package struct PreferenceFields {
  static let forms =
    "{\"prompt\": ..., \"chosen\": ..., \"rejected\": ...} or {\"prompt\": ..., \"completion\": ..., "
    + "\"label\": true}"

  let path: String
  let line: Int
  let fields: FieldMap
  /// Whether empty and equal answers are taken: a check of data says more of them than that they are wrong.
  let isLenient: Bool

  package init(path: String, line: Int, fields: FieldMap = FieldMap(), isLenient: Bool = false) {
    (self.path, self.line, self.fields, self.isLenient) = (path, line, fields, isLenient)
  }

  /// Whether an object has the fields of a preference.
  package static func areIn(_ object: JSONObject) -> Bool {
    func has(_ name: String) -> Bool { object[name] != nil && object[name] != .null }
    return has("chosen") && has("rejected")
      || has("prompt") && has("completion") && (object["label"]?.boolValue != nil)
  }

  /// The example; its fields have the library's names already.
  package func example(of value: JSONValue) throws(FormatError) -> PreferenceText {
    guard let object = value.objectValue else {
      throw error("expected \(Self.forms), found \(value.kind)", "write an object a line")
    }
    if object["completion"] != nil || object["label"] != nil {
      let (prompt, completion) = (
        try field("prompt", of: object), try field("completion", of: object)
      )
      let isDesirable = try label(object["label"])
      guard prompt.isList || completion.isList else {
        return PreferenceText(
          prompt: prompt.text, chosen: isDesirable ? completion.text : nil,
          rejected: isDesirable ? nil : completion.text, line: line)
      }
      let messages = try messages(completion, of: "assistant", object)
      return PreferenceText(
        .init(
          prompt: try chat(prompt, object), chosen: isDesirable ? messages : nil,
          rejected: isDesirable ? nil : messages), line: line)
    }
    let (chosen, rejected) = (try field("chosen", of: object), try field("rejected", of: object))
    guard isLenient || chosen.value != rejected.value else {
      throw error(
        "'chosen' and 'rejected' are the same text, so that nothing is preferred",
        "leave the record out")
    }
    let hasPrompt = object["prompt"] != nil && object["prompt"] != .null
    let prompt = hasPrompt ? try field("prompt", of: object) : nil
    guard chosen.isList || rejected.isList || prompt?.isList ?? false else {
      guard let prompt else { return try divided(chosen.text, rejected.text) }
      return PreferenceText(
        prompt: prompt.text, chosen: chosen.text, rejected: rejected.text, line: line)
    }
    return PreferenceText(try chat(prompt, chosen, rejected, object), line: line)
  }

  // MARK: - Texts

  /// A field's value: a text, or a list of messages.
  private struct Field {
    var value: JSONValue
    var text: String { value.stringValue ?? "" }
    var isList: Bool { value.arrayValue != nil }
  }

  private func field(_ name: String, of object: JSONObject) throws(FormatError) -> Field {
    switch object[name] {
    case .string(let text)?:
      guard name == "prompt" || isLenient || !text.isEmpty else {
        throw error("'\(name)' is empty", "leave the record out, or write a completion")
      }
      // In a table a list is written as JSON.
      if text.hasPrefix("[{"), let list = try? JSONValue(parsing: text), list.arrayValue != nil {
        return Field(value: list)
      }
      return Field(value: .string(text))
    case .array(let messages)? where messages.isEmpty:
      throw error("'\(name)' has no messages", "leave the record out, or give it one")
    case .array(let messages)?: return Field(value: .array(messages))
    case nil, .null?:
      throw error(
        "expected \(Self.forms); '\(name)' is missing, found \(RecordFields.list(object.keys))",
        "rename the fields, or say which is which: --map prompt=FIELD,chosen=FIELD,rejected=FIELD")
    case let other?:
      throw error(
        "expected a string or a list of messages as '\(name)', found \(other.kind)",
        "write it as one text, as the model will be asked, or as messages")
    }
  }

  /// Two texts whose common beginning is the prompt; a space before the difference belongs to the
  /// completions, as in TRL.
  private func divided(
    _ chosen: String, _ rejected: String
  ) throws(FormatError) -> PreferenceText {
    let (one, other) = (Array(chosen.unicodeScalars), Array(rejected.unicodeScalars))
    let shorter = min(one.count, other.count)
    var length = (0..<shorter).first { one[$0] != other[$0] } ?? shorter - 1
    if length > 0, one[length - 1] == " " { length -= 1 }
    guard length > 0 else { throw nothingInCommon }
    func text(_ part: ArraySlice<Unicode.Scalar>) -> String {
      String(String.UnicodeScalarView(part))
    }
    return PreferenceText(
      prompt: text(one[..<length]), chosen: text(one[length...]), rejected: text(other[length...]),
      line: line)
  }

  private var nothingInCommon: FormatError {
    error(
      "there is no 'prompt', and 'chosen' and 'rejected' begin differently",
      "give the prompt, or let both begin with it")
  }

  // MARK: - Messages

  private func messages(
    _ field: Field, of role: JSONValue, _ object: JSONObject
  ) throws(FormatError) -> [TemplateValue] {
    try chat(field, of: role, [:]).messages
  }

  private func chat(_ prompt: Field, _ object: JSONObject) throws(FormatError) -> ChatRecord {
    try chat(prompt, of: "user", object)
  }

  private func chat(
    _ field: Field, of role: JSONValue, _ object: JSONObject
  ) throws(FormatError) -> ChatRecord {
    let list: JSONValue = field.isList ? field.value : [["role": role, "content": field.value]]
    var chat = try MessageList(list, path: path, line: line, map: fields).chat(
      beside: RecordFields(path: path, line: line, object: object, map: fields))
    chat.weights = nil
    return chat
  }

  /// Messages with a prompt of their own or, as TRL has it, one that both begin with.
  private func chat(
    _ prompt: Field?, _ chosen: Field, _ rejected: Field, _ object: JSONObject
  ) throws(FormatError) -> PreferenceText.Chat {
    let (one, other) = (
      try messages(chosen, of: "assistant", object), try messages(rejected, of: "assistant", object)
    )
    guard isLenient || one != other else {
      throw error(
        "'chosen' and 'rejected' are the same messages, so that nothing is preferred",
        "leave the record out")
    }
    if let prompt, prompt.isList || !(chosen.isList && rejected.isList) {
      return .init(prompt: try chat(prompt, object), chosen: one, rejected: other)
    }
    let shorter = min(one.count, other.count)
    let length = (0..<shorter).first { one[$0] != other[$0] } ?? shorter - 1
    guard length > 0 else {
      // Answers alone, to a prompt that is a text.
      guard let prompt else { throw nothingInCommon }
      return .init(prompt: try chat(prompt, object), chosen: one, rejected: other)
    }
    var record = try chat(chosen, object)
    // A system's text beside the messages stands before them.
    let told = record.messages.count - one.count
    record.messages.removeSubrange((told + length)...)
    return .init(prompt: record, chosen: Array(one[length...]), rejected: Array(other[length...]))
  }

  // MARK: - Judgements

  /// The judgement of a completion; tables hold it as a text.
  private func label(_ value: JSONValue?) throws(FormatError) -> Bool {
    if let flag = value?.boolValue { return flag }
    switch value?.stringValue?.lowercased() ?? value?.intValue.map({ "\($0)" }) {
    case "true", "1": return true
    case "false", "0": return false
    default:
      throw error(
        "expected true (desirable) or false as 'label', found "
          + (value.map { $0.stringValue.map { "'\($0)'" } ?? "\($0.kind)" } ?? "none"),
        "write true or false")
    }
  }

  private func error(_ problem: String, _ remedy: String) -> FormatError {
    LabelledText.error(path, line, problem, remedy)
  }
}
