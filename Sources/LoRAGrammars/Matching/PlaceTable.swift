/// The places that a matcher has been at, and where each byte leads from them: an automaton that is
/// made while it is used, as nesting allows endlessly many places.
struct PlaceTable: Sendable {
  /// A state of the grammar and the stacks with which it was reached.
  struct Item: Hashable {
    var state: Int32
    var stacks: Int32
  }

  /// All states that the text so far may have led to.
  struct Place: Hashable {
    /// Ascending by state, each once; only states from which a byte leads on.
    var items: [Item]
    /// Whether the text may end here.
    var mayEnd: Bool
  }

  /// Where there is no way on.
  static let dead: Int32 = -1
  /// What is not worked out yet.
  static let unknown: Int32 = -2
  /// How deep values may be nested in each other. A nesting that could not be closed below it is
  /// not begun.
  static let mostDepth: Int32 = 128
  /// More states at one place are refused.
  static let mostItems = 20_000
  /// More places than this are forgotten between two tokens, and refused within one.
  static let mostPlaces = 1 << 15

  let grammar: Grammar
  private var stacks = StackTable()
  private(set) var places: [Place] = []
  private var numbers: [Place: Int32] = [:]
  /// By place and class of bytes, the next place, ``dead`` or ``unknown``.
  private(set) var rows: [Int32] = []
  let classCount: Int

  init(_ grammar: Grammar) {
    self.grammar = grammar
    classCount = grammar.representatives.count
  }

  var isFull: Bool { places.count > Self.mostPlaces }

  /// The place before the first byte.
  mutating func start() throws(ConstraintError) -> Int32 {
    try number(reachedBy: [Item(state: grammar.start, stacks: StackTable.bottom)])
  }

  func mayEnd(_ place: Int32) -> Bool { places[Int(place)].mayEnd }

  /// Where a byte leads, or ``dead``.
  mutating func next(_ place: Int32, _ byte: UInt8) throws(ConstraintError) -> Int32 {
    let byteClass = grammar.classes[Int(byte)]
    let known = rows[Int(place) * classCount + Int(byteClass)]
    return known == Self.unknown ? try workOut(place, byteClass) : known
  }

  mutating func workOut(_ place: Int32, _ byteClass: UInt8) throws(ConstraintError) -> Int32 {
    let byte = grammar.representatives[Int(byteClass)]
    var seeds: [Item] = []
    for item in places[Int(place)].items {
      for edge in grammar.edges(of: item.state) where edge.low <= byte && byte <= edge.high {
        seeds.append(Item(state: edge.target, stacks: item.stacks))
      }
    }
    let next = seeds.isEmpty ? Self.dead : try number(reachedBy: seeds)
    rows[Int(place) * classCount + Int(byteClass)] = next
    return next
  }

  /// The place that these items come to, with all that is reached from them without a byte.
  private mutating func number(reachedBy seeds: [Item]) throws(ConstraintError) -> Int32 {
    var found: [Int32: Int32] = [:]
    var items: [Item] = []
    var mayEnd = false
    if seeds.count == 1, grammar.isPlain(seeds[0].state), fits(seeds[0]) {
      items = seeds
    } else {
      var pending = seeds
      while let item = pending.popLast() {
        guard fits(item) else { continue }
        if let old = found[item.state] {
          let both = stacks.union(old, item.stacks)
          if both == old { continue }
          found[item.state] = both
        } else {
          found[item.state] = item.stacks
        }
        try checkSize(found.count)
        for skip in grammar.skips(of: item.state) {
          pending.append(Item(state: skip, stacks: item.stacks))
        }
        for call in grammar.calls(of: item.state) {
          let stacks =
            call.back == Grammar.tail
            ? item.stacks : stacks.pushing(call.back, onto: item.stacks)
          pending.append(Item(state: call.start, stacks: stacks))
        }
        if grammar.isFinal(item.state) {
          let set = stacks.sets[Int(item.stacks)]
          mayEnd = mayEnd || set.hasEmpty
          for frame in set.frames {
            pending.append(Item(state: frame.back, stacks: frame.below))
          }
        }
      }
      for (state, stacks) in found where !grammar.edges(of: state).isEmpty {
        items.append(Item(state: state, stacks: stacks))
      }
      items.sort { $0.state < $1.state }
    }
    guard !items.isEmpty || mayEnd else { return Self.dead }
    return number(of: Place(items: items, mayEnd: mayEnd))
  }

  /// Whether an end can be reached from here within the limit of depth.
  private func fits(_ item: Item) -> Bool {
    stacks.depths[Int(item.stacks)] + grammar.heights[Int(item.state)] <= Self.mostDepth
  }

  private func checkSize(_ count: Int) throws(ConstraintError) {
    guard count <= Self.mostItems, places.count <= 2 * Self.mostPlaces else {
      throw ConstraintError(
        .tooLarge, place: "token",
        expected: "at most \(Self.mostItems) ways to read the text so far", found: "more",
        advice: "use a schema or pattern whose alternatives begin differently")
    }
  }

  private mutating func number(of place: Place) -> Int32 {
    if let known = numbers[place] { return known }
    let number = Int32(places.count)
    places.append(place)
    numbers[place] = number
    rows.append(contentsOf: repeatElement(Self.unknown, count: classCount))
    return number
  }

  /// Forgets all places but one, and returns its new number.
  mutating func forgetAll(but place: Int32) -> Int32 {
    var fresh = PlaceTable(grammar)
    var copies = [StackTable.bottom: StackTable.bottom]
    var kept = places[Int(place)]
    for i in kept.items.indices {
      kept.items[i].stacks = copy(kept.items[i].stacks, into: &fresh, &copies)
    }
    self = fresh
    return number(of: kept)
  }

  /// Recurses with the height of stacks, at most ``mostDepth``.
  private func copy(
    _ set: Int32, into fresh: inout PlaceTable, _ copies: inout [Int32: Int32]
  ) -> Int32 {
    if let known = copies[set] { return known }
    var contents = stacks.sets[Int(set)]
    for i in contents.frames.indices {
      contents.frames[i].below = copy(contents.frames[i].below, into: &fresh, &copies)
    }
    let number = fresh.stacks.number(of: contents)
    copies[set] = number
    return number
  }
}
