/// What a JSON value is. Schemas say "number" for two of these.
enum ValueKind: CaseIterable {
  case null, boolean, integer, fraction, string, array, object

  /// The kinds that a schema's `type` names; nil if there is no such type.
  static func named(_ name: String) -> Set<ValueKind>? {
    switch name {
    case "null": [.null]
    case "boolean": [.boolean]
    case "integer": [.integer]
    case "number": [.integer, .fraction]
    case "string": [.string]
    case "array": [.array]
    case "object": [.object]
    default: nil
    }
  }

  static let all = Set(allCases)
}
