import LoRAFiles
import LoRAJSON

extension DataFile {
  /// What the name says; nil if it says nothing.
  static func format(named path: String, _ beginning: [UInt8]) -> Format? {
    let name = path.lowercased()
    func ends(_ suffixes: String...) -> Bool { suffixes.contains { name.hasSuffix("." + $0) } }
    if ends("jsonl", "ndjson", "jsonlines") { return .jsonLines }
    if ends("csv", "tsv") { return .csv }
    // Many programs call JSON lines .json.
    if ends("json") { return beginning.first { !isBlank($0) } == brace ? .jsonLines : .json }
    if ends("txt", "text", "md") { return .text }
    return nil
  }

  /// What the content says, of a file whose name says nothing. A bracket also begins sentences, and a
  /// comma stands in most: only what training could use is taken for records.
  static func format(
    beginning: [UInt8], of path: String
  ) throws(FormatError) -> Format {
    let content = beginning.drop(while: isBlank)
    if content.first == brace { return .jsonLines }
    if content.first == bracket {
      let inner = content.dropFirst().drop(while: isBlank)
      switch inner.first {
      case brace where inner.dropFirst().drop(while: isBlank).first == UInt8(ascii: "\""):
        return .json
      case bracket where isDigit(inner.dropFirst().drop(while: isBlank).first):
        return .json
      case let first where isDigit(first):
        return try isTokenSequence(firstLineOf: path) ? .jsonLines : .text
      default: return .text
      }
    }
    let isShort = beginning.count < 512 || content.contains { $0 == 0x0A || $0 == 0x0D }
    return isShort && hasColumnNames(path) ? .csv : .text
  }

  private static let brace = UInt8(ascii: "{")
  private static let bracket = UInt8(ascii: "[")

  private static func isBlank(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }

  private static func isDigit(_ byte: UInt8?) -> Bool {
    byte.map { (0x30...0x39).contains($0) } ?? false
  }

  /// Whether the first line that is not blank is a list of at least two ids: `[1]` may be a footnote.
  private static func isTokenSequence(firstLineOf path: String) throws(FormatError) -> Bool {
    let reader = try ByteReader(path: path)
    var line: [UInt8] = []
    while try reader.nextLine(into: &line) {
      if line.allSatisfy(isBlank) { continue }
      let elements = (try? JSONValue(parsing: line))?.arrayValue ?? []
      return elements.count > 1 && elements.allSatisfy { $0.intValue != nil }
    }
    return false
  }

  /// Whether the first line names at least two columns, those of data among them, each in one word.
  private static func hasColumnNames(_ path: String) -> Bool {
    guard var reader = try? CSVReader(path: path), let header = try? reader.next()?.fields,
      header.count > 1
    else { return false }
    let names = header.map(columnName)
    let areWords = names.allSatisfy { name in
      !name.isEmpty && name.allSatisfy { $0.isLetter || $0.isNumber || "_-.".contains($0) }
    }
    return areWords && RecordFields.forms.contains { $0.allSatisfy(names.contains) }
  }
}

extension DataFile.Format {
  /// What it is called in sentences.
  package var title: String {
    switch self {
    case .text: "plain text"
    case .jsonLines: "JSON lines"
    case .json: "a JSON list"
    case .csv: "a table"
    case .safetensors: "safetensors"
    }
  }

  /// That it was assumed, and how to say otherwise.
  package var assumption: String {
    let reading = "the name says no format; it is read as \(title)"
    return self == .text
      ? reading
        + ", all of it one text: rename it to .jsonl, .json or .csv if it holds records, to .txt "
        + "if it does not"
      : reading + " by its content: rename it to .txt if it is one text"
  }
}
