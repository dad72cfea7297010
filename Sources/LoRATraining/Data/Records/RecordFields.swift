import LoRAFiles

/// What a record of named fields means, in JSON and CSV alike: `prompt` and `completion`, or `text`.
///
/// A prompt and its completion go before a text beside them, as in TRL. Other fields are metadata.
struct DataFields {
  /// The value of a field.
  enum Value {
    case text(String)
    /// Another type, in words.
    case other(String)
  }

  let path: String
  let line: Int
  /// The names of all fields, as the file has them.
  let names: [String]
  /// The value of a field; nil where it is absent or null.
  let value: (String) -> Value?

  /// The record that the fields make.
  func record() throws(FormatError) -> DataRecord {
    let (text, prompt, completion) = (
      try string("text"), try string("prompt"), try string("completion")
    )
    if let prompt, let completion {
      return DataRecord(
        .pair(PromptCompletion(prompt: prompt, completion: completion)), line: line,
        unusedFields: text == nil ? [] : ["text"])
    }
    if let text {
      let others = [("prompt", prompt), ("completion", completion)].filter { $0.1 != nil }
      return DataRecord(.text(text), line: line, unusedFields: others.map(\.0))
    }
    let found =
      names.isEmpty
      ? "no fields" : names.prefix(8).map { "'\($0)'" }.joined(separator: ", ")
    throw FormatError(
      .typeMismatch, file: path, subject: "line \(line)",
      problem: "expected {\"text\": ...} or {\"prompt\": ..., \"completion\": ...}, strings; found "
        + found, remedy: "rename the fields")
  }

  private func string(_ name: String) throws(FormatError) -> String? {
    switch value(name) {
    case nil: return nil
    case .text(let text): return text
    case .other(let kind):
      throw FormatError(
        .typeMismatch, file: path, subject: "line \(line)",
        problem: "expected a string as '\(name)', found \(kind)",
        remedy: "write it as one text, as the model will be asked")
    }
  }
}
