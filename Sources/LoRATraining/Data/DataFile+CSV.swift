import LoRAFiles

extension DataFile {
  /// The rows of the table, whose first row names the columns; `header` is called with that.
  func forEachCSVRow(
    header: (_ names: [String], _ line: Int) throws -> Void = { _, _ in },
    _ body: (_ names: [String], _ fields: [String], _ line: Int) throws -> Void
  ) throws {
    var reader = try CSVReader(path: path)
    guard let (names, line) = try reader.next() else { return }
    try header(names, line)
    while let (fields, line) = try reader.next() {
      guard fields.count == names.count else {
        throw FormatError(
          .malformed, file: path, subject: "line \(line)",
          problem: "it has \(fields.count) field\(fields.count == 1 ? "" : "s"), "
            + "the first line names \(names.count)",
          remedy: "a field that holds '\(Character(Unicode.Scalar(reader.separator)))' or a line "
            + "break stands in quotes")
      }
      try body(names, fields, line)
    }
  }

  /// One record per row of the table.
  func forEachCSVRecord(_ body: (DataRecord) throws -> Void) throws {
    var columns: [String: Int] = [:]
    try forEachCSVRow { names, line in
      columns = try dataColumns(names, line: line)
    } _: { names, fields, line in
      // In a table for both forms an empty cell is an absent value.
      let hasText = columns["text"].map { !fields[$0].isEmpty } ?? false
      let record = try DataFields(path: path, line: line, names: names) { name in
        guard let column = columns[name] else { return nil }
        let isAbsent =
          fields[column].isEmpty && (name == "text" ? columns["completion"] != nil : hasText)
        return isAbsent ? nil : .text(fields[column])
      }.record()
      try body(record)
    }
  }

  /// The columns that are data, by their names.
  private func dataColumns(
    _ header: [String], line: Int
  ) throws(FormatError) -> [String: Int] {
    let names = header.map(Self.columnName)
    var columns: [String: Int] = [:]
    for (index, name) in names.enumerated() where ["text", "prompt", "completion"].contains(name) {
      guard columns.updateValue(index, forKey: name) == nil else {
        throw FormatError(
          .duplicate, file: path, subject: "line \(line)",
          problem: "two columns are named '\(name)'", remedy: "rename one")
      }
    }
    guard columns["text"] != nil || columns["prompt"] != nil && columns["completion"] != nil else {
      let found = header.prefix(8).map { "'\($0)'" }.joined(separator: ", ")
      throw FormatError(
        .typeMismatch, file: path, subject: "line \(line)",
        problem: "expected the names of columns, 'text' or 'prompt' and 'completion' among them; "
          + "found \(found)", remedy: "name the columns in the first line")
    }
    return columns
  }

  /// A column's name as it is compared: spreadsheets write "Prompt ".
  static func columnName(_ field: String) -> String {
    let scalars = field.unicodeScalars
    let trimmed = scalars.drop { $0.properties.isWhitespace }.reversed()
      .drop { $0.properties.isWhitespace }.reversed()
    return String(String.UnicodeScalarView(trimmed)).lowercased()
  }
}
