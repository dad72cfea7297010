/// Byte-pair encoding of one word: code points (or their bytes) to ids, then the pair with the lowest
/// rank merges, the leftmost first, until none is left (Sennrich et al., arXiv 1508.07909).
struct BytePairModel: Sendable {
  let vocabulary: Vocabulary
  let merges: MergeTable
  /// The id for what has no other, -1 if the model has none: such code points are then dropped.
  let unknown: Int32
  let fusesUnknown: Bool
  /// The ids of "<0x00>"..."<0xFF>" if a code point without an id of its own falls back to bytes.
  let byteIDs: [Int32]?
  let ignoresMerges: Bool
  let continuingPrefix: [UInt8]
  let endSuffix: [UInt8]
  /// The score of every id where these decide what merges, instead of a list; else empty.
  let scores: [Float]
  /// The ids of single code points below `direct.count`, -1 where there is none.
  private let direct: [Int32]

  init(
    vocabulary: Vocabulary, merges: MergeTable, unknown: Int32, fusesUnknown: Bool,
    fallsBackToBytes: Bool, ignoresMerges: Bool, continuingPrefix: [UInt8], endSuffix: [UInt8],
    scores: [Float] = []
  ) {
    self.scores = scores
    self.vocabulary = vocabulary
    self.merges = merges
    self.unknown = unknown
    self.fusesUnknown = fusesUnknown
    self.ignoresMerges = ignoresMerges
    self.continuingPrefix = continuingPrefix
    self.endSuffix = endSuffix
    byteIDs =
      fallsBackToBytes
      ? (0..<256).map { byte in
        let digits = String(byte, radix: 16, uppercase: true)
        return vocabulary.id(of: "<0x\(byte < 16 ? "0" : "")\(digits)>".utf8)
      } : nil
    direct = (UInt32(0)..<0x400).map { code in
      Unicode.Scalar(code).map { vocabulary.id(of: String($0).utf8) } ?? -1
    }
  }

  /// Working memory, kept from word to word.
  struct Scratch {
    fileprivate var symbols: [Int32] = []
    fileprivate var ranks: [UInt32] = []
    fileprivate var previous: [Int32] = []
    fileprivate var next: [Int32] = []
    fileprivate var queue = MergeQueue()
    fileprivate var affixed: [UInt8] = []
  }

  /// Appends the ids of a word. Words of up to 40 symbols are merged by search, longer ones with a
  /// queue in O(n log n).
  func encode(
    _ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout Scratch
  ) {
    if !scores.isEmpty { return encode(word, scores: scores, into: &ids) }
    if ignoresMerges {
      let id = vocabulary.id(of: word)
      if id >= 0 {
        ids.append(id)
        return
      }
    }
    split(word, &scratch)
    if scratch.symbols.count <= 40 {
      mergeShort(&scratch)
    } else {
      mergeLong(&scratch)
    }
    ids.append(contentsOf: scratch.symbols)
  }

  private func split(_ word: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch) {
    scratch.symbols.removeAll(keepingCapacity: true)
    var pendingUnknown = false
    var start = 0
    while start < word.count {
      let (code, count) = decodeScalar(word, at: start)
      let end = start + count
      let isFirst = start == 0
      let isLast = end == word.count
      var id: Int32
      let hasAffix =
        !isFirst && !continuingPrefix.isEmpty || isLast && !endSuffix.isEmpty
      scratch.affixed.removeAll(keepingCapacity: true)
      if hasAffix {
        if !isFirst { scratch.affixed.append(contentsOf: continuingPrefix) }
        scratch.affixed.append(contentsOf: word[start..<end])
        if isLast { scratch.affixed.append(contentsOf: endSuffix) }
        id = scratch.affixed.withUnsafeBufferPointer { vocabulary.id(of: $0) }
      } else if code < direct.count {
        id = direct[Int(code)]
      } else {
        id = vocabulary.id(of: UnsafeBufferPointer(rebasing: word[start..<end]))
      }
      if id >= 0 {
        if pendingUnknown {
          scratch.symbols.append(unknown)
          pendingUnknown = false
        }
        scratch.symbols.append(id)
      } else {
        let bytes = hasAffix ? scratch.affixed[...] : ArraySlice(word[start..<end])
        if let byteIDs, bytes.allSatisfy({ byteIDs[Int($0)] >= 0 }) {
          // An unknown before these bytes stays pending, as in the program that this follows.
          for byte in bytes { scratch.symbols.append(byteIDs[Int(byte)]) }
        } else if unknown >= 0 {
          if pendingUnknown, !fusesUnknown { scratch.symbols.append(unknown) }
          pendingUnknown = true
        }
      }
      start = end
    }
    if pendingUnknown { scratch.symbols.append(unknown) }
  }

