internal import LoRAPatterns

/// A pattern as a nondeterministic automaton over code points, by Thompson's construction.
struct PatternNetwork {
  /// More states than this are refused.
  static let mostStates = 100_000

  private enum Step {
    case set(Int, target: Int32)
    case skip(Int32)
    case atStart(Int32)
    case atEnd(Int32)
  }

  private(set) var sets: [[ClosedRange<UInt32>]] = []
  private var steps: [[Step]] = [[]]
  private var isTooLarge = false
  private let start: Int32 = 0
  private var end: Int32 = 0

  /// `isSearch`: whether the pattern may stand anywhere in the text, as JSON schema has it; else it
  /// is the whole text.
  init(_ tree: PatternTree, isSearch: Bool, place: String) throws(ConstraintError) {
    let any: [ClosedRange<UInt32>] = [0...0xD7FF, 0xE000...0x10FFFF]
    let first = state()
    add(.skip(first), to: start)
    if isSearch { add(.set(number(of: any), target: start), to: start) }
    end = emit(tree, from: first)
    if isSearch { add(.set(number(of: any), target: end), to: end) }
    guard !isTooLarge else {
      throw ConstraintError(
        .tooLarge, place: place, expected: "a pattern of at most \(Self.mostStates) states",
        found: "more", advice: "use smaller repetitions")
    }
  }

  private mutating func state() -> Int32 {
    steps.append([])
    return Int32(steps.count - 1)
  }

  private mutating func add(_ step: Step, to state: Int32) { steps[Int(state)].append(step) }

  private mutating func number(of set: [ClosedRange<UInt32>]) -> Int {
    if let known = sets.firstIndex(of: set) { return known }
    sets.append(set)
    return sets.count - 1
  }

  /// Where one is behind the tree. Recurses with a pattern's groups, which nest 50 deep at most.
  private mutating func emit(_ tree: PatternTree, from first: Int32) -> Int32 {
    guard steps.count <= Self.mostStates else {
      isTooLarge = true
      return first
    }
    switch tree {
    case .set(let ranges):
      let target = state()
      add(.set(number(of: ranges), target: target), to: first)
      return target
    case .sequence(let trees): return trees.reduce(first) { emit($1, from: $0) }
    case .alternation(let trees):
      let target = state()
      for tree in trees {
        let branch = state()
        add(.skip(branch), to: first)
        add(.skip(target), to: emit(tree, from: branch))
      }
      return target
    case .repeated(let tree, let least, let most):
      var place = first
      for _ in 0..<least where !isTooLarge { place = emit(tree, from: place) }
      let target = state()
      if most == .max {
        let turn = state()
        add(.skip(turn), to: place)
        add(.skip(turn), to: emit(tree, from: turn))
        add(.skip(target), to: turn)
        return target
      }
      for _ in least..<most where !isTooLarge {
        add(.skip(target), to: place)
        // A state of its own for each turn: what the tree begins with may loop.
        let turn = state()
        add(.skip(turn), to: place)
        place = emit(tree, from: turn)
      }
      add(.skip(target), to: place)
      return target
    case .textStart, .textEnd:
      let target = state()
      if case .textStart = tree {
        add(.atStart(target), to: first)
      } else {
        add(.atEnd(target), to: first)
      }
      return target
    }
  }

  /// The states that can be reached without a character; ascending.
  private func closure(_ seeds: [Int32], atStart: Bool, atEnd: Bool) -> [Int32] {
    var found = Set(seeds)
    var queue = seeds
    while let state = queue.popLast() {
      for step in steps[Int(state)] {
        let target: Int32
        switch step {
        case .set: continue
        case .skip(let next): target = next
        case .atStart(let next):
          guard atStart else { continue }
          target = next
        case .atEnd(let next):
          guard atEnd else { continue }
          target = next
        }
        if found.insert(target).inserted { queue.append(target) }
      }
    }
    return found.sorted()
  }

  /// The same set of texts as a deterministic automaton.
  func automaton(place: String) throws(ConstraintError) -> TextAutomaton {
    struct Place: Hashable {
      var states: [Int32]
      var isStart: Bool
    }
    let partition = CodePointPartition(dividing: sets)
    // By set, the classes that it consists of.
    let members = sets.map { set in
      Set(
        set.isEmpty
          ? []
          : partition.ranges.indices.filter { number in
            set.contains { $0.contains(partition.ranges[number][0].lowerBound) }
          })
    }
    let first = closure([start], atStart: true, atEnd: false)
    return try TextAutomaton.exploring(
      Place(states: first, isStart: true), over: partition, place: place,
      isAccepting: {
        closure($0.states, atStart: $0.isStart, atEnd: true).contains(end)
      }
    ) { place, number in
      var targets: Set<Int32> = []
      for state in place.states {
        for case .set(let set, let target) in steps[Int(state)] where members[set].contains(number)
        {
          targets.insert(target)
        }
      }
      guard !targets.isEmpty else { return nil }
      return Place(
        states: closure(Array(targets), atStart: false, atEnd: false), isStart: false)
    }
  }
}
