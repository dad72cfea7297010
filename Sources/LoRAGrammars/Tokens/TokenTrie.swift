/// A vocabulary as a tree over the bytes of its tokens, laid out in the order in which a walk
/// through it comes by: what a grammar forbids at its first byte is passed over in one step.
struct TokenTrie: Sendable {
  /// By node, its byte, how deep it is (1 for the first byte), and the node behind all below it.
  let bytes: [UInt8]
  let depths: [Int32]
  let skips: [Int32]
  /// By node, where in ``tokens`` those begin that end at it; the next node's begin where they end.
  let firsts: [Int32]
  /// Ids in the order of their bytes.
  let tokens: [Int32]
  let mostDepth: Int

  /// Tokens without bytes are left out.
  init(_ spellings: [[UInt8]]) {
    let order = spellings.indices.filter { !spellings[$0].isEmpty }.sorted {
      spellings[$0].lexicographicallyPrecedes(spellings[$1])
    }
    var bytes: [UInt8] = []
    var depths: [Int32] = []
    var skips: [Int32] = []
    var firsts: [Int32] = []
    // The nodes along the previous token.
    var path: [Int] = []
    var previous: [UInt8] = []
    for (rank, id) in order.enumerated() {
      let spelling = spellings[id]
      var common = 0
      while common < min(previous.count, spelling.count), previous[common] == spelling[common] {
        common += 1
      }
      while path.count > common { skips[path.removeLast()] = Int32(bytes.count) }
      for byte in spelling[common...] {
        path.append(bytes.count)
        bytes.append(byte)
        depths.append(Int32(path.count))
        skips.append(-1)
        firsts.append(Int32(rank))
      }
      previous = spelling
    }
    for node in path { skips[node] = Int32(bytes.count) }
    // A node's tokens are those between its first and the next node's; the nodes above a token's
    // own were given the same rank, before it.
    firsts.append(Int32(order.count))
    self.bytes = bytes
    self.depths = depths
    self.skips = skips
    self.firsts = firsts
    tokens = order.map(Int32.init)
    mostDepth = Int(depths.max() ?? 0)
  }
}
