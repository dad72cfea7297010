/// Sets of stacks of states to come back to, each set known by a number.
///
/// A set is divided by the uppermost states of its stacks, and what lies below each of them is a
/// set again. Equal sets have equal numbers, so that a grammar that reads one text in very many
/// ways needs no more memory than one that reads it in few.
struct StackTable: Sendable {
  struct Frame: Hashable {
    var back: Int32
    var below: Int32
  }

  struct Set: Hashable {
    /// Ascending by `back`, each once.
    var frames: [Frame]
    /// Whether the empty stack is one of the set: where the text itself may end.
    var hasEmpty: Bool
  }

  private struct Pair: Hashable {
    var a: Int32
    var b: Int32
  }

  /// The set of the empty stack alone.
  static let bottom: Int32 = 0

  private(set) var sets = [Set(frames: [], hasEmpty: true)]
  /// How high the highest stack of a set is.
  private(set) var depths: [Int32] = [0]
  private var numbers = [Set(frames: [], hasEmpty: true): Int32(0)]
  private var unions: [Pair: Int32] = [:]

  mutating func number(of set: Set) -> Int32 {
    if let known = numbers[set] { return known }
    let number = Int32(sets.count)
    sets.append(set)
    depths.append(1 + (set.frames.map { depths[Int($0.below)] }.max() ?? -1))
    numbers[set] = number
    return number
  }

  mutating func pushing(_ back: Int32, onto below: Int32) -> Int32 {
    number(of: Set(frames: [Frame(back: back, below: below)], hasEmpty: false))
  }

  /// The stacks of both sets. Recurses with the height of stacks, which a matcher limits.
  mutating func union(_ a: Int32, _ b: Int32) -> Int32 {
    if a == b { return a }
    let pair = Pair(a: min(a, b), b: max(a, b))
    if let known = unions[pair] { return known }
    let (left, right) = (sets[Int(a)], sets[Int(b)])
    var frames: [Frame] = []
    var (i, j) = (0, 0)
    while i < left.frames.count || j < right.frames.count {
      if j == right.frames.count {
        frames.append(left.frames[i])
        i += 1
      } else if i == left.frames.count || right.frames[j].back < left.frames[i].back {
        frames.append(right.frames[j])
        j += 1
      } else if left.frames[i].back < right.frames[j].back {
        frames.append(left.frames[i])
        i += 1
      } else {
        let below = union(left.frames[i].below, right.frames[j].below)
        frames.append(Frame(back: left.frames[i].back, below: below))
        i += 1
        j += 1
      }
    }
    let result = number(of: Set(frames: frames, hasEmpty: left.hasEmpty || right.hasEmpty))
    unions[pair] = result
    return result
  }
}
