internal import LoRAJSON

/// Reads the keywords of one schema. A keyword that it does not know is an error, so that nothing
/// that the schema asks for is left out.
struct SchemaReader {
  var document: SchemaDocument
  private(set) var place = ""
  private(set) var value = JSONValue.null
  private(set) var keyword = ""

  /// Keywords that say nothing about what is valid.
  private static let annotations: Set<String> = [
    "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default",
    "examples", "example", "deprecated", "readOnly", "writeOnly",
  ]

  /// Larger numbers of items and properties are refused.
  private static let mostParts = 20_000

  init(document: SchemaDocument) { self.document = document }

  mutating func read(
    _ value: JSONValue, at place: String
  ) throws(ConstraintError) -> SchemaNode {
    self.place = place
    self.value = value
    keyword = ""
    var node = SchemaNode(place: place)
    switch value {
    case .bool(let isAny):
      node.isNever = !isAny
      node.isTrivial = isAny
    case .object(let members):
      node.isTrivial = members.allSatisfy { Self.annotations.contains($0.key) }
      for (key, value) in members where !Self.annotations.contains(key) {
        keyword = key
        try read(key, value, into: &node)
      }
    default: throw malformed("a schema: an object, true or false", value)
    }
    return node
  }

  private mutating func read(
    _ key: String, _ value: JSONValue, into node: inout SchemaNode
  ) throws(ConstraintError) {
    switch key {
    case "type": node.kinds = try kinds(value)
    case "enum": node.values = (node.values ?? []) + (try values(value))
    case "const":
      // Beside an enum, both hold: it is a schema of its own.
      if node.values == nil, self.value["enum"] == nil {
        node.values = [value]
      } else {
        node.all.append(
          document.number(of: path + "#", .object(["const": value])))
      }
    case "$ref":
      guard let reference = value.stringValue else { throw malformed("a string", value) }
      node.all.append(try document.resolve(reference, place: path))
    case "allOf": node.all += try schemas(value)
    case "anyOf": node.any.append(try schemas(value))
    case "oneOf": node.one.append(try schemas(value))
    case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
      try readNumber(key, value, into: &node)
    case "minLength": node.leastLength = try count(value)
    case "maxLength": node.mostLength = try count(value)
    case "pattern":
      node.texts.append(
        try TextAutomaton(pattern: try string(value), isSearch: true, place: path))
    case "format":
      let name = try string(value)
      guard let automaton = try TextFormat.automaton(named: name, place: path) else {
        throw ConstraintError(
          .unsupported, place: path, expected: "one of \(TextFormat.names.joined(separator: ", "))",
          found: "\"\(name)\"", advice: "describe it with \"pattern\"")
      }
      node.texts.append(automaton)
    case "prefixItems", "items", "minItems", "maxItems", "uniqueItems":
      try readArray(key, value, into: &node)
    case "properties", "required", "patternProperties", "additionalProperties", "minProperties",
      "maxProperties":
      try readObject(key, value, into: &node)
    default:
      throw ConstraintError(
        .unsupported, place: path, expected: "a keyword that can be guaranteed",
        found: "\"\(key)\"", advice: Self.advice(for: key))
    }
  }

  private static func advice(for key: String) -> String {
    switch key {
    case "not", "if", "then", "else":
      "say what is allowed instead, with anyOf, enum or pattern"
    case "nullable": "use \"type\": [..., \"null\"]"
    case "dependencies", "dependentRequired", "dependentSchemas":
      "use anyOf with the combinations that are allowed"
    case "unevaluatedProperties": "use additionalProperties"
    case "additionalItems", "unevaluatedItems": "use prefixItems and items"
    default: "remove it, or see OutputConstraint for what is supported"
    }
  }

  // MARK: Values

  /// The JSON pointer of the present keyword.
  var path: String { place + "/" + SchemaDocument.escaped(keyword) }

  func malformed(_ expected: String, _ value: JSONValue) -> ConstraintError {
    let text = value.encoded()
    return ConstraintError(
      .malformed, place: keyword.isEmpty ? place : path, expected: expected,
      found: text.utf8.count <= 60 ? text : value.kind, advice: "correct the schema")
  }

  func string(_ value: JSONValue) throws(ConstraintError) -> String {
    guard let text = value.stringValue else { throw malformed("a string", value) }
    return text
  }

  /// A count; 5.0 is one too.
  func count(_ value: JSONValue) throws(ConstraintError) -> Int {
    guard let number = value.doubleValue, number >= 0, number == number.rounded(),
      let count = Int(exactly: number)
    else { throw malformed("a whole number of at least 0", value) }
    return count
  }

  /// A count of items or properties, each of which is a state of its own.
  func size(_ value: JSONValue) throws(ConstraintError) -> Int {
    let count = try count(value)
    guard count <= Self.mostParts else {
      throw ConstraintError(
        .tooLarge, place: path, expected: "at most \(Self.mostParts)", found: "\(count)",
        advice: "use a smaller number, or remove it")
    }
    return count
  }

  /// The numbers of schemas in an array of at least one.
  mutating func schemas(_ value: JSONValue) throws(ConstraintError) -> [Int] {
    guard let elements = value.arrayValue, !elements.isEmpty else {
      throw malformed("an array of at least one schema", value)
    }
    return elements.enumerated().map { document.number(of: "\(path)/\($0)", $1) }
  }

  private func kinds(_ value: JSONValue) throws(ConstraintError) -> Set<ValueKind> {
    let names = value.stringValue.map { [JSONValue.string($0)] } ?? value.arrayValue ?? []
    var kinds: Set<ValueKind> = []
    for name in names {
      guard let named = name.stringValue.flatMap(ValueKind.named) else {
        throw malformed(
          "types: null, boolean, integer, number, string, array or object", value)
      }
      kinds.formUnion(named)
    }
    guard !kinds.isEmpty else { throw malformed("a type or an array of types", value) }
    return kinds
  }

  private func values(_ value: JSONValue) throws(ConstraintError) -> [JSONValue] {
    guard let values = value.arrayValue, !values.isEmpty else {
      throw malformed("an array of at least one value", value)
    }
    return values
  }
}
