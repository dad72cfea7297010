internal import LoRAJSON

extension SchemaReader {
  mutating func readArray(
    _ key: String, _ value: JSONValue, into node: inout SchemaNode
  ) throws(ConstraintError) {
    switch key {
    case "prefixItems": node.prefix = try schemas(value)
    case "items":
      if case .array = value {
        throw ConstraintError(
          .unsupported, place: path, expected: "one schema for all items",
          found: "an array, as before draft 2020-12", advice: "call it prefixItems")
      }
      node.items = document.number(of: path, value)
    case "minItems": node.leastItems = try size(value)
    case "maxItems": node.mostItems = try size(value)
    default:
      guard let isUnique = value.boolValue else { throw malformed("true or false", value) }
      // With at most one item there is nothing to compare.
      let most = self.value["maxItems"]?.doubleValue ?? 2
      guard !isUnique || most <= 1 else {
        throw ConstraintError(
          .unsupported, place: path, expected: "false, or maxItems of at most 1", found: "true",
          advice: "remove it, or use an object with a property for each item")
      }
    }
  }

  mutating func readObject(
    _ key: String, _ value: JSONValue, into node: inout SchemaNode
  ) throws(ConstraintError) {
    switch key {
    case "properties":
      node.properties = try members(value).map { name, value in
        (name, document.number(of: path + "/" + SchemaDocument.escaped(name), value))
      }
    case "required":
      guard let names = value.arrayValue else { throw malformed("an array of names", value) }
      for name in names {
        guard let name = name.stringValue else { throw malformed("an array of names", value) }
        node.required.append(name)
      }
    case "patternProperties":
      for (pattern, value) in try members(value) {
        let place = path + "/" + SchemaDocument.escaped(pattern)
        let automaton = try TextAutomaton(pattern: pattern, isSearch: true, place: place)
        node.patterns.append((automaton, document.number(of: place, value)))
      }
    case "additionalProperties": node.additional = document.number(of: path, value)
    case "minProperties": node.leastProperties = try size(value)
    default: node.mostProperties = try size(value)
    }
  }

  private func members(_ value: JSONValue) throws(ConstraintError) -> JSONObject {
    guard let members = value.objectValue else { throw malformed("an object of schemas", value) }
    return members
  }
}
