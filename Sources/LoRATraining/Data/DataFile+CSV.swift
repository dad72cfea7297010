import LoRAFormats

extension DataFile {
  /// A record a row of the table, whose first row names the columns.
  func forEachCSVRecord(_ body: (DataRecord) throws -> Void) throws {
    var reader = try CSVReader(path: path)
    guard let header = try reader.next() else { return }
    let names = header.fields.map(Self.columnName)
    var columns: [String: Int] = [:]
    for (index, name) in names.enumerated() where ["text", "prompt", "completion"].contains(name) {
      guard columns.updateValue(index, forKey: name) == nil else {
        throw FormatError(
          .duplicate, file: path, subject: "line \(header.line)",
          problem: "two columns are named '\(name)'", remedy: "rename one")
      }
    }
    guard columns["text"] != nil || columns["prompt"] != nil && columns["completion"] != nil else {
      let found = header.fields.prefix(8).map { "'\($0)'" }.joined(separator: ", ")
      throw FormatError(
        .typeMismatch, file: path, subject: "line \(header.line)",
        problem: "expected the names of columns, 'text' or 'prompt' and 'completion' among them; "
          + "found \(found)", remedy: "name the columns in the first line")
    }
    while let (fields, line) = try reader.next() {
      guard fields.count == names.count else {
        throw FormatError(
          .malformed, file: path, subject: "line \(line)",
          problem: "it has \(fields.count) field\(fields.count == 1 ? "" : "s"), "
            + "the first line names \(names.count)",
          remedy: "a field that holds '\(Character(Unicode.Scalar(reader.separator)))' or a line "
            + "break stands in quotes")
      }
      // In a table for both forms an empty cell is an absent value.
      let hasText = columns["text"].map { !fields[$0].isEmpty } ?? false
      let record = try DataFields(path: path, line: line, names: header.fields) { name in
        guard let column = columns[name] else { return nil }
        let isAbsent =
          fields[column].isEmpty && (name == "text" ? columns["completion"] != nil : hasText)
        return isAbsent ? nil : .text(fields[column])
      }.record()
      try body(record)
    }
  }

  /// A column's name as it is compared: spreadsheets write "Prompt ".
  private static func columnName(_ field: String) -> String {
    let scalars = field.unicodeScalars
    let trimmed = scalars.drop { $0.properties.isWhitespace }.reversed()
      .drop { $0.properties.isWhitespace }.reversed()
    return String(String.UnicodeScalarView(trimmed)).lowercased()
  }
}
