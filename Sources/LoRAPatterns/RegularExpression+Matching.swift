extension RegularExpression {
  /// What stands for an end where there is no match, and where it was not found out.
  static let none = -1
  static let givenUp = -2

  /// Memory for places to go back to, kept from text to text.
  package struct Stack {
    fileprivate var choices: [Choice] = []

    package init() {}
  }

  /// A place to go back to: at `program` with the text at `position`, or, where a run of one set may
  /// give back, at any position down to `lowest`.
  fileprivate struct Choice {
    var program: Int32
    /// What `progress` was; where a run gives back, when it gives back all.
    var progress: Int32
    var position: Int
    var lowest: Int
  }

  /// The stack of one search, and how many steps it may still take.
  struct Attempt {
    var stack: Stack
    var steps: Int
  }

  /// More places to go back to than this are given up: 24 MiB.
  private static let mostChoices = 1 << 20

  /// Where the match ends that starts at `start`; ``none`` or ``givenUp``.
  func match(_ text: UnsafeBufferPointer<UInt8>, at start: Int, attempt: inout Attempt) -> Int {
    program.withUnsafeBufferPointer { program in
      sets.withUnsafeBufferPointer { sets in
        Backtracking(program: program, sets: sets, text: text)
          .match(at: start, from: 0, attempt: &attempt)
      }
    }
  }

  private struct Backtracking {
    let program: UnsafeBufferPointer<Instruction>
    let sets: UnsafeBufferPointer<CodePointSet>
    let text: UnsafeBufferPointer<UInt8>

    /// Recurses only with lookaround and atomic groups, which nest no deeper than a pattern's groups.
    func match(at start: Int, from entry: Int, attempt: inout Attempt) -> Int {
      let base = attempt.stack.choices.count
      defer { attempt.stack.choices.removeSubrange(base...) }
      var pc = entry
      var position = start
      // Of the repetitions of what can be empty around this place, how many outer ones have
      // consumed something in their present turn.
      var progress = Int32.max
      while true {
        var failed = false
        switch program[pc] {
        case .one(let set):
          if position < text.count {
            let (code, count) = decodeScalar(text, at: position)
            if sets[set].contains(code) {
              position += count
              progress = .max
              pc += 1
            } else {
              failed = true
            }
          } else {
            failed = true
          }
        case .many(let set, let least, let most, let givesBack):
          var taken = 0
          let first = position
          var lowest = position
          while taken < most, position < text.count {
            let (code, count) = decodeScalar(text, at: position)
            guard sets[set].contains(code) else { break }
            position += count
            taken += 1
            if taken == least { lowest = position }
          }
          attempt.steps -= taken
          if taken < least {
            failed = true
          } else {
            let before = progress
            if taken > 0 { progress = .max }
            if givesBack, position > lowest {
              attempt.stack.choices.append(
                Choice(
                  program: Int32(pc + 1), progress: lowest == first ? before : .max,
                  position: position, lowest: lowest))
            }
            pc += 1
          }
        case .either(let first, let second):
          // Most branches fail at once.
          if case .one(let set) = program[first] {
            let fails =
              position == text.count
              || text[position] < 0x80 && !sets[set].contains(UInt32(text[position]))
            if fails {
              attempt.steps -= 1
              pc = second
              continue
            }
          }
          attempt.steps -= 1
          guard attempt.steps >= 0, attempt.stack.choices.count < mostChoices else {
            return givenUp
          }
          attempt.stack.choices.append(
            Choice(program: Int32(second), progress: progress, position: position, lowest: -1))
          pc = first
        case .jump(let target): pc = target
        case .look(let isPositive, let then):
          let end = match(at: position, from: pc + 1, attempt: &attempt)
          if end == givenUp { return end }
          if (end >= 0) == isPositive { pc = then } else { failed = true }
        case .behind(_, let width, let isPositive, let then):
          var isThere = false
          if let before = scalarStart(text, width: width, before: position) {
            let end = match(at: before, from: pc + 1, attempt: &attempt)
            if end == givenUp { return end }
            isThere = end >= 0
          }
          if isThere == isPositive { pc = then } else { failed = true }
        case .atomic(_, let then, _):
          let end = match(at: position, from: pc + 1, attempt: &attempt)
          if end == givenUp { return end }
          if end >= 0 {
            if end > position { progress = .max }
            position = end
            pc = then
          } else {
            failed = true
          }
        case .assertion(let assertion):
          if assertion.holds(text, at: position) { pc += 1 } else { failed = true }
        case .turn(let level):
          progress = min(progress, Int32(level))
          pc += 1
        case .turned(let level, let again, let exit):
          pc = progress > Int32(level) ? again : exit
          progress = progress > Int32(level) ? .max : progress
        case .mark: pc += 1
        case .matched: return position
        }
        if failed {
          attempt.steps -= 1
          guard attempt.steps >= 0 else { return givenUp }
          guard attempt.stack.choices.count > base, var choice = attempt.stack.choices.popLast()
          else { return none }
          pc = Int(choice.program)
          progress = choice.progress
          if choice.lowest >= 0 {
            choice.position = scalarStart(text, before: choice.position)
            if choice.position > choice.lowest {
              attempt.stack.choices.append(choice)
              progress = .max
            }
          }
          position = choice.position
        }
      }
    }
  }
}

/// Where the code point starts that is `width` before `position`; nil if there are fewer.
func scalarStart(
  _ text: UnsafeBufferPointer<UInt8>, width: Int, before position: Int
) -> Int? {
  var start = position
  for _ in 0..<width {
    guard start > 0 else { return nil }
    start = scalarStart(text, before: start)
  }
  return start
}
