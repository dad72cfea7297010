package import LoRAFiles

/// The records of a table as RFC 4180 has it: fields in double quotes may hold separators, line breaks
/// and doubled quotes.
package struct CSVReader {
  /// What stands between fields.
  package let separator: UInt8
  private let reader: ByteReader
  private var field: [UInt8] = []

  /// Opens the table at `path`; `separator` nil finds it out by the first line.
  package init(path: String, separator: UInt8? = nil) throws(FormatError) {
    if let separator {
      self.separator = separator
    } else {
      self.separator = try Self.separator(of: path)
    }
    reader = try ByteReader(path: path)
    // What Excel writes before a table that is separated otherwise.
    if try Self.declared(path) != nil {
      var line: [UInt8] = []
      _ = try reader.nextLine(into: &line)
    }
  }

  /// The next record and the line that it begins on; nil at the end. Blank lines are none.
  package mutating func next() throws(FormatError) -> (fields: [String], line: Int)? {
    while let first = try reader.peek() {
      guard first == 0x0A || first == 0x0D else { return try record() }
      _ = try reader.next()
    }
    return nil
  }

  private mutating func record() throws(FormatError) -> (fields: [String], line: Int) {
    let line = reader.line
    var fields: [String] = []
    while true {
      fields.append(try nextField())
      guard try reader.next() == separator else { return (fields, line) }
    }
  }

  /// A field, up to what ends it.
  private mutating func nextField() throws(FormatError) -> String {
    field.removeAll(keepingCapacity: true)
    let line = reader.line
    if try reader.peek() == UInt8(ascii: "\"") {
      try quoted()
    } else {
      while let byte = try reader.peek(), byte != separator, byte != 0x0A, byte != 0x0D {
        field.append(byte)
        _ = try reader.next()
      }
    }
    var failure: FormatError?
    field.withUnsafeBufferPointer { bytes in
      do throws(FormatError) {
        try ByteReader.checkText(bytes, path: reader.path, line: line)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return String(decoding: field, as: UTF8.self)
  }

  private mutating func quoted() throws(FormatError) {
    let line = reader.line
    _ = try reader.next()
    while let byte = try reader.next() {
      if byte != UInt8(ascii: "\"") {
        field.append(byte)
        continue
      }
      switch try reader.peek() {
      case UInt8(ascii: "\""):
        field.append(byte)
        _ = try reader.next()
      case nil, separator, 0x0A, 0x0D: return
      case .some:
        throw FormatError(
          .malformed, file: reader.path, subject: "line \(reader.line)",
          problem: "text follows the quote that ends a field",
          remedy: "a quote within a field in quotes is written twice")
      }
    }
    throw FormatError(
      .malformed, file: reader.path, subject: "line \(line)",
      problem: "a field's quote is never closed",
      remedy: "a field that holds a quote stands in quotes, and its own are written twice")
  }

  // MARK: The separator

  /// Tab for `.tsv`; else what a line `sep=` says, or what occurs most in the first line outside of
  /// quotes.
  private static func separator(of path: String) throws(FormatError) -> UInt8 {
    if let declared = try declared(path) { return declared }
    if path.lowercased().hasSuffix(".tsv") { return 0x09 }
    let line = try firstLine(path)
    var counts: [UInt8: Int] = [:]
    var isQuoted = false
    for byte in line {
      if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
      if !isQuoted { counts[byte, default: 0] += 1 }
    }
    let comma = UInt8(ascii: ",")
    let candidates = [comma, UInt8(ascii: ";"), 0x09]
    return candidates.max { counts[$0, default: 0] < counts[$1, default: 0] }
      .flatMap { counts[$0, default: 0] > counts[comma, default: 0] ? $0 : nil } ?? comma
  }

  private static func declared(_ path: String) throws(FormatError) -> UInt8? {
    let line = try firstLine(path)
    guard line.count == 5, line.starts(with: "sep=".utf8) else { return nil }
    return line[4]
  }

  private static func firstLine(_ path: String) throws(FormatError) -> [UInt8] {
    let beginning = try ByteReader.beginning(of: path)
    return Array(beginning.drop { $0 == 0x0A || $0 == 0x0D }.prefix { $0 != 0x0A && $0 != 0x0D })
  }
}
