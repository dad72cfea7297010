/// Spellings of tokens and their ids, both ways.
///
/// Spellings are bytes, not `String`s: Swift takes "é" in one and in two code points for the same
/// string, a vocabulary holds both. All spellings lie in one array; a lookup costs one hash of the
/// bytes and, as a rule, one comparison.
struct Vocabulary: Sendable {
  private var pool: [UInt8] = []
  /// Start and length of an id's spelling in `pool`; length -1 where no token has the id.
  private var spans: [(start: Int32, length: Int32)] = []
  /// Open addressing, -1 where free.
  private var table: [Int32]
  private(set) var count = 0

  init(capacity: Int) {
    var size = 16
    while size < 2 * capacity { size *= 2 }
    table = [Int32](repeating: -1, count: size)
    spans.reserveCapacity(capacity)
  }

  /// The highest id plus one.
  var idCount: Int { spans.count }

  /// Adds a token; false if its spelling or its id is taken already.
  mutating func insert(_ spelling: UnsafeBufferPointer<UInt8>, id: Int) -> Bool {
    if 2 * (count + 1) > table.count { grow() }
    let slot = slot(of: spelling)
    guard table[slot] < 0 else { return false }
    while spans.count <= id { spans.append((0, -1)) }
    guard spans[id].length < 0 else { return false }
    spans[id] = (Int32(pool.count), Int32(spelling.count))
    pool.append(contentsOf: spelling)
    table[slot] = Int32(id)
    count += 1
    return true
  }

  /// The id of a spelling, -1 if there is none.
  func id(of spelling: UnsafeBufferPointer<UInt8>) -> Int32 {
    table[slot(of: spelling)]
  }

  func id(of spelling: some Sequence<UInt8>) -> Int32 {
    Array(spelling).withUnsafeBufferPointer { id(of: $0) }
  }

  /// The spelling of an id; nil if no token has it.
  func spelling(of id: Int) -> ArraySlice<UInt8>? {
    guard spans.indices.contains(id), spans[id].length >= 0 else { return nil }
    let start = Int(spans[id].start)
    return pool[start..<start + Int(spans[id].length)]
  }

  /// Calls `body` with the spelling of an id; does nothing if no token has it.
  func withSpelling(of id: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    guard spans.indices.contains(id), spans[id].length >= 0 else { return }
    let start = Int(spans[id].start)
    pool.withUnsafeBufferPointer {
      body(UnsafeBufferPointer(rebasing: $0[start..<start + Int(spans[id].length)]))
    }
  }

  private func slot(of spelling: UnsafeBufferPointer<UInt8>) -> Int {
    let mask = table.count - 1
    var slot = Int(truncatingIfNeeded: hashBytes(spelling)) & mask
    while table[slot] >= 0 {
      let span = spans[Int(table[slot])]
      if Int(span.length) == spelling.count, isSame(spelling, at: Int(span.start)) { break }
      slot = (slot + 1) & mask
    }
    return slot
  }

  private func isSame(_ spelling: UnsafeBufferPointer<UInt8>, at start: Int) -> Bool {
    for i in 0..<spelling.count where pool[start + i] != spelling[i] { return false }
    return true
  }

  private mutating func grow() {
    table = [Int32](repeating: -1, count: 2 * table.count)
    for (id, span) in spans.enumerated() where span.length >= 0 {
      let start = Int(span.start)
      let slot = pool[start..<start + Int(span.length)].withUnsafeBufferPointer {
        self.slot(of: $0)
      }
      table[slot] = Int32(id)
    }
  }
}

/// A hash of bytes, seeded per process so that no text can be made to collide.
@inline(__always)
func hashBytes(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
  var hash = hashSeed ^ UInt64(bytes.count)
  for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
  hash ^= hash >> 32
  hash = hash &* 0x9E37_79B9_7F4A_7C15
  return hash ^ (hash >> 29)
}

private let hashSeed = UInt64.random(in: .min ... .max)

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
