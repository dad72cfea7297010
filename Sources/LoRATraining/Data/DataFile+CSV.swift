import LoRAFiles
import LoRAJSON

extension DataFile {
  /// The rows of the table, whose first row names the columns; `header` is called with that.
  func forEachCSVRow(
    header: (_ names: [String], _ line: Int) throws -> Void = { _, _ in },
    invalid: ((FormatError, _ line: Int) throws -> Void)? = nil,
    _ body: (_ names: [String], _ fields: [String], _ line: Int) throws -> Void
  ) throws {
    var reader = try CSVReader(path: path)
    guard let (names, line) = try reader.next() else { return }
    try header(names, line)
    while let (fields, line) = try reader.next() {
      guard fields.count == names.count else {
        let error = FormatError(
          .malformed, file: path, subject: "line \(line)",
          problem: "it has \(fields.count) field\(fields.count == 1 ? "" : "s"), "
            + "the first line names \(names.count)",
          remedy: "a field that holds '\(Character(Unicode.Scalar(reader.separator)))' or a line "
            + "break stands in quotes")
        guard let invalid else { throw error }
        try invalid(error, line)
        continue
      }
      try body(names, fields, line)
    }
  }

  /// The record of a row. An empty cell of a field that says the record's form is an absent value, as in a
  /// table for several forms.
  func record(
    columns: [String], _ cells: [String], line: Int
  ) throws(FormatError) -> DataRecord {
    var object = JSONObject()
    for (name, cell) in zip(columns, cells) { object[name] = .string(cell) }
    object = try fields.ofColumns.renamed(object, file: path, line: line)
    let hasText = object["text"].map { $0 != "" } ?? false
    for (name, value) in object where value == "" {
      let isAbsent =
        switch name {
        case "text": object["completion"] != nil
        case "prompt", "completion", "instruction", "output": hasText
        default: true
        }
      if isAbsent { object[name] = nil }
    }
    return try RecordFields(path: path, line: line, object: object, map: fields).record()
  }

  /// The names of the columns, as they are compared.
  func dataColumns(_ header: [String], line: Int) throws(FormatError) -> [String] {
    let names = header.map(Self.columnName)
    var counts: [String: Int] = [:]
    for name in names { counts[name, default: 0] += 1 }
    let known = FieldMap.Field.allCases.map(\.rawValue) + ["conversations", "conversation"]
    if let twice = known.first(where: { counts[$0, default: 0] > 1 }) {
      throw FormatError(
        .duplicate, file: path, subject: "line \(line)",
        problem: "two columns are named '\(twice)'", remedy: "rename one")
    }
    let hasForm = RecordFields.forms.contains { $0.allSatisfy { counts[$0] != nil } }
    guard hasForm || !fields.names.isEmpty else {
      throw FormatError(
        .typeMismatch, file: path, subject: "line \(line)",
        problem: "expected the names of columns, 'text' or 'prompt' and 'completion' among them; "
          + "found \(RecordFields.list(header))",
        remedy: "name the columns in the first line"
          + (header.count > 1 ? ", or say which is which: " + RecordFields.map(for: names) : ""))
    }
    // Of columns with one name that are no data, the last goes.
    return names
  }

  /// A column's name as it is compared: spreadsheets write "Prompt ".
  static func columnName(_ field: String) -> String {
    let scalars = field.unicodeScalars
    let trimmed = scalars.drop { $0.properties.isWhitespace }.reversed()
      .drop { $0.properties.isWhitespace }.reversed()
    return String(String.UnicodeScalarView(trimmed)).lowercased()
  }
}
