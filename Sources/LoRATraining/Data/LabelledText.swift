import LoRAFiles
import LoRAJSON

/// A text, or two that belong together, with its labels, as a file of examples has it.
///
/// ```json
/// {"text": "where is my parcel", "label": "delivery"}
/// {"text": "A man sleeps.", "text_pair": "A man is awake.", "label": "contradiction"}
/// {"text": "late, and broken", "label": ["delivery", "damage"]}
/// {"text": "where is my parcel"}
/// ```
public struct LabelledText: Sendable, Hashable {
  /// A label, by its name or by its number among a model's labels.
  public enum Label: Sendable, Hashable {
    /// The name.
    case name(String)
    /// The number, from 0.
    case number(Int)
  }

  /// The text.
  public var text: String
  /// The text behind it; nil for one alone.
  public var second: String?
  /// The labels; nil where the file says nothing of them.
  public var labels: [Label]?
  /// Whether the labels stand in a list, so that there may be several, or none.
  public var isList: Bool
  /// The line of the file on which the example begins, from 1.
  public var line: Int

  /// Creates an example.
  public init(
    _ text: String, second: String? = nil, labels: [Label]? = nil, isList: Bool = false,
    line: Int = 0
  ) {
    self.text = text
    self.second = second
    self.labels = labels
    self.isList = isList
    self.line = line
  }
}

extension LabelledText {
  /// Reads the examples of the file at `path`: JSON lines, a JSON list or a table, with the fields `text`
  /// and, as wanted, `text_pair` and `label`; or a text file, whose lines are the texts.
  ///
  /// A label is a name, or a number of a model's labels; a list of them says that an example may have
  /// several. Fields of other names are told by `fields`; the rest is metadata. Throws `FormatError` with the
  /// line of the problem, and ``TrainingError`` for a map of fields that such records don't have.
  public static func read(
    _ path: String, fields: FieldMap = FieldMap()
  ) throws -> [LabelledText] {
    try fields.demand([.text, .textPair, .label], of: "labelled texts and pairs")
    let file = try DataFile(path, fields: fields)
    var result: [LabelledText] = []
    switch file.format {
    case .jsonLines, .json:
      try file.forEachObject { result.append(try example($0, file: path, line: $1)) }
    case .csv: result = try rows(of: file)
    case .text:
      let reader = try ByteReader(path: path)
      var (bytes, line) = ([UInt8](), reader.line)
      while try reader.nextLine(into: &bytes) {
        defer { line = reader.line }
        let text = String(decoding: bytes, as: UTF8.self)
        if text.allSatisfy(\.isWhitespace) { continue }
        result.append(LabelledText(text, line: line))
      }
    case .safetensors:
      throw FormatError(
        .unsupported, file: path, problem: "token ids have no labels",
        remedy: "give texts: {\"text\": ..., \"label\": ...}, one a line")
    }
    guard !result.isEmpty else {
      throw FormatError(.invalidValue, file: path, problem: "it holds no examples")
    }
    return result
  }

  private static func example(
    _ value: JSONValue, file: String, line: Int
  ) throws(FormatError) -> LabelledText {
    guard let object = value.objectValue else {
      throw error(
        file, line, "expected {\"text\": ..., \"label\": ...}, found \(value.kind)",
        "write an object a line")
    }
    func string(_ name: String) throws(FormatError) -> String? {
      switch object[name] {
      case nil, .null?: return nil
      case .string(let text)?: return text
      case let other?:
        throw error(file, line, "expected a string as '\(name)', found \(other.kind)", "")
      }
    }
    guard let text = try string("text") else {
      throw error(
        file, line,
        "expected the field 'text'; found "
          + (object.isEmpty ? "none" : object.keys.map { "'\($0)'" }.joined(separator: ", ")),
        "rename the fields (text, text_pair, label), or say which is which: --map "
          + "text=FIELD,label=FIELD")
    }
    var result = LabelledText(text, second: try string("text_pair"), line: line)
    switch object["label"] {
    case nil, .null?: break
    case .array(let elements)?:
      result.isList = true
      var labels: [Label] = []
      for element in elements { labels.append(try label(element, file, line)) }
      guard Set(labels).count == labels.count else {
        throw error(file, line, "a label occurs twice in the list", "give each once")
      }
      result.labels = labels
    case let value?: result.labels = [try label(value, file, line)]
    }
    return result
  }

  static func label(
    _ value: JSONValue, _ file: String, _ line: Int, field: String = "label"
  ) throws(FormatError) -> Label {
    if let name = value.stringValue {
      guard !name.isEmpty else { throw error(file, line, "the label is empty", "give it a name") }
      return .name(name)
    }
    if case .integer = value, let number = value.intValue, number >= 0 { return .number(number) }
    throw error(
      file, line, "expected a name, or a number from 0, as '\(field)'; found \(value.kind)",
      field == "label" ? "several labels stand in a list" : "give each token one")
  }

  private static func rows(of file: DataFile) throws -> [LabelledText] {
    var result: [LabelledText] = []
    try file.forEachObject { names, line in
      guard names.contains("text") else {
        throw error(
          file.path, line,
          "expected a column 'text'; found " + names.map { "'\($0)'" }.joined(separator: ", "),
          "name the columns in the first line (text, text_pair, label), or say which is which: "
            + "--map text=COLUMN,label=COLUMN")
      }
    } _: { row, line in
      func field(_ name: String) -> String? {
        row[name]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
      }
      result.append(
        LabelledText(
          field("text") ?? "", second: field("text_pair"),
          labels: field("label").map { [.name($0)] }, line: line))
    }
    return result
  }

  static func error(
    _ file: String, _ line: Int, _ problem: String, _ remedy: String
  ) -> FormatError {
    FormatError(
      .typeMismatch, file: file, subject: "line \(line)", problem: problem, remedy: remedy)
  }
}
