/// A regular expression over the code points of UTF-8, for the patterns of tokenizers.
///
/// It understands what Onigmo (the engine of Hugging Face's `tokenizers`) and the published patterns
/// have in common: literals, `.`, classes with ranges and `\p{..}` `\s` `\d`, groups, `(?i:...)`,
/// alternation, greedy, lazy and possessive repetition, `(?=` `(?!` `(?>`, and anchors. Everything
/// else is refused when the pattern is read. Matching backtracks on a stack of its own, so that no
/// text can overflow the program's.
struct RegularExpression: Sendable {
  enum Instruction: Sendable {
    /// Consumes one code point of the set.
    case one(Int)
    /// Consumes `least...most` code points of the set, as many as there are; gives back if allowed.
    case many(Int, least: Int, most: Int, givesBack: Bool)
    /// Goes on at the first, and at the second if that fails.
    case either(Int, Int)
    case jump(Int)
    /// Tries what follows up to its `.matched`; goes on at `then` from the same place.
    case look(ahead: Bool, then: Int)
    /// The same, but goes on behind what was matched.
    case atomic(then: Int)
    case lineStart, lineEnd, textStart, textEnd
    case matched
  }

  let pattern: String
  private(set) var program: [Instruction] = []
  private(set) var sets: [CodePointSet] = []

  /// Compiles a pattern; `message` of the error says what is not understood.
  init(_ pattern: String) throws(RegularExpressionError) {
    self.pattern = pattern
    var parser = RegularExpressionParser(pattern)
    let tree = try parser.parse()
    try emit(tree)
    program.append(.matched)
  }

  private mutating func index(of set: CodePointSet) -> Int {
    if let known = sets.firstIndex(of: set) { return known }
    sets.append(set)
    return sets.count - 1
  }

  private mutating func emit(_ node: RegularExpressionNode) throws(RegularExpressionError) {
    guard program.count < 20_000 else {
      throw RegularExpressionError(message: "a pattern that unrolls to more than 20000 steps")
    }
    switch node {
    case .set(let set): program.append(.one(index(of: set)))
    case .sequence(let nodes): for node in nodes { try emit(node) }
    case .alternation(let nodes):
      var jumps: [Int] = []
      for (i, node) in nodes.enumerated() {
        guard i < nodes.count - 1 else {
          try emit(node)
          break
        }
        let fork = program.count
        program.append(.matched)
        try emit(node)
        jumps.append(program.count)
        program.append(.matched)
        program[fork] = .either(fork + 1, program.count)
      }
      for jump in jumps { program[jump] = .jump(program.count) }
    case .look(let node, let ahead):
      let start = program.count
      program.append(.matched)
      try emit(node)
      program.append(.matched)
      program[start] = .look(ahead: ahead, then: program.count)
    case .atomic(let node):
      let start = program.count
      program.append(.matched)
      try emit(node)
      program.append(.matched)
      program[start] = .atomic(then: program.count)
    case .lineStart: program.append(.lineStart)
    case .lineEnd: program.append(.lineEnd)
    case .textStart: program.append(.textStart)
    case .textEnd: program.append(.textEnd)
    case .repeated(.set(let set), let least, let most, let kind) where kind != .lazy:
      program.append(
        .many(index(of: set), least: least, most: most, givesBack: kind == .greedy))
    case .repeated(let node, let least, let most, .possessive):
      try emit(.atomic(.repeated(node, least: least, most: most, .greedy)))
    case .repeated(let node, let least, let most, let kind):
      if node.canBeEmpty {
        throw RegularExpressionError(message: "a repetition of what can be empty")
      }
      for _ in 0..<least { try emit(node) }
      func fork(_ inside: Int, _ outside: Int) -> Instruction {
        kind == .greedy ? .either(inside, outside) : .either(outside, inside)
      }
      if most == .max {
        let start = program.count
        program.append(.matched)
        try emit(node)
        program.append(.jump(start))
        program[start] = fork(start + 1, program.count)
      } else {
        var forks: [Int] = []
        for _ in least..<most {
          forks.append(program.count)
          program.append(.matched)
          try emit(node)
        }
        for place in forks { program[place] = fork(place + 1, program.count) }
      }
    }
  }
}

