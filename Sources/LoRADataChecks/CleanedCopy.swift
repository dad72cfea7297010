import LoRAFiles
import LoRAJSON
import LoRATensor
import LoRATraining

/// Copies of data files without the examples that a check would drop.
///
/// A copy has the format of its file. Lines of JSON are copied byte by byte, rows of a table are written
/// with its separator, elements of a JSON list one a line. Of duplicates the first stays; of conflicting
/// answers the commonest, or the first.
public struct CleanedCopy: Sendable {
  /// The number of examples in the copies.
  public private(set) var keptCount = 0
  /// The number of examples that were left out.
  public var droppedCount: Int { counts.reduce(0) { $0 + $1.count } }
  /// The number of examples that were left out, by what for.
  public private(set) var counts: [(kind: Finding.Kind, count: Int)] = []

  /// Writes the copy of the file that `report` is about to `path`, and `list`, as
  /// the other initializer does.
  public init(of report: CheckReport, to path: String, list: String) throws {
    try self.init(of: report, to: [path], list: list)
  }

  /// Writes the copy of each file that `report` is about to the path at its place in `paths`, and beside them
  /// `list`, a line of JSON for each example that was left out: `{"line":12,"kind":"duplicate","detail":"the
  /// same as line 7"}`, of several files with `"file"`.
  ///
  /// - Throws: `FormatError` for a file without records (plain text, token ids), or one that changed since
  ///   the check; `FileError` if a copy can't be written. Then nothing of them is there.
  public init(of report: CheckReport, to paths: [String], list: String) throws {
    require(
      paths.count == report.files.count, "\(paths.count) paths for \(report.files.count) files")
    for file in report.files where file.format == .text || file.format == .safetensors {
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
    // All at once: a copy without its list would not say what is missing.
    var parts = zip(report.files, paths).enumerated().map { index, part in
      AtomicFile.Part(part.1) { writer in
        let first = report.firstExample(of: index)
        kept += try Self.write(part.0, to: writer) { report.reasonToDrop(first + $0) == nil }
      }
    }
    parts.append(
      AtomicFile.Part(list) { writer in
        counts = try Self.writeList(report, details, to: writer)
      })
    try AtomicFile.writeAll(parts) { _ in
      guard kept + counts.values.reduce(0, +) == report.exampleCount else {
        throw FormatError(
          .invalidValue, file: report.files.map(\.path).joined(separator: ", "),
          problem:
            "there were \(report.exampleCount) examples in the check, and there is another number now",
          remedy: "check again")
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
    for file in report.files {
      try file.forEachValue { _, _, line in
        defer { number += 1 }
        guard let kind = report.reasonToDrop(number) else { return }
        counts[kind, default: 0] += 1
        var object: JSONObject = report.files.count > 1 ? ["file": .string(file.path)] : [:]
        object["line"] = .integer(Int64(line))
        object["kind"] = .string(kind.rawValue)
        object["detail"] = .string(details[number]?[kind] ?? "")
        try lines.append(object.encoded() + "\n")
      }
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
