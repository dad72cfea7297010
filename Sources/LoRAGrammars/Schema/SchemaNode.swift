internal import LoRAJSON

/// What one schema requires, read from its keywords. Schemas within it are named by their number in
/// the ``SchemaDocument``.
struct SchemaNode {
  /// The JSON pointer of the schema, "#/properties/name".
  var place: String
  /// The schema `false`.
  var isNever = false
  var kinds: Set<ValueKind>?
  var values: [JSONValue]?
  /// All of these hold too: `$ref` and `allOf`.
  var all: [Int] = []
  /// Of each of these groups one holds: `anyOf`.
  var any: [[Int]] = []
  /// Of each of these groups exactly one holds: `oneOf`.
  var one: [[Int]] = []

  var number = NumberRange()

  var leastLength = 0
  var mostLength: Int?
  /// What `pattern` and `format` say of strings.
  var texts: [TextAutomaton] = []

  var prefix: [Int] = []
  var items: Int?
  var leastItems = 0
  var mostItems: Int?

  var properties: [(name: String, schema: Int)] = []
  var required: [String] = []
  var patterns: [(automaton: TextAutomaton, schema: Int)] = []
  var additional: Int?
  var leastProperties = 0
  var mostProperties: Int?

  /// Whether it requires nothing, as `true` and `{}`.
  var isTrivial = false

  func property(_ name: String) -> Int? {
    properties.first { $0.name.utf8.elementsEqual(name.utf8) }?.schema
  }
}
