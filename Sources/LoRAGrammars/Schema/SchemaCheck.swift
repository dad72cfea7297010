internal import LoRAJSON

/// Judges values that a schema itself contains, in `enum` and `const`, by the rest of the schema.
struct SchemaCheck {
  /// A schema that refers to itself would be followed for ever.
  private static let mostDepth = 200

  let nodes: [SchemaNode]

  /// Whether a value fulfils a schema with all that it refers to.
  private func fulfils(
    _ value: JSONValue, _ number: Int, depth: Int
  ) throws(ConstraintError) -> Bool {
    let node = nodes[number]
    guard depth < Self.mostDepth else {
      throw ConstraintError(
        .tooLarge, place: node.place, expected: "references at most \(Self.mostDepth) deep",
        found: "deeper ones", advice: "remove a reference of the schema to itself")
    }
    guard try fulfils(value, itself: node, depth: depth) else { return false }
    for schema in node.all where try !fulfils(value, schema, depth: depth + 1) { return false }
    for group in node.any {
      guard try count(value, group, depth: depth) > 0 else { return false }
    }
    for group in node.one {
      guard try count(value, group, depth: depth) == 1 else { return false }
    }
    return true
  }

  private func count(
    _ value: JSONValue, _ group: [Int], depth: Int
  ) throws(ConstraintError) -> Int {
    var count = 0
    for schema in group where try fulfils(value, schema, depth: depth + 1) { count += 1 }
    return count
  }

  /// The values that the first `enum` or `const` of some schemas lists and that fulfil all of them
  /// by their own keywords; nil if none lists any. What `$ref`, `allOf`, `anyOf` and `oneOf` add
  /// are schemas of their own.
  func listedValues(_ nodes: [SchemaNode]) throws(ConstraintError) -> [JSONValue]? {
    guard let source = nodes.firstIndex(where: { $0.values != nil }) else { return nil }
    var result: [JSONValue] = []
    for value in nodes[source].values ?? [] {
      var isValid = true
      for (i, node) in nodes.enumerated() where isValid {
        isValid = try fulfils(value, itself: node, isListed: i == source, depth: 0)
      }
      if isValid { result.append(value) }
    }
    return result
  }

  /// Whether a value fulfils a schema's own keywords. `isListed`: it is one of its `enum`.
  private func fulfils(
    _ value: JSONValue, itself node: SchemaNode, isListed: Bool = false, depth: Int
  ) throws(ConstraintError) -> Bool {
    if node.isNever { return false }
    if let kinds = node.kinds, !kinds.contains(Self.kind(of: value)) { return false }
    if !isListed, let values = node.values, !values.contains(where: { Self.isSame($0, value) }) {
      return false
    }
    switch value {
    case .null, .bool: return true
    case .integer(let number): return node.number.contains(DecimalNumber(number))
    case .number(let number): return node.number.contains(DecimalNumber(number))
    case .string(let text):
      let count = text.unicodeScalars.count
      return count >= node.leastLength && count <= node.mostLength ?? .max
        && node.texts.allSatisfy { $0.accepts(text) }
    case .array(let elements):
      guard elements.count >= node.leastItems, elements.count <= node.mostItems ?? .max else {
        return false
      }
      for (i, element) in elements.enumerated() {
        let schema = i < node.prefix.count ? node.prefix[i] : node.items
        if let schema, try !fulfils(element, schema, depth: depth + 1) { return false }
      }
      return true
    case .object(let members):
      guard members.count >= node.leastProperties, members.count <= node.mostProperties ?? .max,
        node.required.allSatisfy({ members[$0] != nil })
      else { return false }
      for (name, value) in members {
        for schema in ObjectPlan.schemas(of: name, node)
        where try !fulfils(value, schema, depth: depth + 1) {
          return false
        }
      }
      return true
    }
  }

  private static func kind(of value: JSONValue) -> ValueKind {
    switch value {
    case .null: .null
    case .bool: .boolean
    case .integer: .integer
    // 1.0 is an integer in JSON schema.
    case .number(let number): number == number.rounded() ? .integer : .fraction
    case .string: .string
    case .array: .array
    case .object: .object
    }
  }

  /// Equality as JSON schema has it: 1 and 1.0 are the same, and the order of properties is none.
  private static func isSame(_ a: JSONValue, _ b: JSONValue) -> Bool {
    switch (a, b) {
    case (.array(let a), .array(let b)):
      return a.count == b.count && zip(a, b).allSatisfy { isSame($0, $1) }
    case (.object(let a), .object(let b)):
      return a.count == b.count
        && a.allSatisfy { member in b[member.key].map { isSame(member.value, $0) } ?? false }
    case (.integer, .number), (.number, .integer): return a.doubleValue == b.doubleValue
    default: return a == b
    }
  }
}
