/// A vocabulary as a tree over the bytes of its tokens, to find all tokens that begin at a place of a
/// text in one walk.
struct ByteTrie: Sendable {
  static let root: Int32 = 0
  private static let mostNodes = (1 << 24) - 2

  /// The edges by open addressing: the node and the byte in the high half, the child in the low one.
  private var edges: [UInt64]
  private var edgeCount = 0
  /// The root's children, where most walks end.
  private var first = [Int32](repeating: -1, count: 256)
  /// By node, -1 where no token ends.
  private var ids: [Int32] = [-1]

  /// Throws ``TokenizerError`` where the tokens have too many different beginnings.
  init(of vocabulary: Vocabulary) throws(TokenizerError) {
    var size = 1 << 10
    while size < 8 * vocabulary.count { size *= 2 }
    edges = [UInt64](repeating: .max, count: size)
    for id in 0..<vocabulary.idCount {
      vocabulary.withSpelling(of: id) { insert($0, id: Int32(id)) }
      guard ids.count < Self.mostNodes else {
        throw TokenizerError(
          .unsupported, place: "model.vocab",
          expected: "tokens with at most \(Self.mostNodes) beginnings",
          found: "more in the first \(id + 1)", advice: "use a smaller vocabulary")
      }
    }
  }

  /// The node that a walk along `bytes` ends at.
  func node(of bytes: [UInt8]) -> Int32? {
    bytes.reduce(Optional(Self.root)) { node, byte in node.flatMap { child(of: $0, byte) } }
  }

  /// The token that ends at a node.
  @inline(__always)
  func id(at node: Int32) -> Int32? {
    let id = ids[Int(node)]
    return id < 0 ? nil : id
  }

  @inline(__always)
  func child(of node: Int32, _ byte: UInt8) -> Int32? {
    let child =
      node == Self.root
      ? first[Int(byte)] : Int32(truncatingIfNeeded: edges[slot(of: node, byte)])
    return child < 0 ? nil : child
  }

  /// The tree without the checks of its arrays, for the loops that walk from every place of a text:
  /// its nodes and slots are its own.
  struct View {
    fileprivate let edges: UnsafePointer<UInt64>
    fileprivate let mask: Int
    fileprivate let first: UnsafePointer<Int32>
    fileprivate let ids: UnsafePointer<Int32>

    /// The token that ends at a node; below 0 if none does.
    @inline(__always)
    func id(at node: Int32) -> Int32 { ids[Int(node)] }

    /// The node behind an edge; below 0 if there is none.
    @inline(__always)
    func child(of node: Int32, _ byte: UInt8) -> Int32 {
      if node == ByteTrie.root { return first[Int(byte)] }
      let key = UInt64(UInt32(bitPattern: node)) << 8 | UInt64(byte)
      var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
      while true {
        let edge = edges[slot]
        if edge >> 32 == key || edge == .max { return Int32(truncatingIfNeeded: edge) }
        slot = (slot &+ 1) & mask
      }
    }
  }

  /// Calls `body` with a view that is valid as long as it runs.
  func withView<Result>(_ body: (View) -> Result) -> Result {
    edges.withUnsafeBufferPointer { edges in
      first.withUnsafeBufferPointer { first in
        ids.withUnsafeBufferPointer { ids in
          guard let edge = edges.baseAddress, let child = first.baseAddress,
            let id = ids.baseAddress
          else { fatalError("a tree has its root") }
          return body(View(edges: edge, mask: edges.count - 1, first: child, ids: id))
        }
      }
    }
  }

  /// Where an edge is, or would be; an entry that is free reads as the child -1.
  @inline(__always)
  private func slot(of node: Int32, _ byte: UInt8) -> Int {
    let key = UInt64(node) << 8 | UInt64(byte)
    let mask = edges.count - 1
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while edges[slot] != .max, edges[slot] >> 32 != key { slot = (slot + 1) & mask }
    return slot
  }

  private mutating func insert(_ bytes: UnsafeBufferPointer<UInt8>, id: Int32) {
    var node = Self.root
    for byte in bytes where ids.count <= Self.mostNodes {
      if let child = child(of: node, byte) {
        node = child
        continue
      }
      let new = Int32(ids.count)
      ids.append(-1)
      if node == Self.root {
        first[Int(byte)] = new
      } else {
        if 2 * (edgeCount + 1) > edges.count { grow() }
        edges[slot(of: node, byte)] = (UInt64(node) << 8 | UInt64(byte)) << 32 | UInt64(new)
        edgeCount += 1
      }
      node = new
    }
    ids[Int(node)] = id
  }

  private mutating func grow() {
    let old = edges
    edges = [UInt64](repeating: .max, count: 2 * old.count)
    for edge in old where edge != .max {
      let key = edge >> 32
      edges[slot(of: Int32(key >> 8), UInt8(truncatingIfNeeded: key))] = edge
    }
  }
}
