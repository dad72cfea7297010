import LoRAPatterns

/// Byte-pair encoding of one word: code points (or their bytes) to ids, then the pair with the lowest
/// rank merges, the leftmost first, until none is left (Sennrich et al., arXiv 1508.07909).
struct BytePairModel: WordModel {
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
    scores: [Float] = [], byteIDs: [Int32]? = nil
  ) {
    self.scores = scores
    self.vocabulary = vocabulary
    self.merges = merges
    self.unknown = unknown
    self.fusesUnknown = fusesUnknown
    self.ignoresMerges = ignoresMerges
    self.continuingPrefix = continuingPrefix
    self.endSuffix = endSuffix
    self.byteIDs = fallsBackToBytes ? byteIDs ?? vocabulary.byteIDs : nil
    direct = (UInt32(0)..<0x400).map { code in
      Unicode.Scalar(code).map { vocabulary.id(of: String($0).utf8) } ?? -1
    }
  }

  func makeEncoder() -> any WordEncoder { BytePairEncoder(self) }

  /// Whether merges make each token of its spelling, so that ignoring them changes nothing; but for those
  /// that are found before words are cut.
  func mergesAllTokens(but added: AddedTokens) -> Bool {
    let encoder = BytePairModel(
      vocabulary: vocabulary, merges: merges, unknown: unknown, fusesUnknown: fusesUnknown,
      fallsBackToBytes: false, ignoresMerges: false, continuingPrefix: continuingPrefix,
      endSuffix: endSuffix
    ).makeEncoder()
    var ids: [Int32] = []
    return (0..<vocabulary.idCount).allSatisfy { id in
      if added.tokens[id] != nil { return true }
      ids.removeAll()
      vocabulary.withSpelling(of: id) { if !$0.isEmpty { encoder.encode($0, into: &ids) } }
      return ids.isEmpty || ids == [Int32(id)]
    }
  }

  /// Working memory, kept from word to word.
  struct Scratch {
    /// The symbols of a word, then its tokens, and where each starts.
    var symbols: [Int32] = []
    var starts: [Int32] = []
    fileprivate var ranks: [UInt32] = []
    fileprivate var affixed: [UInt8] = []
    /// Whether `starts` counts the bytes of the symbols before, as offsets do: without what was
    /// dropped, in the order of the symbols.
    var countsBytes = false
    /// The bytes of the symbols so far.
    var byteCount = 0
    var chain = SymbolChain()
    var seams: TokenSeams?
    /// The ids of the parts of long words.
    var parts = WordCache()
  }

  /// Appends the ids of a word, in time O(n log n) and in memory that does not grow with the word.
  func encode(
    _ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout Scratch
  ) {
    if ignoresMerges {
      let id = vocabulary.id(of: word)
      if id >= 0 {
        ids.append(id)
        return
      }
    }
    // The table of seams costs time to make, as much as some thousand bytes for large vocabularies.
    guard word.count > max(64, vocabulary.count / 64), hasLocalSymbols else {
      encodePart(word, into: &ids, scratch: &scratch)
      return
    }
    let seams = scratch.seams ?? TokenSeams(of: vocabulary)
    scratch.seams = seams
    seams.forEachPart(of: word) { part in
      guard part.count <= WordCache.longestWord else {
        encodePart(part, into: &ids, scratch: &scratch)
        return
      }
      let hash = hashBytes(part)
      if scratch.parts.appendIDs(of: part, hash: hash, to: &ids) { return }
      let start = ids.count
      encodePart(part, into: &ids, scratch: &scratch)
      scratch.parts.insert(part, hash: hash, ids: ids[start...])
    }
  }

  /// Appends the ids of a word or of a part of one that merges by itself.
  private func encodePart(
    _ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout Scratch
  ) {
    if word.count > Self.windowLength, hasLocalSymbols {
      encodeByWindows(word, into: &ids, scratch: &scratch)
    } else if scores.isEmpty {
      tokens(of: word, &scratch)
      ids.append(contentsOf: scratch.symbols)
    } else {
      scoredTokens(of: word, &scratch, into: &ids) { _ in }
    }
  }

  /// The tokens of a word, in the scratch memory's `symbols` and `starts`. Words of up to 40 symbols
  /// are merged by search, longer ones with a queue in O(n log n).
  func tokens(of word: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch) {
    split(word, &scratch)
    if scratch.symbols.count <= 40 {
      mergeShort(&scratch)
    } else {
      mergeLong(&scratch)
    }
  }

  private func split(_ word: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch) {
    scratch.symbols.removeAll(keepingCapacity: true)
    scratch.starts.removeAll(keepingCapacity: true)
    scratch.byteCount = 0
    /// The unknown that has yet to be appended.
    var pendingUnknown: Range<Int>?
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
        if let place = pendingUnknown {
          scratch.append(unknown, of: place)
          pendingUnknown = nil
        }
        scratch.append(id, of: start..<end)
      } else {
        let bytes = hasAffix ? scratch.affixed[...] : ArraySlice(word[start..<end])
        if let byteIDs, bytes.allSatisfy({ byteIDs[Int($0)] >= 0 }) {
          // An unknown before these bytes stays pending, as in the program that this follows.
          for (i, byte) in bytes.enumerated() {
            let place = min(start + i, end - 1)
            scratch.append(byteIDs[Int(byte)], of: place..<place + 1)
          }
        } else if unknown >= 0 {
          if let place = pendingUnknown, !fusesUnknown {
            scratch.append(unknown, of: place)
            pendingUnknown = nil
          }
          pendingUnknown = (pendingUnknown?.lowerBound ?? start)..<end
        }
      }
      start = end
    }
    if let place = pendingUnknown { scratch.append(unknown, of: place) }
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
      scratch.starts.remove(at: place + 1)
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
    scratch.chain.reset(count: scratch.symbols.count)
    func consider(_ left: Int, _ right: Int) {
      let rank = merges.rank(scratch.symbols[left], scratch.symbols[right])
      if rank != .max { scratch.chain.queue.insert(rank: rank, position: left) }
    }
    for left in 0..<scratch.symbols.count - 1 { consider(left, left + 1) }
    while let (rank, position) = scratch.chain.queue.popLowest() {
      let left = scratch.symbols[position]
      guard left >= 0, let following = scratch.chain.next(position) else { continue }
      // The entry may be older than a merge that took one of its sides.
      let current = merges.rank(left, scratch.symbols[following])
      guard current != .max, merges.results[Int(current)] == merges.results[Int(rank)] else {
        continue
      }
      scratch.symbols[position] = merges.results[Int(rank)]
      scratch.symbols[following] = -1
      scratch.chain.join(position, following)
      if let after = scratch.chain.next(position) { consider(position, after) }
      if let before = scratch.chain.previous(position) { consider(before, position) }
    }
    var count = 0
    for i in scratch.symbols.indices where scratch.symbols[i] >= 0 {
      scratch.symbols[count] = scratch.symbols[i]
      scratch.starts[count] = scratch.starts[i]
      count += 1
    }
    scratch.symbols.removeLast(scratch.symbols.count - count)
    scratch.starts.removeLast(scratch.starts.count - count)
  }
}

extension BytePairModel.Scratch {
  fileprivate mutating func append(_ symbol: Int32, of range: Range<Int>) {
    symbols.append(symbol)
    starts.append(Int32(countsBytes ? byteCount : range.lowerBound))
    byteCount += range.count
  }
}

/// A byte-pair model at work.
final class BytePairEncoder: WordEncoder {
  private let model: BytePairModel
  private var scratch = BytePairModel.Scratch()

  init(_ model: BytePairModel) { self.model = model }

  func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    model.encode(word, into: &ids, scratch: &scratch)
  }

  func trace(_ word: UnsafeBufferPointer<UInt8>, into tokens: inout [TracedToken]) {
    model.trace(word, into: &tokens, scratch: &scratch)
  }

  var seams: TokenSeams? {
    guard model.hasLocalSymbols, !model.ignoresMerges else { return nil }
    let seams = scratch.seams ?? TokenSeams(of: model.vocabulary)
    scratch.seams = seams
    return seams
  }

  func trim() {
    if scratch.symbols.capacity > 1 << 20 { scratch = BytePairModel.Scratch() }
  }
}
