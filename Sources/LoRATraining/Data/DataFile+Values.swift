package import LoRAFiles
package import LoRAJSON

extension DataFile {
  /// Calls `body` with each record and the value that the file has for it, with the fields that are no part
  /// of the record: labels and metadata. A record that is none comes as its error; its value is null where
  /// it is not even JSON, or a row with another number of cells.
  ///
  /// The fields have the library's names where a map or a table's header gives them others. Throws what
  /// ``forEachRecord(invalid:_:)`` throws in any case.
  package func forEachValue(
    _ body: (_ record: Result<DataRecord, FormatError>, _ value: JSONValue, _ line: Int) throws ->
      Void
  ) throws {
    func attempt(_ make: () throws(FormatError) -> DataRecord) -> Result<DataRecord, FormatError> {
      do throws(FormatError) { return .success(try make()) } catch { return .failure(error) }
    }
    func named(_ value: JSONValue, line: Int) -> JSONValue {
      guard case .object(let object) = value,
        let renamed = try? fields.renamed(object, file: path, line: line)
      else { return value }
      return .object(renamed)
    }
    // What takes the errors is optional, which Swift takes for escaping.
    try withoutActuallyEscaping(body) { body in
      switch format {
      case .jsonLines:
        try forEachJSONLine(invalid: { try body(.failure($0), .null, $1) }) { value, line in
          let record = attempt { () throws(FormatError) in try self.record(value, line: line) }
          try body(record, named(value, line: line), line)
        }
      case .json:
        try forEachElement { value, line, index in
          let record = attempt { () throws(FormatError) in
            try self.record(value, line: line, index: index)
          }
          try body(record, named(value, line: line), line)
        }
      case .csv:
        var columns: [String] = []
        try forEachCSVRow(
          header: { columns = try dataColumns($0, line: $1) },
          invalid: { try body(.failure($0), .null, $1) }
        ) { _, cells, line in
          let record = attempt { () throws(FormatError) in
            try self.record(columns: columns, cells, line: line)
          }
          var object = JSONObject()
          for (name, cell) in zip(columns, cells) { object[name] = .string(cell) }
          try body(record, named(.object(object), line: line), line)
        }
      case .text, .safetensors: try forEachRecord { try body(.success($0), .null, $0.line) }
      }
    }
  }
}
