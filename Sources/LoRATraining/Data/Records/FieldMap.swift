import LoRAFiles
import LoRAJSON

/// Which fields of a file hold what, where they have other names than the library's.
///
/// ```swift
/// let fields = try FieldMap("prompt=question,completion=answer")
/// let file = try DataFile("gsm8k.jsonl", fields: fields)
/// ```
///
/// A field within another is named with dots: `output=instances.0.output` is the `output` of the first
/// of a list of `instances`.
public struct FieldMap: Sendable, Hashable {
  /// What a field means.
  public enum Field: String, Sendable, Hashable, CaseIterable {
    /// A whole text.
    case text
    /// The second text of a pair.
    case textPair = "text_pair"
    /// The label of a text.
    case label
    /// What a model is asked.
    case prompt
    /// What it answers.
    case completion
    /// The better of two answers.
    case chosen
    /// The worse of two answers.
    case rejected
    /// The messages of a conversation.
    case messages
    /// What the system is told before them.
    case system
    /// The tools that a model may call.
    case tools
    /// An instruction, as Alpaca has it.
    case instruction
    /// What the instruction is about.
    case input
    /// The answer to an instruction.
    case output
    /// The words of a text.
    case tokens
    /// Their labels.
    case tags
    /// Who says a message.
    case role
    /// What a message says.
    case content

    /// Whether it is a field of each message, not of a record.
    var isOfMessage: Bool { self == .role || self == .content }
  }

  /// The fields of the file, by what they mean.
  public private(set) var names: [Field: String]

  /// Creates a map; without names every field has the library's.
  public init(_ names: [Field: String] = [:]) { self.names = names }

  /// Reads `prompt=question,completion=answer`. Throws ``TrainingError`` for a part that is no such pair, for
  /// a meaning that is not one of ``Field``, and for one that is given twice.
  public init(_ text: String) throws(TrainingError) {
    self.init()
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", maxSplits: 1).map(Self.trimmed)
      guard sides.count == 2, !sides[0].isEmpty, !sides[1].isEmpty else {
        throw .invalidOption(
          name: "the map of fields", value: "\(part)",
          expected: "MEANING=FIELD, as prompt=question")
      }
      guard let field = Field(rawValue: sides[0]) else {
        throw .invalidOption(
          name: "the map of fields", value: "\(part)",
          expected: "one of " + Field.allCases.map(\.rawValue).joined(separator: ", ")
            + " before the '='")
      }
      guard names.updateValue(sides[1], forKey: field) == nil else {
        throw .invalidOption(
          name: "the map of fields", value: text, expected: "'\(field.rawValue)' once")
      }
    }
  }

  private static func trimmed(_ text: Substring) -> String {
    String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}

extension FieldMap {
  /// The object with its fields under the library's names. Throws for a field that is not there.
  func renamed(_ object: JSONObject, file: String, line: Int) throws(FormatError) -> JSONObject {
    guard !names.isEmpty else { return object }
    var result = object
    let renamed = names.filter { !$0.key.isOfMessage }
    // What has another name now is not a field of that name any more.
    for (field, name) in renamed where field.rawValue != name { result[name] = nil }
    for (field, name) in renamed.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      guard let value = Self.value(at: name, in: .object(object)) else {
        throw FormatError(
          .missingKey, file: file, subject: "line \(line)",
          problem: "there is no '\(name)', which is to be the \(field.rawValue); found "
            + RecordFields.list(object.keys),
          remedy: "name a field that every record has, with dots for one within another")
      }
      result[field.rawValue] = value
    }
    return result
  }

  /// The map for a table, whose columns are compared without case.
  var ofColumns: FieldMap { FieldMap(names.mapValues { DataFile.columnName($0) }) }

  /// The value of a field, or of one within others: a name that holds dots itself goes first.
  private static func value(at path: String, in value: JSONValue) -> JSONValue? {
    if let found = value[path] { return found }
    guard let dot = path.firstIndex(of: ".") else {
      return Int(path).flatMap { index in
        value.arrayValue.flatMap { $0.indices.contains(index) ? $0[index] : nil }
      }
    }
    let (head, rest) = (String(path[..<dot]), String(path[path.index(after: dot)...]))
    guard let inner = Self.value(at: head, in: value) else { return nil }
    return Self.value(at: rest, in: inner)
  }
}
