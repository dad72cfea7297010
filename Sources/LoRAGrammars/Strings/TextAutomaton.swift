/// A deterministic automaton over code points: a set of texts that can be intersected with others,
/// and complemented, exactly.
struct TextAutomaton: Sendable {
  /// Where there is no way on.
  static let dead: Int32 = -1
  /// More states than this are refused: a pattern may need exponentially many.
  static let mostStates = 20_000

  let partition: CodePointPartition
  /// By state and class, the next state; state 0 is the start.
  private(set) var transitions: [Int32]
  private(set) var isAccepting: [Bool]

  var stateCount: Int { isAccepting.count }

  init(partition: CodePointPartition, transitions: [Int32], isAccepting: [Bool]) {
    self.partition = partition
    self.transitions = transitions
    self.isAccepting = isAccepting
  }

  func next(_ state: Int32, _ number: Int) -> Int32 {
    transitions[Int(state) * partition.count + number]
  }

  /// Whether the text is one of the set.
  func accepts(_ text: String) -> Bool {
    var state: Int32 = 0
    for scalar in text.unicodeScalars {
      state = next(state, Int(partition.number(of: scalar.value)))
      if state == Self.dead { return false }
    }
    return isAccepting[Int(state)]
  }

  /// Every state is a set of whatever `State` is: explores them from `start`, as far as they lead.
  ///
  /// Throws `ConstraintError` with `place` if there are too many.
  static func exploring<State: Hashable>(
    _ start: State, over partition: CodePointPartition, place: String,
    isAccepting accepts: (State) -> Bool, next: (State, Int) -> State?
  ) throws(ConstraintError) -> TextAutomaton {
    var numbers = [start: Int32(0)]
    var states = [start]
    var transitions: [Int32] = []
    var current = 0
    while current < states.count {
      for number in 0..<partition.count {
        guard let target = next(states[current], number) else {
          transitions.append(dead)
          continue
        }
        if let known = numbers[target] {
          transitions.append(known)
        } else {
          guard states.count < mostStates else {
            throw ConstraintError(
              .tooLarge, place: place,
              expected: "a pattern or length that \(mostStates) states can follow", found: "more",
              advice: "use smaller repetitions and lengths, or anchor the pattern with ^ and $")
          }
          numbers[target] = Int32(states.count)
          transitions.append(Int32(states.count))
          states.append(target)
        }
      }
      current += 1
    }
    return TextAutomaton(
      partition: partition, transitions: transitions, isAccepting: states.map(accepts)
    ).trimmed()
  }

  /// Whether no text belongs to the set.
  var isEmpty: Bool { !isAccepting.contains(true) }

  /// Without ways into states from which no end can be reached.
  private func trimmed() -> TextAutomaton {
    var users = [[Int32]](repeating: [], count: stateCount)
    for state in 0..<stateCount {
      for number in 0..<partition.count {
        let target = next(Int32(state), number)
        if target != Self.dead { users[Int(target)].append(Int32(state)) }
      }
    }
    var isLive = isAccepting
    var queue = isAccepting.indices.filter { isAccepting[$0] }
    while let state = queue.popLast() {
      for user in users[state] where !isLive[Int(user)] {
        isLive[Int(user)] = true
        queue.append(Int(user))
      }
    }
    var result = self
    for i in result.transitions.indices {
      let target = result.transitions[i]
      if target != Self.dead, !isLive[Int(target)] { result.transitions[i] = Self.dead }
    }
    return result
  }
}
