/// A grammar over bytes, as a network of states.
///
/// A state has edges that consume a byte, and calls of other parts of the network: a call goes on
/// at its `back` once the part that it began has reached a final state. That is what makes nesting
/// possible. What needs no nesting (numbers, strings, names) is a plain automaton within.
package struct Grammar: Sendable {
  struct Edge: Hashable {
    var low: UInt8
    var high: UInt8
    var target: Int32
  }

  struct Call {
    var start: Int32
    /// ``Grammar/tail`` where nothing follows the part that is called.
    var back: Int32
  }

  /// The `back` of a call in whose place the part called may stand, so that it needs no memory.
  static let tail: Int32 = -1
  /// The height of a state from which no end can be reached.
  static let unreachable = Int32.max / 2

  private let edges: [Edge]
  private let calls: [Call]
  private let skips: [Int32]
  /// Where a state's edges, calls and skips begin; those of the next state begin where they end.
  private let firsts: [(edge: Int32, call: Int32, skip: Int32)]
  private let finals: [Bool]
  /// By state, how many calls deep at least one has to go to reach an end.
  let heights: [Int32]
  let start: Int32
  /// By byte, the number of its class: bytes of one class lead to the same states everywhere.
  let classes: [UInt8]
  /// By class, one of its bytes.
  let representatives: [UInt8]

  var stateCount: Int { finals.count }

  init(start: Int32, nodes: [GrammarBuilder.Node], heights: [Int32]) {
    var edges: [Edge] = []
    var calls: [Call] = []
    var skips: [Int32] = []
    var firsts: [(edge: Int32, call: Int32, skip: Int32)] = []
    var isBoundary = [Bool](repeating: false, count: 257)
    for node in nodes {
      firsts.append((Int32(edges.count), Int32(calls.count), Int32(skips.count)))
      // What leads nowhere is left out here, so that it costs nothing later.
      edges += node.edges.filter { heights[Int($0.target)] < Self.unreachable }
      skips += node.skips.filter { heights[Int($0)] < Self.unreachable }
      calls += node.calls.filter {
        heights[Int($0.start)] < Self.unreachable
          && ($0.back == Self.tail || heights[Int($0.back)] < Self.unreachable)
      }
    }
    for edge in edges {
      isBoundary[Int(edge.low)] = true
      isBoundary[Int(edge.high) + 1] = true
    }
    firsts.append((Int32(edges.count), Int32(calls.count), Int32(skips.count)))
    var classes: [UInt8] = []
    var representatives: [UInt8] = [0]
    for byte in 0..<256 {
      if byte > 0, isBoundary[byte] { representatives.append(UInt8(byte)) }
      classes.append(UInt8(representatives.count - 1))
    }
    self.edges = edges
    self.calls = calls
    self.skips = skips
    self.firsts = firsts
    self.heights = heights
    self.start = start
    self.classes = classes
    self.representatives = representatives
    finals = nodes.map(\.isFinal)
  }

  func isFinal(_ state: Int32) -> Bool { finals[Int(state)] }

  func edges(of state: Int32) -> ArraySlice<Edge> {
    edges[Int(firsts[Int(state)].edge)..<Int(firsts[Int(state) + 1].edge)]
  }

  func calls(of state: Int32) -> ArraySlice<Call> {
    calls[Int(firsts[Int(state)].call)..<Int(firsts[Int(state) + 1].call)]
  }

  func skips(of state: Int32) -> ArraySlice<Int32> {
    skips[Int(firsts[Int(state)].skip)..<Int(firsts[Int(state) + 1].skip)]
  }

  /// Whether nothing but a byte leads on from here.
  func isPlain(_ state: Int32) -> Bool {
    let (here, next) = (firsts[Int(state)], firsts[Int(state) + 1])
    return here.call == next.call && here.skip == next.skip && !finals[Int(state)]
  }
}
