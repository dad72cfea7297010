extension SchemaCompiler {
  mutating func compileArray(_ nodes: [SchemaNode], from start: Int32) {
    let least = nodes.map(\.leastItems).max() ?? 0
    let most = nodes.compactMap(\.mostItems).min()
    // From here on all items have the same schema. With no limit, the last state is its own next
    // one.
    let fixed = max(nodes.map(\.prefix.count).max() ?? 0, least, most ?? 0, 1)
    var place = builder.state()
    let close = builder.state()
    builder.edge(start, "[", to: place)
    builder.edge(close, "]", to: builder.end)
    for count in 0...fixed {
      if count >= least, most.map({ count <= $0 }) ?? true {
        layout.gap(&builder, from: place, to: close)
      }
      if let most, count >= most { break }
      let item = layout.separated(&builder, from: place, isFirst: count == 0)
      let next = count == fixed ? place : builder.state()
      builder.call(item, part(of: Self.schemas(ofItem: count, nodes)), to: next)
      place = next
    }
  }

  private static func schemas(ofItem number: Int, _ nodes: [SchemaNode]) -> [Int] {
    nodes.compactMap { number < $0.prefix.count ? $0.prefix[number] : $0.items }
  }

  mutating func compileObject(
    _ nodes: [SchemaNode], from start: Int32
  ) throws(ConstraintError) {
    var plan = ObjectPlan(nodes)
    try plan.addPatterns(of: nodes, all: self.nodes)
    if try hasImpossibleProperty(plan) { return }
    try plan.checkCounts(nodes)
    let open = builder.state()
    let close = builder.state()
    builder.edge(start, "{", to: open)
    builder.edge(close, "}", to: builder.end)
    // By how many properties were written, as far as that matters, the state before the present
    // one.
    var places = [0: open]
    for property in plan.properties {
      var following: [Int: Int32] = [:]
      for (count, place) in places.sorted(by: { $0.key < $1.key }) {
        if !property.isRequired { skip(place, to: count, &following) }
        guard let next = plan.count(after: count) else { continue }
        let key = layout.separated(&builder, from: place, isFirst: count == 0)
        let value = builder.state()
        layout.key(property.name, &builder, from: key, to: value)
        builder.call(value, part(of: property.schemas), to: state(next, &following))
      }
      places = following
    }
    compileOthers(plan, places, close: close)
  }

  private mutating func state(_ count: Int, _ places: inout [Int: Int32]) -> Int32 {
    if let known = places[count] { return known }
    let new = builder.state()
    places[count] = new
    return new
  }

  private mutating func skip(_ place: Int32, to count: Int, _ places: inout [Int: Int32]) {
    let target = state(count, &places)
    builder.skip(place, to: target)
  }

  /// Properties whose names the schema does not list, behind those that it lists.
  private mutating func compileOthers(
    _ plan: ObjectPlan, _ first: [Int: Int32], close: Int32
  ) {
    let others = plan.others.map { property(named: $0) }
    var places = first
    var queue = places.keys.sorted()
    while let count = queue.popLast() {
      guard let place = places[count] else { continue }
      if count >= plan.least { layout.gap(&builder, from: place, to: close) }
      guard !others.isEmpty, let next = plan.count(after: count) else { continue }
      if places[next] == nil { queue.append(next) }
      let target = state(next, &places)
      let key = layout.separated(&builder, from: place, isFirst: count == 0)
      for other in others { builder.call(key, other, to: target) }
    }
  }

  /// The part of one property with such a name, and its value.
  private mutating func property(named others: ObjectPlan.Others) -> Int32 {
    let start = builder.state()
    let name = builder.state()
    let quote = builder.state()
    let colon = builder.state()
    let value = builder.state()
    builder.edge(start, "\"", to: name)
    builder.text(name, others.names, as: .sparingJSON, to: quote)
    builder.edge(quote, "\"", to: colon)
    layout.colon(&builder, from: colon, to: value)
    builder.call(value, part(of: others.schemas), to: builder.end)
    return start
  }

  /// Whether a required property has no value at all, by its type, enum and const alone: what tells
  /// the alternatives of a `oneOf` apart, known before the rest of the object is compiled.
  private func hasImpossibleProperty(_ plan: ObjectPlan) throws(ConstraintError) -> Bool {
    let check = SchemaCheck(nodes: nodes)
    for property in plan.properties where property.isRequired {
      var isPossible = false
      for alternative in try SchemaExpansion.alternatives(of: property.schemas, in: nodes) {
        let nodes = alternative.nodes.map { self.nodes[$0] }
        let kinds = nodes.reduce(ValueKind.all) { $0.intersection($1.kinds ?? ValueKind.all) }
        guard !kinds.isEmpty else { continue }
        if try check.listedValues(nodes)?.isEmpty ?? false { continue }
        isPossible = true
        break
      }
      if !isPossible { return true }
    }
    return false
  }
}
