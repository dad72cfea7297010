import LoRAFiles
import LoRAJSON

/// A prompt with its completions, as a file of preferences has it.
///
/// ```json
/// {"prompt": "Which light blinks?", "chosen": " The filter light.", "rejected": " I don't know."}
/// {"prompt": "Which light blinks?", "completion": " The filter light.", "label": true}
/// ```
public struct PreferenceText: Sendable, Hashable {
  /// The prompt.
  public var prompt: String
  /// The completion that was chosen, or is desirable; nil for none.
  public var chosen: String?
  /// The completion that was rejected, or is undesirable; nil for none.
  public var rejected: String?
  /// The line of the file on which the example begins, from 1.
  public var line: Int

  /// Creates an example.
  public init(prompt: String, chosen: String? = nil, rejected: String? = nil, line: Int = 0) {
    self.prompt = prompt
    self.chosen = chosen
    self.rejected = rejected
    self.line = line
  }
}

extension PreferenceText {
  /// Reads the examples of the file at `path`: JSON lines, a JSON list or a table, all of them pairs
  /// (`prompt`, `chosen`, `rejected`) or all single completions (`prompt`, `completion` and `label`, true
  /// or false). Other fields are metadata.
  ///
  /// Throws `FormatError` with the line of the problem, also for a completion that is empty and for a
  /// pair of equal ones.
  public static func read(_ path: String) throws -> [PreferenceText] {
    let file = try DataFile(path)
    var reader = Reader(file: path)
    switch file.format {
    case .jsonLines: try file.forEachJSONLine { try reader.append($0, line: $1) }
    case .json: try file.forEachElement { value, line, _ in try reader.append(value, line: line) }
    case .csv:
      try file.forEachCSVRow { names, fields, line in
        try reader.append(
          .object(
            JSONObject(
              zip(names.map(DataFile.columnName), fields).map { ($0, JSONValue.string($1)) })),
          line: line)
      }
    case .text, .safetensors:
      throw FormatError(
        .unsupported, file: path, problem: "\(file.format.title) holds no preferences",
        remedy: "give records of \(Reader.forms), one a line")
    }
    guard !reader.examples.isEmpty else {
      throw FormatError(.invalidValue, file: path, problem: "it holds no examples")
    }
    return reader.examples
  }

  /// Makes examples of records.
  private struct Reader {
    static let forms =
      "{\"prompt\": ..., \"chosen\": ..., \"rejected\": ...} or {\"prompt\": ..., \"completion\": ..., "
      + "\"label\": true}"

    let file: String
    var examples: [PreferenceText] = []

    mutating func append(_ value: JSONValue, line: Int) throws(FormatError) {
      let example = try example(value, line: line)
      if let first = examples.first,
        (first.chosen != nil && first.rejected != nil)
          != (example.chosen != nil && example.rejected != nil)
      {
        throw error(
          line, "one of this record and that on line \(first.line) is a pair and the other is not",
          "give all records of a file one form")
      }
      examples.append(example)
    }

    private func example(_ value: JSONValue, line: Int) throws(FormatError) -> PreferenceText {
      guard let object = value.objectValue else {
        throw error(line, "expected \(Self.forms), found \(value.kind)", "write an object a line")
      }
      func text(_ name: String) throws(FormatError) -> String {
        switch object[name] {
        case .string(let text)?:
          guard name == "prompt" || !text.isEmpty else {
            throw error(line, "'\(name)' is empty", "leave the record out, or write a completion")
          }
          return text
        case nil, .null?:
          throw error(
            line,
            "expected \(Self.forms); '\(name)' is missing, found "
              + (object.isEmpty
                ? "no fields" : object.keys.prefix(8).map { "'\($0)'" }.joined(separator: ", ")),
            "rename the fields")
        case let other?:
          throw error(
            line, "expected a string as '\(name)', found \(other.kind)",
            "write it as one text, as the model will be asked")
        }
      }
      let prompt = try text("prompt")
      if object["completion"] != nil || object["label"] != nil {
        let completion = try text("completion")
        let isDesirable = try label(object["label"], line: line)
        return PreferenceText(
          prompt: prompt, chosen: isDesirable ? completion : nil,
          rejected: isDesirable ? nil : completion, line: line)
      }
      let (chosen, rejected) = (try text("chosen"), try text("rejected"))
      guard chosen != rejected else {
        throw error(
          line, "'chosen' and 'rejected' are the same text, so that nothing is preferred",
          "leave the record out")
      }
      return PreferenceText(prompt: prompt, chosen: chosen, rejected: rejected, line: line)
    }

    /// The judgement of a completion; tables hold it as a text.
    private func label(_ value: JSONValue?, line: Int) throws(FormatError) -> Bool {
      if let flag = value?.boolValue { return flag }
      switch value?.stringValue?.lowercased() ?? value?.intValue.map({ "\($0)" }) {
      case "true", "1": return true
      case "false", "0": return false
      default:
        throw error(
          line,
          "expected true (desirable) or false as 'label', found "
            + (value.map { $0.stringValue.map { "'\($0)'" } ?? "\($0.kind)" } ?? "none"),
          "write true or false")
      }
    }

    private func error(_ line: Int, _ problem: String, _ remedy: String) -> FormatError {
      LabelledText.error(file, line, problem, remedy)
    }
  }
}