/// What a pattern has that is not understood.
struct RegularExpressionError: Error {
  var message: String
}

// MARK: Matching

extension RegularExpression {
  /// A place to go back to: at `program` with the text at `position`, or, where a run of one set may
  /// give back, at any position down to `lowest`.
  struct Choice {
    var program: Int
    var position: Int
    var lowest: Int
  }

  /// Calls `body` with each match in turn from left to right, as start and end, like `find_iter`.
  func forEachMatch(
    in bytes: UnsafeBufferPointer<UInt8>, range: Range<Int>, stack: inout [Choice],
    _ body: (Int, Int) -> Void
  ) {
    // Everything outside of the range is hidden from anchors and lookahead.
    let text = UnsafeBufferPointer(rebasing: bytes[range])
    var start = 0
    var previousEnd = -1
    while start <= text.count {
      guard let end = match(text, at: start, from: 0, stack: &stack) else {
        guard start < text.count else { return }
        start += scalarLength(startingWith: text[start])
        continue
      }
      if end == start && start == previousEnd {
        // An empty match right behind the last one does not count.
        guard start < text.count else { return }
        start += scalarLength(startingWith: text[start])
        continue
      }
      body(range.lowerBound + start, range.lowerBound + end)
      previousEnd = end
      if end > start {
        start = end
      } else {
        guard start < text.count else { return }
        start += scalarLength(startingWith: text[start])
      }
    }
  }

  private func match(
    _ text: UnsafeBufferPointer<UInt8>, at start: Int, from entry: Int, stack: inout [Choice]
  ) -> Int? {
    let base = stack.count
    defer { stack.removeSubrange(base...) }
    var pc = entry
    var position = start
    while true {
      var failed = false
      switch program[pc] {
      case .one(let set):
        if position < text.count {
          let (code, count) = decodeScalar(text, at: position)
          if sets[set].contains(code) {
            position += count
            pc += 1
          } else {
            failed = true
          }
        } else {
          failed = true
        }
      case .many(let set, let least, let most, let givesBack):
        var taken = 0
        var lowest = position
        while taken < most, position < text.count {
          let (code, count) = decodeScalar(text, at: position)
          guard sets[set].contains(code) else { break }
          position += count
          taken += 1
          if taken == least { lowest = position }
        }
        if taken < least {
          failed = true
        } else {
          if givesBack, position > lowest {
            stack.append(Choice(program: pc + 1, position: position, lowest: lowest))
          }
          pc += 1
        }
      case .either(let first, let second):
        stack.append(Choice(program: second, position: position, lowest: -1))
        pc = first
      case .jump(let target): pc = target
      case .look(let ahead, let then):
        if (match(text, at: position, from: pc + 1, stack: &stack) != nil) == ahead {
          pc = then
        } else {
          failed = true
        }
      case .atomic(let then):
        if let end = match(text, at: position, from: pc + 1, stack: &stack) {
          position = end
          pc = then
        } else {
          failed = true
        }
      case .lineStart:
        if position == 0 || text[position - 1] == 0x0A { pc += 1 } else { failed = true }
      case .lineEnd:
        if position == text.count || text[position] == 0x0A { pc += 1 } else { failed = true }
      case .textStart:
        if position == 0 { pc += 1 } else { failed = true }
      case .textEnd:
        if position == text.count { pc += 1 } else { failed = true }
      case .matched: return position
      }
      if failed {
        guard stack.count > base, var choice = stack.popLast() else { return nil }
        pc = choice.program
        if choice.lowest >= 0 {
          repeat { choice.position -= 1 } while text[choice.position] & 0xC0 == 0x80
          if choice.position > choice.lowest { stack.append(choice) }
        }
        position = choice.position
      }
    }
  }
}
