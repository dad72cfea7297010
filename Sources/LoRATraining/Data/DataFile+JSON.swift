import LoRAFiles
import LoRAJSON

extension DataFile {
  /// A value a line; blank lines are none.
  func forEachJSONLine(
    invalid: ((FormatError, _ line: Int) throws -> Void)? = nil,
    _ body: (JSONValue, _ line: Int) throws -> Void
  ) throws {
    let reader = try ByteReader(path: path)
    var bytes: [UInt8] = []
    var line = reader.line
    while try reader.nextLine(into: &bytes) {
      defer { line = reader.line }
      if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
      let value: JSONValue
      do throws(JSONError) {
        value = try JSONValue(parsing: bytes)
      } catch {
        let error = FormatError(
          .malformed, file: path, subject: "line \(line)",
          problem: "it is not JSON: \(error.message) at byte \(error.column)",
          remedy: "every line is an object of its own; one list over many lines is a .json file")
        guard let invalid else { throw error }
        try invalid(error, line)
        continue
      }
      try body(value, line)
    }
  }

  /// The elements of the list, counted from 1.
  func forEachElement(_ body: (JSONValue, _ line: Int, _ index: Int) throws -> Void) throws {
    let reader = try JSONListReader(
      path: path, form: "[[id, ...], ...] or [{\"text\": ...}, ...]")
    var index = 0
    while let (value, line) = try reader.next() {
      index += 1
      try body(value, line, index)
    }
    guard index > 0 else {
      throw FormatError(.invalidValue, file: path, problem: "it holds no examples")
    }
  }

  /// Rows of a tensor of token ids: `eval` or `train`, where no name is given.
  func forEachTensorRow(_ body: (DataRecord) throws -> Void) throws {
    for (index, ids) in try TokenSequences(path, defaultName: "train").sequences.enumerated() {
      try body(DataRecord(.tokens(ids), line: index + 1))
    }
  }

  func record(
    _ value: JSONValue, line: Int, index: Int? = nil
  ) throws(FormatError) -> DataRecord {
    switch value {
    case .object(let object):
      return try RecordFields(
        path: path, line: line, object: try fields.renamed(object, file: path, line: line),
        map: fields
      ).record()
    case .array(let elements):
      return DataRecord(.tokens(try ids(elements, line: line, index: index)), line: line)
    default:
      throw FormatError(
        .typeMismatch, file: path, subject: "line \(line)",
        problem: "expected {\"text\": ...}, {\"prompt\": ..., \"completion\": ...}, "
          + "{\"messages\": [...]} or [id, ...], found \(value.kind)")
    }
  }

  func ids(
    _ elements: [JSONValue], line: Int, index: Int? = nil
  ) throws(FormatError) -> [Int] {
    let place = index.map { "example \($0) (line \(line))" } ?? "line \(line)"
    return try TokenSequences.ids(elements, file: path, subject: place)
  }
}
