/// Ids of pairs of tokens that merge, with their rank (0 merges first) and the id of the result.
struct MergeTable: Sendable {
  private var keys: [UInt64]
  private var ranks: [UInt32]
  private(set) var results: [Int32] = []
  private let shift: UInt64

  init(capacity: Int) {
    var bits: UInt64 = 4
    while 1 << bits < 2 * capacity { bits += 1 }
    keys = [UInt64](repeating: .max, count: 1 << Int(bits))
    ranks = [UInt32](repeating: 0, count: 1 << Int(bits))
    shift = 64 - bits
    results.reserveCapacity(capacity)
  }

  /// Appends the next merge in rank. Of two of the same pair the later counts. At most `capacity`.
  mutating func append(_ left: Int32, _ right: Int32, result: Int32) {
    let slot = slot(left, right)
    keys[slot] = key(left, right)
    ranks[slot] = UInt32(results.count)
    results.append(result)
  }

  /// The rank of a pair, `UInt32.max` if it does not merge.
  @inline(__always)
  func rank(_ left: Int32, _ right: Int32) -> UInt32 {
    let slot = slot(left, right)
    return keys[slot] == .max ? .max : ranks[slot]
  }

  /// The pairs in the order of their ranks.
  var pairs: [(left: Int32, right: Int32)] {
    var found: [(rank: UInt32, key: UInt64)] = []
    found.reserveCapacity(results.count)
    for (key, rank) in zip(keys, ranks) where key != .max { found.append((rank, key)) }
    found.sort { $0.rank < $1.rank }
    return found.map { _, key in
      (
        Int32(bitPattern: UInt32(truncatingIfNeeded: key >> 32)),
        Int32(bitPattern: UInt32(truncatingIfNeeded: key))
      )
    }
  }

  @inline(__always)
  private func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private func slot(_ left: Int32, _ right: Int32) -> Int {
    let key = key(left, right)
    let mask = keys.count - 1
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> shift)
    while keys[slot] != .max, keys[slot] != key { slot = (slot + 1) & mask }
    return slot
  }
}
