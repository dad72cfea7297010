public import LoRAFormats

/// A file of training data, in the format that its name or its beginning says.
///
/// | format | content | by name |
/// | --- | --- | --- |
/// | ``Format/text`` | one text | `.txt`, `.text`, `.md`, and what is nothing else |
/// | ``Format/jsonLines`` | an object a line, or a list of token ids | `.jsonl`, `.ndjson` |
/// | ``Format/json`` | a list of objects, or of lists of token ids | `.json` |
/// | ``Format/csv`` | a table whose first line names the columns | `.csv`, `.tsv` |
/// | ``Format/safetensors`` | a tensor of token ids | `.safetensors` |
///
/// Objects and tables have `text`, or `prompt` and `completion`, of which the completion is learned.
/// Names are taken in any case. Text is UTF-8, with or without a byte order mark; lines end with LF,
/// CR LF or CR. Everything else is refused with the command that converts it.
///
/// ```swift
/// let file = try DataFile("questions.jsonl")
/// try file.forEachRecord { record in print(record.line, record.content) }
/// ```
public struct DataFile: Sendable, Hashable {
  /// How a file holds its records.
  public enum Format: String, Sendable, Hashable, CaseIterable {
    /// The whole file is one text.
    case text
    /// A JSON value a line.
    case jsonLines
    /// A JSON list.
    case json
    /// Comma-separated values, or separated by semicolons or tabs.
    case csv
    /// Token rows in a safetensors file.
    case safetensors
  }

  /// The file; of a safetensors file with `#` and the tensor's name, where one was given.
  public let path: String
  /// How it holds its records.
  public let format: Format

  /// Finds out what the file at `path` is. Throws `FormatError` for a file that is not there, cannot
  /// be read, or is of a format that is not read.
  public init(_ path: String) throws(FormatError) {
    self.path = path
    let file = TokenRows.file(of: path)
    if TokenRows.isSafetensors(file) {
      format = .safetensors
      return
    }
    let beginning = try ByteReader.beginning(of: file)
    guard file == path else {
      throw FormatError(
        .invalidValue, file: file, subject: "'\(path.dropFirst(file.count + 1))'",
        problem: "only .safetensors files have named tensors", remedy: "leave out the '#'")
    }
    format = Self.format(named: file, beginning)
  }

  private static func name(of path: String, endsWith suffixes: [String]) -> Bool {
    let name = path.lowercased()
    return suffixes.contains { name.hasSuffix("." + $0) }
  }

  private static func format(named path: String, _ beginning: [UInt8]) -> Format {
    let first = beginning.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    if name(of: path, endsWith: ["jsonl", "ndjson", "jsonlines"]) { return .jsonLines }
    if name(of: path, endsWith: ["csv", "tsv"]) { return .csv }
    // Many programs call JSON lines .json.
    if name(of: path, endsWith: ["json"]) {
      return first == UInt8(ascii: "{") ? .jsonLines : .json
    }
    if name(of: path, endsWith: ["txt", "text", "md"]) { return .text }
    // Under another name only the content tells. A bracket also begins sentences.
    let isNamed = (path.split(separator: "/").last ?? "").contains(".")
    switch first {
    case UInt8(ascii: "{"): return .jsonLines
    case UInt8(ascii: "["): return isNamed ? .text : .json
    default: return .text
    }
  }

  /// Calls `body` with each record, from the first; only one is in memory at a time.
  ///
  /// Throws `FormatError` with the line of what is wrong, and what `body` throws.
  public func forEachRecord(_ body: (DataRecord) throws -> Void) throws {
    switch format {
    case .text: try forEachText(body)
    case .jsonLines: try forEachJSONLine(body)
    case .json: try forEachElement(body)
    case .csv: try forEachCSVRecord(body)
    case .safetensors: try forEachTensorRow(body)
    }
  }
}
