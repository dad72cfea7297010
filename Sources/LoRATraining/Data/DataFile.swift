public import LoRAFiles

/// A file of training data, in the format that its name or its content determines.
///
/// | format | content | by name | by its beginning |
/// | --- | --- | --- | --- |
/// | ``Format/text`` | one text | `.txt`, `.text`, `.md` | what is nothing else |
/// | ``Format/jsonLines`` | an object a line, or a list of token ids | `.jsonl`, `.ndjson` | `{`, or a first line `[1, 2]` |
/// | ``Format/json`` | a list of objects, or of lists of token ids | `.json` | `[{"` or `[[1` |
/// | ``Format/csv`` | a table whose first line names the columns | `.csv`, `.tsv` | such a line |
/// | ``Format/safetensors`` | a tensor of token ids | `.safetensors` | |
///
/// If the name does not determine the format, the beginning of the file does; ``isNamed`` says
/// which. Text is UTF-8, with or without a byte order mark; lines end with LF, CR LF or CR. Every other
/// format is rejected with the command that converts it.
///
/// What a record of named fields is, its fields say, the first of these that it has:
///
/// | fields | record |
/// | --- | --- |
/// | `messages` (`role`, `content`), `conversations` (`from`, `value`) | a conversation; `tools`, `documents`, `system` and `chat_template_kwargs` may stand beside it |
/// | `prompt` and `completion` | a prompt and what is learned, texts or lists of messages |
/// | `instruction` and `output` | an instruction of Alpaca's kind; `input`, `system` and `history` may stand beside it |
/// | `text` | a text |
///
/// Other names are told by a ``FieldMap``, or recognized (``recognizingFields()``). The names of a table's
/// columns ignore case.
///
/// ```swift
/// let file = try DataFile("questions.jsonl")
/// try file.forEachRecord { record in print(record.line, record.content) }
/// ```
public struct DataFile: Sendable, Hashable {
  /// The format of a data file.
  public enum Format: String, Sendable, Hashable, CaseIterable {
    /// The whole file is one text.
    case text
    /// One JSON value per line.
    case jsonLines
    /// A JSON list.
    case json
    /// Comma-separated values, or separated by semicolons or tabs.
    case csv
    /// Sequences of token ids in a safetensors file.
    case safetensors
  }

  /// The path of the file; for a safetensors file with `#` and the tensor's name, if one was given.
  public let path: String
  /// The format.
  public let format: Format

  /// Whether the name determines the format; if not, the format was detected from the content, or
  /// assumed.
  public let isNamed: Bool

  /// Which fields hold what, where they have other names than the library's.
  public internal(set) var fields: FieldMap

  /// How the fields were recognized, in a sentence for people; nil where ``recognizingFields()`` did not
  /// have to.
  public internal(set) var recognition: String?

  /// Detects the format of the file at `path`. Throws `FormatError` for a file that does not exist,
  /// cannot be read, or has an unsupported format.
  public init(_ path: String, fields: FieldMap = FieldMap()) throws(FormatError) {
    self.path = path
    self.fields = fields
    let file = TokenSequences.file(of: path)
    if TokenSequences.isSafetensors(file) {
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

  /// Calls `body` with each record in order; only one is in memory at a time.
  ///
  /// - Parameters:
  ///   - invalid: called with the error of a record that is none, and its line; reading goes on behind it.
  ///     Nil: the first such error is thrown.
  ///   - body: called with each record.
  ///
  /// Throws `FormatError` with the line of the problem, and what `body` throws. What makes the rest of the
  /// file unreadable, as a quote in a table that is never closed, is thrown in any case.
  public func forEachRecord(
    invalid: ((FormatError, _ line: Int) throws -> Void)? = nil,
    _ body: (DataRecord) throws -> Void
  ) throws {
    func attempt(_ line: Int, _ make: () throws(FormatError) -> DataRecord) throws {
      let record: DataRecord
      do throws(FormatError) {
        record = try make()
      } catch {
        guard let invalid else { throw error }
        return try invalid(error, line)
      }
      try body(record)
    }
    switch format {
    case .text: try forEachText(body)
    case .jsonLines:
      try forEachJSONLine(invalid: invalid) { value, line in
        try attempt(line) { () throws(FormatError) in try record(value, line: line) }
      }
    case .json:
      try forEachElement { value, line, index in
        try attempt(line) { () throws(FormatError) in
          try record(value, line: line, index: index)
        }
      }
    case .csv:
      var columns: [String] = []
      try forEachCSVRow(
        header: { columns = try dataColumns($0, line: $1) }, invalid: invalid
      ) { _, fields, line in
        try attempt(line) { () throws(FormatError) in
          try record(columns: columns, fields, line: line)
        }
      }
    case .safetensors: try forEachTensorRow(body)
    }
  }
}
