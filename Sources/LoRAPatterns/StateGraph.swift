/// A program as states of which each has its outcome at a place of the text by the outcomes of
/// others, at that place or at the next one: what ``ThoroughSearch`` works out.
struct StateGraph {
  /// What a state does. `here` names states at the same place, `next` at the next code point.
  enum Step {
    /// Fails unless the next code point is of the set.
    case one(Int, next: Int)
    /// Takes a code point of the set if what follows then matches; else goes on here.
    case oneOr(Int, next: Int, here: Int)
    /// Takes a code point of the set if there is one; else goes on here.
    case oneElse(Int, next: Int, here: Int)
    case either(Int, Int)
    case look(Int, isPositive: Bool, then: Int)
    case behind(index: Int, width: Int, isPositive: Bool, then: Int)
    /// `then` where nothing was matched inside, if that can be; where something was, the group's follower there.
    case atomic(Int, index: Int, then: Int?)
    case assertion(Assertion, then: Int)
    case mark(isEnd: Bool, then: Int)
    case matched
  }

  private(set) var steps: [Step] = []
  /// The states, those before others that these depend on at the same place.
  private(set) var order: [Int] = []
  /// Where the whole program starts, and the inside of each lookbehind.
  private(set) var start = 0
  private(set) var behindStarts: [Int]
  /// What goes on behind each atomic group that matched something.
  private(set) var followers: [Int]

  /// An instruction with what there is to know on arriving there: how many repetitions of what can be
  /// empty have consumed something in this turn, and how many code points a `.many` has.
  private struct Key: Hashable {
    var pc: Int
    var progress: Int
    var taken = 0
  }

  private let expression: RegularExpression
  private var indices: [Key: Int] = [:]
  private var pending: [Key] = []

  init(_ expression: RegularExpression) {
    self.expression = expression
    behindStarts = Array(repeating: 0, count: expression.behindCount)
    followers = Array(repeating: 0, count: expression.atomicCount)
    start = state(0, .max)
    for (pc, instruction) in expression.program.enumerated() {
      switch instruction {
      case .behind(let index, _, _, _): behindStarts[index] = state(pc + 1, .max)
      case .atomic(let index, let then, _): followers[index] = state(then, .max)
      default: break
      }
    }
    while let key = pending.popLast(), let index = indices[key] { steps[index] = step(key) }
    sort()
  }

  /// The index of a state, which is to be worked out if it is new.
  private mutating func state(_ pc: Int, _ progress: Int, taken: Int = 0) -> Int {
    var (pc, progress) = (pc, progress)
    // What only goes on is no state of its own.
    while true {
      switch expression.program[pc] {
      case .jump(let target): pc = target
      case .turn(let level):
        progress = min(progress, level)
        pc += 1
        continue
      case .turned(let level, let again, let exit):
        pc = progress > level ? again : exit
        if progress > level { progress = .max }
      default:
        let key = Key(pc: pc, progress: min(progress, expression.levels[pc]), taken: taken)
        if let known = indices[key] { return known }
        indices[key] = steps.count
        steps.append(.matched)
        pending.append(key)
        return steps.count - 1
      }
    }
  }

  private mutating func step(_ key: Key) -> Step {
    let (pc, progress) = (key.pc, key.progress)
    switch expression.program[pc] {
    case .one(let set): return .one(set, next: state(pc + 1, .max))
    case .many(let set, let least, let most, let givesBack):
      if key.taken < least {
        // The last one that must be there may be the last one that may.
        let isLast = key.taken + 1 == most
        return .one(
          set, next: isLast ? state(pc + 1, .max) : state(pc, .max, taken: key.taken + 1))
      }
      let next: Int
      if most == .max {
        next = state(pc, .max, taken: least)
      } else if key.taken + 1 >= most {
        next = state(pc + 1, .max)
      } else {
        next = state(pc, .max, taken: key.taken + 1)
      }
      let here = state(pc + 1, progress)
      if most == 0 { return .either(here, here) }
      return givesBack
        ? .oneOr(set, next: next, here: here) : .oneElse(set, next: next, here: here)
    case .either(let first, let second):
      return .either(state(first, progress), state(second, progress))
    case .look(let isPositive, let then):
      return .look(
        state(pc + 1, .max), isPositive: isPositive, then: state(then, progress))
    case .behind(let index, let width, let isPositive, let then):
      return .behind(
        index: index, width: width, isPositive: isPositive, then: state(then, progress))
    case .atomic(let index, let then, let canBeEmpty):
      return .atomic(
        state(pc + 1, .max), index: index, then: canBeEmpty ? state(then, progress) : nil)
    case .assertion(let assertion): return .assertion(assertion, then: state(pc + 1, progress))
    case .mark(let isEnd): return .mark(isEnd: isEnd, then: state(pc + 1, progress))
    case .matched, .jump, .turn, .turned: return .matched
    }
  }

  /// The states at the same place that a state depends on.
  private func dependencies(_ state: Int) -> [Int] {
    switch steps[state] {
    case .one, .matched: []
    case .oneOr(_, _, let here), .oneElse(_, _, let here): [here]
    case .either(let first, let second): [first, second]
    case .look(let inside, _, let then): [inside, then]
    case .atomic(let inside, _, let then): then.map { [inside, $0] } ?? [inside]
    case .behind(_, _, _, let then), .assertion(_, let then), .mark(_, let then): [then]
    }
  }

  /// A depth-first search without recursion. No state depends on itself: every turn of a repetition
  /// consumes, or ends it.
  private mutating func sort() {
    var isDone = [Bool](repeating: false, count: steps.count)
    order.reserveCapacity(steps.count)
    for root in steps.indices {
      var path = [root]
      while let state = path.last {
        if isDone[state] {
          path.removeLast()
          continue
        }
        let open = dependencies(state).filter { !isDone[$0] }
        if open.isEmpty {
          isDone[state] = true
          order.append(state)
          path.removeLast()
        } else {
          path += open
        }
      }
    }
  }
}
