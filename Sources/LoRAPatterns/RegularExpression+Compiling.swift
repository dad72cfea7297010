extension RegularExpression {
  /// Limits of what a pattern unrolls to: of this program, and of the states of ``ThoroughSearch``.
  private static let longestProgram = 20_000
  private static let mostStates = 400_000
  /// Each costs memory by the length of the text where ``ThoroughSearch`` is needed.
  private static let mostTables = 64

  /// Appends what matches `node`, inside of `level` repetitions of what can be empty.
  mutating func emit(_ node: PatternNode, level: Int) throws(RegularExpressionError) {
    guard program.count < Self.longestProgram else {
      throw RegularExpressionError(
        what: "a pattern that unrolls to more than \(Self.longestProgram) steps")
    }
    switch node {
    case .set(let set): append(.one(index(of: set)), level: level)
    case .sequence(let nodes): for node in nodes { try emit(node, level: level) }
    case .alternation(let nodes):
      var jumps: [Int] = []
      for node in nodes.dropLast() {
        let fork = placeholder(level)
        try emit(node, level: level)
        jumps.append(placeholder(level))
        program[fork] = .either(fork + 1, program.count)
      }
      if let last = nodes.last { try emit(last, level: level) }
      for jump in jumps { program[jump] = .jump(program.count) }
    case .look(let node, let isPositive):
      let start = try emitInner(node, level)
      program[start] = .look(isPositive: isPositive, then: program.count)
    case .behind(let node, let width, let isPositive):
      // Counted once what is inside has been: an inner one comes before an outer one.
      let start = try emitInner(node, level)
      program[start] = .behind(
        index: behindCount, width: width, isPositive: isPositive, then: program.count)
      behindCount += 1
    case .atomic(let node):
      let start = try emitInner(node, level)
      program[start] = .atomic(
        index: atomicCount, then: program.count, canBeEmpty: node.canBeEmpty)
      atomicCount += 1
    case .assertion(let assertion): append(.assertion(assertion), level: level)
    case .group(let node, let number):
      if number == captured { append(.mark(isEnd: false), level: level) }
      try emit(node, level: level)
      if number == captured { append(.mark(isEnd: true), level: level) }
    case .repeated(.set(let set), let least, let most, let kind) where kind != .lazy:
      append(
        .many(index(of: set), least: least, most: most, givesBack: kind == .greedy), level: level)
    case .repeated(let node, let least, let most, .possessive):
      try emit(.atomic(.repeated(node, least: least, most: most, .greedy)), level: level)
    case .repeated(let node, let least, let most, let kind):
      try emitRepetition(of: node, least: least, most: most, isLazy: kind == .lazy, level: level)
    }
  }

  private mutating func placeholder(_ level: Int) -> Int {
    append(.matched, level: level)
    return program.count - 1
  }

  /// What has a `.matched` of its own behind an instruction to be put in; the place of that.
  private mutating func emitInner(
    _ node: PatternNode, _ level: Int
  ) throws(RegularExpressionError) -> Int {
    let start = placeholder(level)
    try emit(node, level: 0)
    append(.matched, level: 0)
    return start
  }

  private mutating func emitRepetition(
    of node: PatternNode, least: Int, most: Int, isLazy: Bool, level: Int
  ) throws(RegularExpressionError) {
    for _ in 0..<least { try emit(node, level: level) }
    func fork(_ inside: Int, _ outside: Int) -> Instruction {
      isLazy ? .either(outside, inside) : .either(inside, outside)
    }
    let canBeEmpty = node.canBeEmpty
    /// One turn with its fork in front; the places of the fork and, where it can be empty, the end.
    func turn() throws(RegularExpressionError) -> (fork: Int, end: Int?) {
      let place = placeholder(level)
      if canBeEmpty { append(.turn(level: level), level: level + 1) }
      try emit(node, level: canBeEmpty ? level + 1 : level)
      return (place, canBeEmpty ? placeholder(level + 1) : nil)
    }
    if most == .max {
      let (start, end) = try turn()
      if let end {
        program[end] = .turned(level: level, again: start, exit: program.count)
      } else {
        append(.jump(start), level: level)
      }
      program[start] = fork(start + 1, program.count)
    } else {
      var turns: [(fork: Int, end: Int?)] = []
      for _ in least..<most { turns.append(try turn()) }
      for (place, end) in turns {
        program[place] = fork(place + 1, program.count)
        if let end { program[end] = .turned(level: level, again: end + 1, exit: program.count) }
      }
    }
  }

  /// Throws for what would take too much time or memory with any text.
  func checkSize() throws(RegularExpressionError) {
    var states = 0
    for (instruction, level) in zip(program, levels) {
      var count = 1
      if case .many(_, let least, let most, _) = instruction {
        count += most == .max ? least : most
      }
      states += count * (level + 1)
    }
    guard states <= Self.mostStates else {
      throw RegularExpressionError(
        what: "a pattern that unrolls to more than \(Self.mostStates) steps")
    }
    guard max(behindCount, atomicCount) <= Self.mostTables else {
      throw RegularExpressionError(
        what: "more than \(Self.mostTables) lookbehinds or atomic groups")
    }
    guard captured == nil || atomicCount == 0 else {
      throw RegularExpressionError(what: "an atomic group beside a group that is read")
    }
  }
}
