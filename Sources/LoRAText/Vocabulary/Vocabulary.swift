import LoRAJSON

/// Spellings of tokens and their ids, both ways.
///
/// Spellings are bytes, not `String`s: Swift takes "é" in one and in two code points for the same
/// string, a vocabulary holds both. All spellings lie in one array; a lookup costs one hash of the
/// bytes and, as a rule, one comparison.
struct Vocabulary: Sendable {
  private var pool: [UInt8] = []
  /// Start and length of an id's spelling in `pool`; length -1 where no token has the id.
  private var spans: [(start: Int32, length: Int32)] = []
  /// Open addressing. What a search compares lies in the slot: each further place costs a miss of
  /// the caches, which is what reading a large vocabulary's merges takes its time for.
  private var table: [Slot]
  private(set) var count = 0

  private struct Slot {
    var id: Int32 = -1
    var hash: UInt32 = 0
    var start: Int32 = 0
    var length: Int32 = 0
  }

  init(capacity: Int) {
    var size = 16
    while size < 2 * capacity { size *= 2 }
    table = [Slot](repeating: Slot(), count: size)
    spans.reserveCapacity(capacity)
  }

  /// The highest id plus one.
  var idCount: Int { spans.count }

  /// Adds a token; false if its spelling or its id is taken already.
  mutating func insert(_ spelling: UnsafeBufferPointer<UInt8>, id: Int) -> Bool {
    if 2 * (count + 1) > table.count { grow() }
    let hash = hashBytes(spelling)
    let slot = slot(of: spelling, hash)
    guard table[slot].id < 0 else { return false }
    while spans.count <= id { spans.append((0, -1)) }
    guard spans[id].length < 0 else { return false }
    spans[id] = (Int32(pool.count), Int32(spelling.count))
    table[slot] = Slot(
      id: Int32(id), hash: UInt32(truncatingIfNeeded: hash >> 32), start: Int32(pool.count),
      length: Int32(spelling.count))
    pool.append(contentsOf: spelling)
    count += 1
    return true
  }

  /// The id of a spelling, -1 if there is none.
  func id(of spelling: UnsafeBufferPointer<UInt8>) -> Int32 {
    table[slot(of: spelling, hashBytes(spelling))].id
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

  /// How many bytes the spelling of an id has; 0 if no token has it.
  func length(of id: Int) -> Int { max(0, Int(spans[id].length)) }

  /// The ids of "<0x00>"..."<0xFF>", which stand for single bytes, -1 where there is none.
  var byteIDs: [Int32] {
    (0..<256).map { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      return id(of: "<0x\(byte < 16 ? "0" : "")\(digits)>".utf8)
    }
  }

  /// Calls `body` with the spelling of an id; does nothing if no token has it.
  func withSpelling(of id: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    guard spans.indices.contains(id), spans[id].length >= 0 else { return }
    let start = Int(spans[id].start)
    pool.withUnsafeBufferPointer {
      body(UnsafeBufferPointer(rebasing: $0[start..<start + Int(spans[id].length)]))
    }
  }

  private func slot(of spelling: UnsafeBufferPointer<UInt8>, _ hash: UInt64) -> Int {
    let mask = table.count - 1
    let tag = UInt32(truncatingIfNeeded: hash >> 32)
    var slot = Int(truncatingIfNeeded: hash) & mask
    return table.withUnsafeBufferPointer { table in
      pool.withUnsafeBufferPointer { pool in
        while table[slot].id >= 0 {
          let entry = table[slot]
          if entry.hash == tag, Int(entry.length) == spelling.count {
            let start = Int(entry.start)
            var i = 0
            while i < spelling.count, pool[start + i] == spelling[i] { i += 1 }
            if i == spelling.count { break }
          }
          slot = (slot + 1) & mask
        }
        return slot
      }
    }
  }

  private mutating func grow() {
    let old = table
    table = [Slot](repeating: Slot(), count: 2 * old.count)
    for entry in old where entry.id >= 0 {
      let start = Int(entry.start)
      let hash = pool[start..<start + Int(entry.length)].withUnsafeBufferPointer { hashBytes($0) }
      var slot = Int(truncatingIfNeeded: hash) & (table.count - 1)
      while table[slot].id >= 0 { slot = (slot + 1) & (table.count - 1) }
      table[slot] = entry
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

extension Vocabulary {
  init(_ reader: DefinitionReader) throws(TokenizerError) {
    guard case .object(let members) = reader.value, !members.isEmpty else {
      throw reader.error(
        .malformed, expected: "an object of tokens and ids", found: reader.value.kind,
        advice: "correct the file")
    }
    self.init(capacity: members.count)
    // Ids are rows of an embedding: a few gaps are fine, a hostile 2^31 is not.
    let limit = 8 * members.count + 100_000
    for (token, value) in members {
      guard let id = value.intValue, (0..<limit).contains(id) else {
        throw reader.at(token).error(
          .malformed, expected: "an id from 0 to \(limit - 1)", found: value.encoded(),
          advice: "correct the vocabulary")
      }
      let isNew = withBytes(of: token) { insert($0, id: id) }
      guard isNew else {
        throw reader.at(token).error(
          .inconsistent, expected: "an id of its own", found: "\(id), which another token has",
          advice: "correct the vocabulary")
      }
    }
  }
}

/// The UTF-8 of a string without a copy where it has one to lend.
func withBytes<Result>(
  of string: String, _ body: (UnsafeBufferPointer<UInt8>) -> Result
) -> Result {
  string.utf8.withContiguousStorageIfAvailable(body)
    ?? Array(string.utf8).withUnsafeBufferPointer(body)
}
