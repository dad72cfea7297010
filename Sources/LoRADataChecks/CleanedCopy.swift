import LoRAFiles
import LoRAJSON
import LoRATensor
import LoRATraining

/// A copy of a data file without the examples that a check would drop.
///
/// The copy has the format of the file. Lines of JSON are copied byte by byte, rows of a table are written
/// with its separator, elements of a JSON list one a line. Of duplicates the first stays; of conflicting
/// answers the commonest, or the first.
public struct CleanedCopy: Sendable {
  /// The number of examples in the copy.
  public private(set) var keptCount = 0
  /// The number of examples that were left out.
  public var droppedCount: Int { counts.reduce(0) { $0 + $1.count } }
  /// The number of examples that were left out, by what for.
  public private(set) var counts: [(kind: Finding.Kind, count: Int)] = []

  /// Writes the copy of what `report` is about to `path`, and beside it `list`, a line of JSON for each
  /// example that was left out: `{"line":12,"kind":"duplicate","detail":"the same as line 7"}`.
  ///
  /// - Throws: `FormatError` for a file without records (plain text, token ids), or one that changed since
  ///   the check; `FileError` if the copy can't be written. Then nothing of it is there.
  public init(of report: CheckReport, to path: String, list: String) throws {
    let file = report.file
    guard file.format != .text, file.format != .safetensors else {
      throw FormatError(
        .unsupported, file: file.path,
        problem:
          "a cleaned copy leaves examples out, and \(file.format.title) has none to leave out",
        remedy: "give records: JSON lines, a JSON list or a table")
    }
    var details: [Int: [Finding.Kind: String]] = [:]
    for finding in report.findings where finding.kind.isDropped {
      details[finding.example, default: [:]][finding.kind] = finding.detail
    }
    var (kept, counts): (Int, [Finding.Kind: Int]) = (0, [:])
    // Both at once: a copy without its list would not say what is missing.
    let parts = [
      AtomicFile.Part(path) { writer in
        kept = try Self.write(file, to: writer) { report.reasonToDrop($0) == nil }
      },
      AtomicFile.Part(list) { writer in
        counts = try Self.writeList(report, details, to: writer)
      },
    ]
    try AtomicFile.writeAll(parts) { _ in
      guard kept + counts.values.reduce(0, +) == report.exampleCount else {
        throw FormatError(
          .invalidValue, file: file.path,
          problem:
            "it had \(report.exampleCount) examples when it was checked, and has another number "
            + "now",
          remedy: "check it again")
      }
    }
    keptCount = kept
    self.counts = counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  private static func writeList(
    _ report: CheckReport, _ details: [Int: [Finding.Kind: String]], to writer: FileWriter
  ) throws -> [Finding.Kind: Int] {
    var counts: [Finding.Kind: Int] = [:]
    var number = 0
    var lines = BufferedLines(writer)
    try report.file.forEachValue { _, _, line in
      defer { number += 1 }
      guard let kind = report.reasonToDrop(number) else { return }
      counts[kind, default: 0] += 1
      let object: JSONObject = [
        "line": .integer(Int64(line)), "kind": .string(kind.rawValue),
        "detail": .string(details[number]?[kind] ?? ""),
      ]
      try lines.append(object.encoded() + "\n")
    }
    try lines.flush()
    return counts
  }

  private static func write(
    _ file: DataFile, to writer: FileWriter, keeps: (Int) -> Bool
  ) throws -> Int {
    switch file.format {
    case .csv: return try writeTable(file, to: writer, keeps: keeps)
    case .json: return try writeList(file, to: writer, keeps: keeps)
    default: return try writeLines(file, to: writer, keeps: keeps)
    }
  }

  private static func writeLines(
    _ file: DataFile, to writer: FileWriter, keeps: (Int) -> Bool
  ) throws -> Int {
    let reader = try ByteReader(path: file.path)
    var (bytes, number, kept): ([UInt8], Int, Int) = ([], 0, 0)
    var lines = BufferedLines(writer)
    while try reader.nextLine(into: &bytes) {
      if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
      defer { number += 1 }
      guard keeps(number) else { continue }
      kept += 1
      bytes.append(0x0A)
      try lines.append(bytes)
    }
    try lines.flush()
    return kept
  }

  private static func writeList(
    _ file: DataFile, to writer: FileWriter, keeps: (Int) -> Bool
  ) throws -> Int {
    let reader = try JSONListReader(path: file.path, form: "[{\"text\": ...}, ...]")
    var (number, kept) = (0, 0)
    var lines = BufferedLines(writer)
    try lines.append("[")
    while let (value, _) = try reader.next() {
      defer { number += 1 }
      guard keeps(number) else { continue }
      try lines.append((kept == 0 ? "\n" : ",\n") + value.encoded())
      kept += 1
    }
    try lines.append("\n]\n")
    try lines.flush()
    return kept
  }

  private static func writeTable(
    _ file: DataFile, to writer: FileWriter, keeps: (Int) -> Bool
  ) throws -> Int {
    var reader = try CSVReader(path: file.path)
    let separator = reader.separator
    func line(_ fields: [String]) -> String {
      fields.map { quoted($0, separator) }
        .joined(separator: String(Character(Unicode.Scalar(separator)))) + "\n"
    }
    var lines = BufferedLines(writer)
    if let (names, _) = try reader.next() { try lines.append(line(names)) }
    var (number, kept) = (0, 0)
    while let (fields, _) = try reader.next() {
      defer { number += 1 }
      guard keeps(number) else { continue }
      try lines.append(line(fields))
      kept += 1
    }
    try lines.flush()
    return kept
  }

  private static func quoted(_ field: String, _ separator: UInt8) -> String {
    let needs = field.utf8.contains { $0 == separator || $0 == 0x22 || $0 == 0x0A || $0 == 0x0D }
    return needs ? "\"" + field.replacing("\"", with: "\"\"") + "\"" : field
  }
}

/// Lines on their way to a file, a mebibyte at a time.
private struct BufferedLines {
  private let writer: FileWriter
  private var block: [UInt8] = []

  init(_ writer: FileWriter) { self.writer = writer }

  mutating func append(_ text: String) throws(FileError) { try append(Array(text.utf8)) }

  mutating func append(_ bytes: [UInt8]) throws(FileError) {
    block += bytes
    if block.count >= 1 << 20 { try flush() }
  }

  mutating func flush() throws(FileError) {
    try writer.write(block)
    block.removeAll(keepingCapacity: true)
  }
}
