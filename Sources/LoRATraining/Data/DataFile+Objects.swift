import LoRAFiles
import LoRAJSON

extension DataFile {
  /// Calls `body` with the value of each record, its fields under the library's names; of a table with an
  /// object of its cells, the columns' names as they are compared.
  ///
  /// Nothing of a file without records: of texts and tensors.
  func forEachObject(
    header: (_ names: [String], _ line: Int) throws -> Void = { _, _ in },
    _ body: (_ value: JSONValue, _ line: Int) throws -> Void
  ) throws {
    func renamed(_ value: JSONValue, _ fields: FieldMap, line: Int) throws -> JSONValue {
      guard case .object(let object) = value else { return value }
      return .object(try fields.renamed(object, file: path, line: line))
    }
    switch format {
    case .jsonLines: try forEachJSONLine { try body(try renamed($0, fields, line: $1), $1) }
    case .json:
      try forEachElement { value, line, _ in try body(try renamed(value, fields, line: line), line)
      }
    case .csv:
      let fields = fields.ofColumns
      var columns: [String] = []
      try forEachCSVRow { names, line in
        columns = names.map(Self.columnName)
        try header(columns.map { fields.meaning(of: $0) }, line)
      } _: { _, cells, line in
        var object = JSONObject()
        // Of columns with one name the first goes.
        for (name, cell) in zip(columns, cells) where object[name] == nil {
          object[name] = .string(cell)
        }
        try body(try renamed(.object(object), fields, line: line), line)
      }
    case .text, .safetensors: break
    }
  }
}

extension FieldMap {
  /// Throws ``TrainingError`` for a meaning that records of a kind, as "labelled texts", don't have.
  func demand(_ fields: [Field], of kind: String) throws(TrainingError) {
    let other = names.keys.filter { !fields.contains($0) }.min { $0.rawValue < $1.rawValue }
    guard let other else { return }
    throw .invalidOption(
      name: "the map of fields of \(kind)", value: "\(other.rawValue)=\(names[other] ?? "")",
      expected: fields.map(\.rawValue).joined(separator: ", ") + " before the '='")
  }

  /// What a field of this name is called in the library.
  fileprivate func meaning(of name: String) -> String {
    names.first { $0.value == name }?.key.rawValue ?? name
  }
}
