import LoRAFiles
import LoRAJSON

extension DataFile {
  /// The same file with the fields of its records recognized by names that are in use elsewhere, where its
  /// first record has no form of the library's own:
  ///
  /// | fields | read as |
  /// | --- | --- |
  /// | one of `question`, `query`, `instruction`, `prompt`, and one of `answer`, `response`, `output`, `completion` | an instruction and its answer |
  /// | `context` beside them | the instruction's input |
  /// | one of `utterances`, `dialogue`, `dialog`, `turns`, `chat`: objects that say who speaks and what | a conversation |
  ///
  /// The names ignore case. A file of another kind, one with a map of its own, and one of whose fields two
  /// could be the same come back as they are. ``DataReader`` and the checks of data begin with this, and say
  /// it (``recognition``).
  ///
  /// ```swift
  /// let file = try DataFile("gsm8k.jsonl").recognizingFields()
  /// file.fields.names   // [.instruction: "question", .output: "answer"]
  /// ```
  ///
  /// Time: that of reading the first record.
  public func recognizingFields() -> DataFile {
    guard fields.names.keys.allSatisfy(\.isOfMessage), let object = firstObject(),
      let recognized = FieldMap(recognizing: object, messagesBy: fields)
    else { return self }
    var file = self
    file.fields = recognized
    file.recognition = recognized.sentence
    return file
  }

  /// The fields of the first record that has some: of a table the names of its columns. Nil where there are
  /// none, or what is wrong is said when the file is read.
  private func firstObject() -> JSONObject? {
    struct Found: Error { let object: JSONObject? }
    do {
      switch format {
      case .jsonLines:
        try forEachJSONLine(invalid: { _, _ in }) { value, _ in
          throw Found(object: value.objectValue)
        }
      case .json: try forEachElement { value, _, _ in throw Found(object: value.objectValue) }
      case .csv:
        try forEachCSVRow(header: { names, _ in
          var object = JSONObject()
          for name in names { object[Self.columnName(name)] = "" }
          throw Found(object: object)
        }) { _, _, _ in }
      case .text, .safetensors: break
      }
    } catch {
      return (error as? Found)?.object
    }
    return nil
  }
}

extension FieldMap {
  private static let asked = ["question", "query", "instruction", "prompt"]
  private static let answered = ["answer", "response", "output", "completion"]
  private static let conversations = ["utterances", "dialogue", "dialog", "turns", "chat"]
  /// Fields that make a record something else: its question has choices, or its text a label.
  private static let otherForms = ["choices", "label", "labels"]

  /// The map of a record's fields by names in use elsewhere; nil for a record of a form of the library's
  /// own, and for one that is not recognized beyond doubt.
  init?(recognizing object: JSONObject, messagesBy map: FieldMap) {
    guard !RecordFields.forms.contains(where: { $0.allSatisfy { object[$0] != nil } }) else {
      return nil
    }
    func fields(_ names: [String]) -> [String] {
      object.keys.filter { names.contains($0.lowercased()) }
    }
    var names = map.names
    let conversations = fields(Self.conversations).filter {
      MessageList.areMessages(object[$0], map)
    }
    if !conversations.isEmpty {
      guard conversations.count == 1 else { return nil }
      names[.messages] = conversations[0]
      self.init(names)
      return
    }
    let (asked, answered) = (fields(Self.asked), fields(Self.answered))
    let inputs = fields(["input", "context"])
    let texts = asked + answered + inputs
    guard asked.count == 1, answered.count == 1, inputs.count < 2, fields(Self.otherForms).isEmpty,
      texts.allSatisfy({ object[$0]?.stringValue != nil })
    else { return nil }
    names[.instruction] = asked[0]
    names[.output] = answered[0]
    names[.input] = inputs.first
    self.init(names)
  }

  /// What is read as what.
  fileprivate var sentence: String {
    let parts: [(Field, String)] = [
      (.messages, "the messages"), (.instruction, "the instruction"), (.input, "its input"),
      (.output, "its answer"),
    ]
    let words = parts.compactMap { field, meaning in names[field].map { ($0, meaning) } }
    let readings = words.enumerated().map { "'\($1.0)' \($0 == 0 ? "is read " : "")as \($1.1)" }
    return readings.joined(separator: ", ") + "; --map says otherwise"
  }
}
