public import LoRAFormats

/// A file of training data, in the format that its name or its beginning says.
///
/// | format | content | by name | by its beginning |
/// | --- | --- | --- | --- |
/// | ``Format/text`` | one text | `.txt`, `.text`, `.md` | what is nothing else |
/// | ``Format/jsonLines`` | an object a line, or a list of token ids | `.jsonl`, `.ndjson` | `{`, or a first line `[1, 2]` |
/// | ``Format/json`` | a list of objects, or of lists of token ids | `.json` | `[{"` or `[[1` |
/// | ``Format/csv`` | a table whose first line names the columns | `.csv`, `.tsv` | such a line |
/// | ``Format/safetensors`` | a tensor of token ids | `.safetensors` | |
///
/// The beginning decides where the name does not; ``isNamed`` says which it was. Objects and tables have `text`, or `prompt` and `completion`, of which the completion is learned.
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

  /// Whether the name says the format; otherwise it was found out, or for want of anything else
  /// assumed, by the content.
  public let isNamed: Bool

  /// Finds out what the file at `path` is. Throws `FormatError` for a file that is not there, cannot
  /// be read, or is of a format that is not read.
  public init(_ path: String) throws(FormatError) {
    self.path = path
    let file = TokenRows.file(of: path)
    if TokenRows.isSafetensors(file) {
      (format, isNamed) = (.safetensors, true)
      return
    }
    let beginning = try ByteReader.beginning(of: file)
    guard file == path else {
      throw FormatError(
        .invalidValue, file: file, subject: "'\(path.dropFirst(file.count + 1))'",
        problem: "only .safetensors files have named tensors", remedy: "leave out the '#'")
    }
    if let named = Self.format(named: file, beginning) {
      (format, isNamed) = (named, true)
    } else {
      (format, isNamed) = (try Self.format(beginning: beginning, of: file), false)
    }
  }

  /// Calls `body` with each record, from the first; only one is in memory at a time.
  ///
  /// Throws `FormatError` with the line of what is wrong, and what `body` throws.
  public func forEachRecord(_ body: (DataRecord) throws -> Void) throws {
    switch format {
    case .text: try forEachText(body)
    case .jsonLines: try forEachJSONLine { try body(try record($0, line: $1)) }
    case .json: try forEachElement { try body(try record($0, line: $1, index: $2)) }
    case .csv: try forEachCSVRecord(body)
    case .safetensors: try forEachTensorRow(body)
    }
  }
}
