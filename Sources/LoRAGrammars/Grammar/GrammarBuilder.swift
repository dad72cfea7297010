/// Builds a ``Grammar`` state by state. A part that can be called begins at a state of its own and
/// ends at ``end``, which all parts share.
struct GrammarBuilder {
  struct Node {
    var edges: [Grammar.Edge] = []
    var calls: [Grammar.Call] = []
    var skips: [Int32] = []
    var isFinal = false
  }

  /// More states than this are refused.
  static let mostStates = 1 << 21

  /// Where every part ends.
  let end: Int32 = 0
  private(set) var nodes = [Node(isFinal: true)]
  /// States whose edges never change, by those edges: equal ones are one state.
  private var shared: [[Grammar.Edge]: Int32] = [:]
  /// Parts that spell one character of a set; see ``GrammarBuilder/spelling(of:as:)``.
  var spellings: [CharacterSpelling.Key: Int32] = [:]

  mutating func state() -> Int32 {
    nodes.append(Node())
    return Int32(nodes.count - 1)
  }

  /// A state with just these edges, ascending; the same one for the same edges.
  mutating func sharedState(_ edges: [Grammar.Edge]) -> Int32 {
    if let known = shared[edges] { return known }
    let new = state()
    nodes[Int(new)].edges = edges
    shared[edges] = new
    return new
  }

  mutating func edge(_ from: Int32, _ low: UInt8, _ high: UInt8, to target: Int32) {
    nodes[Int(from)].edges.append(Grammar.Edge(low: low, high: high, target: target))
  }

  mutating func edge(_ from: Int32, _ scalar: Unicode.Scalar, to target: Int32) {
    let byte = UInt8(truncatingIfNeeded: scalar.value)
    edge(from, byte, byte, to: target)
  }

  mutating func skip(_ from: Int32, to target: Int32) { nodes[Int(from)].skips.append(target) }

  /// Goes from `from` to `target` by way of the part that begins at `start`.
  mutating func call(_ from: Int32, _ start: Int32, to target: Int32) {
    let back = target == end ? Grammar.tail : target
    nodes[Int(from)].calls.append(Grammar.Call(start: start, back: back))
  }

  /// A path of these bytes.
  mutating func literal(_ from: Int32, _ bytes: some Collection<UInt8>, to target: Int32) {
    guard !bytes.isEmpty else { return skip(from, to: target) }
    var place = from
    for (i, byte) in bytes.enumerated() {
      let next = i == bytes.count - 1 ? target : state()
      edge(place, byte, byte, to: next)
      place = next
    }
  }

  /// A path for each of these texts, with a common one for common beginnings.
  mutating func literals(_ from: Int32, _ texts: [[UInt8]], to target: Int32) {
    var next: [Int32: [UInt8: Int32]] = [:]
    for text in texts {
      var place = from
      for byte in text {
        if let known = next[place]?[byte] {
          place = known
        } else {
          let new = state()
          next[place, default: [:]][byte] = new
          edge(place, byte, byte, to: new)
          place = new
        }
      }
      skip(place, to: target)
    }
  }

  func checkSize(place: String) throws(ConstraintError) {
    guard nodes.count <= Self.mostStates else {
      throw ConstraintError(
        .tooLarge, place: place, expected: "at most \(Self.mostStates) states",
        found: "more", advice: "use a smaller schema, or smaller limits in it")
    }
  }
}
