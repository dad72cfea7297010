internal import LoRAJSON

/// Turns a JSON schema into a grammar.
///
/// A part of the grammar stands for a set of schemas that all hold of one value. Sets of properties
/// and items follow from those of their object or array, and each set is compiled once, so that
/// recursive schemas come to an end, and `allOf` is exact.
struct SchemaCompiler {
  /// More sets than this are refused.
  private static let mostSets = 50_000

  let whitespace: JSONWhitespace
  private(set) var nodes: [SchemaNode]
  var builder = GrammarBuilder()
  var layout: JSONLayout
  /// The parts of sets of schemas, and of single alternatives.
  private var sets: [[Int]: Int32] = [:]
  private var alternatives: [[Int]: Int32] = [:]
  /// What is not compiled yet. A queue, so that deeply nested schemas need no deep recursion.
  private var pendingSets: [(nodes: [Int], start: Int32)] = []
  private var pendingAlternatives: [(nodes: [Int], start: Int32)] = []
  /// Parts of which no text may exist, or two alternatives of a `oneOf` would hold.
  private var exclusions: [(start: Int32, exclusion: SchemaExpansion.Exclusion)] = []

  private init(_ document: SchemaDocument, whitespace: JSONWhitespace) {
    nodes = document.nodes
    self.whitespace = whitespace
    layout = JSONLayout(whitespace, &builder)
  }

  static func grammar(
    of schema: String, whitespace: JSONWhitespace
  ) throws(ConstraintError) -> Grammar {
    var document = try SchemaDocument(schema)
    try document.readAll()
    var compiler = SchemaCompiler(document, whitespace: whitespace)
    let start = compiler.part(of: [0])
    try compiler.compileAll()
    try compiler.checkExclusions()
    return try compiler.builder.grammar(from: start, place: "#")
  }

  /// The part for values of which all these schemas hold.
  mutating func part(of set: [Int]) -> Int32 {
    let key = Set(set).filter { !nodes[$0].isTrivial }.sorted()
    if let known = sets[key] { return known }
    let start = builder.state()
    sets[key] = start
    pendingSets.append((key, start))
    return start
  }

  private mutating func part(ofAlternative nodes: [Int]) -> Int32 {
    if let known = alternatives[nodes] { return known }
    let start = builder.state()
    alternatives[nodes] = start
    pendingAlternatives.append((nodes, start))
    return start
  }

  private mutating func compileAll() throws(ConstraintError) {
    while true {
      guard sets.count + alternatives.count <= Self.mostSets else {
        throw ConstraintError(
          .tooLarge, place: "#", expected: "at most \(Self.mostSets) combinations of schemas",
          found: "more", advice: "use a smaller schema")
      }
      try builder.checkSize(place: "#")
      if let (set, start) = pendingSets.popLast() {
        try compile(set: set, from: start)
      } else if let (set, start) = pendingAlternatives.popLast() {
        try compile(alternative: set.map { nodes[$0] }, from: start)
      } else {
        return
      }
    }
  }

  private mutating func compile(set: [Int], from start: Int32) throws(ConstraintError) {
    for alternative in try SchemaExpansion.alternatives(of: set, in: nodes) {
      builder.skip(start, to: part(ofAlternative: alternative.nodes))
      for exclusion in alternative.exclusions {
        for other in try SchemaExpansion.alternatives(of: [exclusion.other], in: nodes) {
          let both = Set(alternative.nodes + other.nodes).sorted()
          exclusions.append((part(ofAlternative: both), exclusion))
        }
      }
    }
  }

  /// Throws if two alternatives of a `oneOf` have a value in common.
  private func checkExclusions() throws(ConstraintError) {
    guard !exclusions.isEmpty else { return }
    let heights = builder.heights()
    for (start, exclusion) in exclusions where heights[Int(start)] < Grammar.unreachable {
      throw ConstraintError(
        .unsupported, place: nodes[exclusion.node].place + "/oneOf",
        expected: "alternatives of which never two hold",
        found:
          "values of both \(nodes[exclusion.chosen].place) and \(nodes[exclusion.other].place)",
        advice: "use anyOf, or tell them apart by a required property with a const")
    }
  }

  // MARK: One alternative

  private mutating func compile(
    alternative nodes: [SchemaNode], from start: Int32
  ) throws(ConstraintError) {
    if nodes.contains(where: \.isNever) { return }
    if let allowed = try SchemaCheck(nodes: self.nodes).listedValues(nodes) {
      layout.values(allowed, &builder, from: start)
      return
    }
    let kinds = nodes.reduce(ValueKind.all) { $0.intersection($1.kinds ?? ValueKind.all) }
    if kinds.contains(.null) { builder.literal(start, "null".utf8, to: builder.end) }
    if kinds.contains(.boolean) {
      builder.literal(start, "true".utf8, to: builder.end)
      builder.literal(start, "false".utf8, to: builder.end)
    }
    if kinds.contains(.integer) || kinds.contains(.fraction) {
      try compileNumber(nodes, isInteger: !kinds.contains(.fraction), from: start)
    }
    if kinds.contains(.string) { try compileString(nodes, from: start) }
    if kinds.contains(.array) { compileArray(nodes, from: start) }
    if kinds.contains(.object) { try compileObject(nodes, from: start) }
  }

  private mutating func compileNumber(
    _ nodes: [SchemaNode], isInteger: Bool, from start: Int32
  ) throws(ConstraintError) {
    var range = NumberRange()
    range.isInteger = isInteger
    let place = nodes.first { $0.number != NumberRange() }?.place ?? "#"
    for node in nodes {
      range.isInteger = range.isInteger || node.number.isInteger
      if let lower = node.number.lower { range.restrict(lower: lower) }
      if let upper = node.number.upper { range.restrict(upper: upper) }
      range.factor = Self.leastCommonMultiple(range.factor, node.number.factor)
      guard range.factor <= NumberRange.mostStates else {
        throw ConstraintError(
          .tooLarge, place: node.place + "/multipleOf",
          expected: "a common multiple of at most \(NumberRange.mostStates)",
          found: "a larger one", advice: "use smaller numbers")
      }
    }
    try builder.number(start, range, to: builder.end, place: place)
  }

  private static func leastCommonMultiple(_ a: Int, _ b: Int) -> Int {
    var (x, y) = (a, b)
    while y != 0 { (x, y) = (y, x % y) }
    return a / x * b
  }

  private mutating func compileString(
    _ nodes: [SchemaNode], from start: Int32
  ) throws(ConstraintError) {
    let first = builder.state()
    let last = builder.state()
    builder.edge(start, "\"", to: first)
    builder.edge(last, "\"", to: builder.end)
    // A text that has a form of its own is not hidden in escapes.
    let isFree = nodes.allSatisfy(\.texts.isEmpty)
    let texts = try Self.texts(of: nodes)
    builder.text(first, texts, as: isFree ? .json : .sparingJSON, to: last)
  }

  /// The strings that all nodes allow.
  static func texts(of nodes: [SchemaNode]) throws(ConstraintError) -> TextAutomaton {
    var result = TextAutomaton.all
    for node in nodes {
      for automaton in node.texts {
        result = try result.intersection(automaton, place: node.place)
      }
    }
    let least = nodes.map(\.leastLength).max() ?? 0
    let most = nodes.compactMap(\.mostLength).min()
    if least > 0 || most != nil {
      let place = nodes.first { $0.leastLength > 0 || $0.mostLength != nil }?.place ?? "#"
      result = try result.intersection(
        try TextAutomaton.length(least, most, place: place), place: place)
    }
    return result
  }
}
