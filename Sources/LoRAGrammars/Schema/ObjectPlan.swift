/// What the schemas of an object come to: its properties in their order, and what others may be.
struct ObjectPlan {
  /// More patterns of names in one object are refused: each combination has its own schemas.
  private static let mostPatterns = 6

  struct Property {
    var name: String
    var schemas: [Int]
    var isRequired: Bool
  }

  /// Names that are not listed, and the schemas of their values.
  struct Others {
    var names: TextAutomaton
    var schemas: [Int]
  }

  private(set) var properties: [Property] = []
  private(set) var others: [Others] = []
  private(set) var least: Int
  private let most: Int?

  init(_ nodes: [SchemaNode]) {
    least = nodes.map(\.leastProperties).max() ?? 0
    most = nodes.compactMap(\.mostProperties).min()
    let listed = nodes.flatMap { $0.properties.map(\.name) }
    let required = nodes.flatMap(\.required)
    // Swift takes different spellings of a letter for equal, JSON does not.
    let requiredBytes = Set(required.map { Array($0.utf8) })
    var known: Set<[UInt8]> = []
    for name in listed + required where known.insert(Array(name.utf8)).inserted {
      let schemas = nodes.flatMap { Self.schemas(of: name, $0) }
      properties.append(
        Property(
          name: name, schemas: schemas, isRequired: requiredBytes.contains(Array(name.utf8))))
    }
  }

  /// What a node says of the property with a name.
  static func schemas(of name: String, _ node: SchemaNode) -> [Int] {
    var schemas = node.patterns.filter { $0.automaton.accepts(name) }.map(\.schema)
    if let property = node.property(name) { schemas.append(property) }
    if schemas.isEmpty, let additional = node.additional { schemas.append(additional) }
    return schemas
  }

  /// Finds what properties may be that are not listed.
  mutating func addPatterns(of nodes: [SchemaNode], all: [SchemaNode]) throws(ConstraintError) {
    let place = nodes.first { !$0.patterns.isEmpty || !$0.properties.isEmpty }?.place ?? "#"
    let patterns = nodes.flatMap(\.patterns)
    guard patterns.count <= Self.mostPatterns else {
      throw ConstraintError(
        .tooLarge, place: place + "/patternProperties",
        expected: "at most \(Self.mostPatterns) patterns for one object",
        found: "\(patterns.count)", advice: "join them with |")
    }
    func mayBe(_ schemas: [Int]) -> Bool { !schemas.contains { all[$0].isNever } }
    let isClosed = patterns.isEmpty && !mayBe(nodes.compactMap(\.additional))
    guard !isClosed else { return }
    let names = properties.map(\.name)
    let rest =
      names.isEmpty
      ? TextAutomaton.all
      : try TextAutomaton.literals(names, place: place).complement(place: place)
    for choice in 0..<(1 << patterns.count) {
      var schemas: [Int] = []
      var number = 0
      for node in nodes {
        var isMatched = false
        for pattern in node.patterns {
          if choice >> number & 1 == 1 {
            schemas.append(pattern.schema)
            isMatched = true
          }
          number += 1
        }
        if !isMatched, let additional = node.additional { schemas.append(additional) }
      }
      guard mayBe(schemas) else { continue }
      var allowed = rest
      for (number, pattern) in patterns.enumerated() {
        let isMatched = choice >> number & 1 == 1
        let set =
          isMatched ? pattern.automaton : try pattern.automaton.complement(place: place)
        allowed = try allowed.intersection(set, place: place)
      }
      if !allowed.isEmpty { others.append(Others(names: allowed, schemas: schemas)) }
    }
  }

  /// Names that are not listed might be written twice, and would then be counted twice.
  mutating func checkCounts(_ nodes: [SchemaNode]) throws(ConstraintError) {
    let required = properties.count { $0.isRequired }
    if least <= required {
      least = 0
    } else if least > 1, !others.isEmpty {
      let place = nodes.first { $0.leastProperties == least }?.place ?? "#"
      throw ConstraintError(
        .unsupported, place: place + "/minProperties",
        expected: "at most 1, or an object without additional properties", found: "\(least)",
        advice: "set additionalProperties to false, or list properties in required")
    }
  }

  /// How many properties were written after one more, as far as that matters; nil if no more may
  /// be.
  func count(after count: Int) -> Int? {
    if let most { return count < most ? count + 1 : nil }
    return min(count + 1, max(1, least))
  }
}
