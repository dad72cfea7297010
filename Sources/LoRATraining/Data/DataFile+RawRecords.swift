package import LoRAJSON

/// A record of a data file as written, before it is decided which part is learned.
package enum RawRecord {
  /// A whole text.
  case text(String)
  /// Named values, in the file's order; in a table all are strings.
  case fields([(name: String, value: JSONValue)])
  /// Token ids.
  case tokens([Int])
}

extension DataFile {
  /// Calls `body` with each record, whatever its fields are called. Throws for an invalid record as
  /// ``forEachRecord(_:)`` does.
  package func forEachRawRecord(_ body: (RawRecord) throws -> Void) throws {
    func raw(_ value: JSONValue, line: Int, index: Int? = nil) throws -> RawRecord {
      switch value {
      case .object(let object): .fields(object.map { (name: $0.key, value: $0.value) })
      case .array(let elements): .tokens(try ids(elements, line: line, index: index))
      // No record: this throws.
      default: rawRecord(try record(value, line: line, index: index))
      }
    }
    switch format {
    case .jsonLines: try forEachJSONLine { try body(try raw($0, line: $1)) }
    case .json: try forEachElement { try body(try raw($0, line: $1, index: $2)) }
    case .csv:
      try forEachCSVRow { names, fields, _ in
        try body(.fields(zip(names, fields).map { (name: $0, value: .string($1)) }))
      }
    case .text, .safetensors: try forEachRecord { try body(rawRecord($0)) }
    }
  }

  private func rawRecord(_ record: DataRecord) -> RawRecord {
    switch record.content {
    case .text(let text): .text(text)
    case .tokens(let ids): .tokens(ids)
    // Files of fields are read above.
    case .pair, .chat, .instruction: .fields([])
    }
  }
}