  private func mergeShort(_ scratch: inout Scratch) {
    var count = scratch.symbols.count
    guard count > 1 else { return }
    scratch.ranks.removeAll(keepingCapacity: true)
    for i in 0..<count - 1 {
      scratch.ranks.append(merges.rank(scratch.symbols[i], scratch.symbols[i + 1]))
    }
    while true {
      var best = UInt32.max
      var place = -1
      for i in 0..<count - 1 where scratch.ranks[i] < best {
        best = scratch.ranks[i]
        place = i
      }
      guard place >= 0 else { break }
      scratch.symbols[place] = merges.results[Int(best)]
      scratch.symbols.remove(at: place + 1)
      scratch.ranks.remove(at: place)
      count -= 1
      if place > 0 {
        scratch.ranks[place - 1] = merges.rank(
          scratch.symbols[place - 1], scratch.symbols[place])
      }
      if place + 1 < count {
        scratch.ranks[place] = merges.rank(scratch.symbols[place], scratch.symbols[place + 1])
      }
    }
  }

  private func mergeLong(_ scratch: inout Scratch) {
    let count = scratch.symbols.count
    scratch.previous = (0..<Int32(count)).map { $0 - 1 }
    scratch.next = (1...Int32(count)).map { $0 == count ? -1 : $0 }
    scratch.queue.removeAll()
    for i in 0..<count - 1 {
      let rank = merges.rank(scratch.symbols[i], scratch.symbols[i + 1])
      if rank != .max { scratch.queue.insert(rank: rank, position: i) }
    }
    while let (rank, position) = scratch.queue.popLowest() {
      let left = scratch.symbols[position]
      let following = scratch.next[position]
      guard left >= 0, following >= 0 else { continue }
      // The entry may be older than a merge that took one of its sides.
      let current = merges.rank(left, scratch.symbols[Int(following)])
      guard current != .max, merges.results[Int(current)] == merges.results[Int(rank)] else {
        continue
      }
      let merged = merges.results[Int(rank)]
      scratch.symbols[position] = merged
      scratch.symbols[Int(following)] = -1
      let after = scratch.next[Int(following)]
      scratch.next[position] = after
      if after >= 0 {
        scratch.previous[Int(after)] = Int32(position)
        let rank = merges.rank(merged, scratch.symbols[Int(after)])
        if rank != .max { scratch.queue.insert(rank: rank, position: position) }
      }
      let before = scratch.previous[position]
      if before >= 0 {
        let rank = merges.rank(scratch.symbols[Int(before)], merged)
        if rank != .max { scratch.queue.insert(rank: rank, position: Int(before)) }
      }
    }
    scratch.symbols.removeAll { $0 < 0 }
  }
}

/// A binary heap of merges, the lowest rank and then the leftmost place first.
struct MergeQueue {
  /// The rank in the high half, the place in the low one.
  private var heap: [UInt64] = []

  mutating func removeAll() { heap.removeAll(keepingCapacity: true) }

  mutating func insert(rank: UInt32, position: Int) {
    heap.append(UInt64(rank) << 32 | UInt64(position))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child] < heap[parent] else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func popLowest() -> (rank: UInt32, position: Int)? {
    guard let lowest = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      var parent = 0
      while true {
        var child = 2 * parent + 1
        guard child < heap.count else { break }
        if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
        guard heap[child] < heap[parent] else { break }
        heap.swapAt(child, parent)
        parent = child
      }
    }
    return (UInt32(lowest >> 32), Int(lowest & 0xFFFF_FFFF))
  }
}
