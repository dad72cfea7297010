import LoRAFiles
import LoRAJSON
import LoRATemplates
public import LoRATraining

/// An example of a data file as detectors see it: who says what, and what labels it has.
public struct CheckedExample: Sendable {
  /// One text of an example.
  public struct Turn: Sendable {
    /// Who says it: `user`, `assistant`, `system`, `tool`, another name of a conversation, `rejected` for what a
    /// preference should not have said, or `text`.
    public let role: String
    /// What is said.
    public let text: String
    /// Whether it calls tools, which is said without words.
    public let callsTools: Bool
    /// Its words and sentences.
    let words: TextWords

    init(_ role: String, _ text: String, callsTools: Bool = false) {
      self.role = role
      self.text = text
      self.callsTools = callsTools
      words = TextWords(text)
    }
  }

  /// The example's number in all files, from 0.
  public let number: Int
  /// The index of its file among those that are checked.
  public internal(set) var file = 0
  /// The line of its file on which it begins, from 1.
  public let line: Int
  /// The record; of a preference its prompt and the answer that was chosen, or the only one.
  public let record: DataRecord
  /// The preference that it is; nil for other records.
  public let preference: PreferenceText?
  /// What is said, in order.
  public let turns: [Turn]
  /// Its labels, as written; empty for none.
  public let labels: [String]

  init(_ record: DataRecord, value: JSONValue, number: Int) {
    self.record = record
    self.number = number
    line = record.line
    preference = nil
    labels = Self.labels(value["label"])
    var turns = Self.turns(of: record.content)
    if case .text = record.content, let second = value["text_pair"]?.stringValue {
      turns.append(Turn("text", second))
    }
    self.turns = turns
  }

  init(_ preference: PreferenceText, value: JSONValue, number: Int) {
    self.preference = preference
    self.number = number
    line = preference.line
    labels = Self.labels(value["label"])
    let answer = preference.chosen ?? preference.rejected ?? ""
    record = DataRecord(
      .pair(PromptCompletion(prompt: preference.prompt, completion: answer)), line: preference.line)
    var turns: [Turn]
    if let chat = preference.chat {
      turns = chat.prompt.messages.map(Self.turn)
      turns += (chat.chosen ?? chat.rejected ?? []).map(Self.turn)
    } else {
      turns = [Turn("user", preference.prompt), Turn("assistant", answer)]
    }
    if preference.chosen != nil, let rejected = preference.rejected {
      turns.append(Turn("rejected", rejected))
    }
    self.turns = turns
  }

  /// The example of a value, whichever form it has. Throws for one that has none.
  init(
    _ record: Result<DataRecord, FormatError>, value: JSONValue, line: Int, number: Int,
    in file: DataFile
  ) throws(FormatError) {
    if let object = value.objectValue {
      if PreferenceFields.areIn(object) {
        let fields = PreferenceFields(
          path: file.path, line: line, fields: file.fields, isLenient: true)
        self.init(try fields.example(of: value), value: value, number: number)
        return
      }
      if TaggedText.areWords(in: object) {
        let words = try TaggedText.example(value, file: file.path, line: line, file.fields)
        self.init(
          DataRecord(.text(words.splitKey), line: line), value: [:], number: number)
        return
      }
    }
    self.init(try record.get(), value: value, number: number)
  }

  /// What form its record has, for errors.
  var form: String {
    guard let preference else { return record.content.form }
    return preference.chosen != nil && preference.rejected != nil
      ? "prompt, chosen and rejected" : "prompt, completion and label"
  }

  /// Whether it is a conversation of the file's own.
  var isChat: Bool { if case .chat = record.content { true } else { false } }

  /// What is learned: what the assistant says.
  public var answers: [Turn] { turns.filter { $0.role == "assistant" } }

  /// The last answer, and where it stands; nil for a text.
  var lastAnswer: (place: Int, turn: Turn)? {
    turns.lastIndex { $0.role == "assistant" }.map { ($0, turns[$0]) }
  }

  // MARK: - Reading

  private static func turns(of content: DataRecord.Content) -> [Turn] {
    switch content {
    case .text(let text): [Turn("text", text)]
    case .pair(let pair): [Turn("user", pair.prompt), Turn("assistant", pair.completion)]
    case .instruction(let instruction): instruction.chat.messages.map(turn)
    case .chat(let chat): chat.messages.map(turn)
    case .tokens: []
    }
  }

  private static func turn(_ message: TemplateValue) -> Turn {
    var role = ""
    if case .string(let name)? = message["role"] { role = name }
    let calls = [message["tool_calls"], message["function_call"]].contains { value in
      value != nil && value != .null
    }
    return Turn(role, message.messageText, callsTools: calls)
  }

  private static func labels(_ value: JSONValue?) -> [String] {
    switch value {
    case .string(let text)?: [text]
    case .integer(let number)?: ["\(number)"]
    case .bool(let flag)?: ["\(flag)"]
    case .array(let values)?: values.flatMap { labels($0) }
    default: []
    }
  }
}
