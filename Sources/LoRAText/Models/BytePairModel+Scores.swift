import LoRAPatterns

/// SentencePiece's byte-pair encoding, whose vocabulary has scores in place of a list of merges: of
/// all neighbours that together spell a token, those with the highest score join first, the leftmost
/// of equal ones.
extension BytePairModel {
  /// Appends the ids of a text, and calls `place` with where each starts.
  func scoredTokens(
    of text: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch, into ids: inout [Int32],
    _ place: (Int32) -> Void
  ) {
    var isUnknown = false
    forEachPiece(of: text, &scratch) { piece in
      let count = ids.count
      isUnknown = append(
        UnsafeBufferPointer(rebasing: text[piece]), behindUnknown: isUnknown, to: &ids)
      for i in count..<ids.count { place(Int32(piece.lowerBound + i - count)) }
    }
  }

  /// Calls `body` with the pieces of a text from left to right, where no more of them join.
  func forEachPiece(
    of text: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch, _ body: (Range<Int>) -> Void
  ) {
    // Piece i lies in starts[i]..<ends[i]; an end of -1 marks one that has joined another.
    scratch.starts.removeAll(keepingCapacity: true)
    scratch.symbols.removeAll(keepingCapacity: true)
    var position = 0
    while position < text.count {
      scratch.starts.append(Int32(position))
      position = min(text.count, position + decodeScalar(text, at: position).count)
      scratch.symbols.append(Int32(position))
    }
    guard !scratch.starts.isEmpty else { return }
    scratch.chain.reset(count: scratch.starts.count)

    func spelling(_ left: Int, _ right: Int) -> UnsafeBufferPointer<UInt8> {
      UnsafeBufferPointer(
        rebasing: text[Int(scratch.starts[left])..<Int(scratch.symbols[right])])
    }
    func rank(_ left: Int, _ right: Int) -> UInt32? {
      let id = vocabulary.id(of: spelling(left, right))
      return id < 0 ? nil : Self.rank(scores[Int(id)])
    }
    func consider(_ left: Int, _ right: Int) {
      if let rank = rank(left, right) { scratch.chain.queue.insert(rank: rank, position: left) }
    }
    for left in scratch.starts.indices.dropLast() { consider(left, left + 1) }
    while let (lowest, left) = scratch.chain.queue.popLowest() {
      // The entry may be older than a merge that took one of its sides.
      guard scratch.symbols[left] >= 0, let right = scratch.chain.next(left),
        rank(left, right) == lowest
      else { continue }
      scratch.symbols[left] = scratch.symbols[right]
      scratch.symbols[right] = -1
      scratch.chain.join(left, right)
      if let after = scratch.chain.next(left) { consider(left, after) }
      if let before = scratch.chain.previous(left) { consider(before, left) }
    }
    var piece: Int? = 0
    while let here = piece {
      body(Int(scratch.starts[here])..<Int(scratch.symbols[here]))
      piece = scratch.chain.next(here)
    }
  }

  /// The same for a text of any length, with the ids of the pieces, -1 for what is none: in parts
  /// that no piece spans, of which most are met again.
  func forEachPiece(
    ofLong text: UnsafeBufferPointer<UInt8>, scratch: inout Scratch,
    _ body: (Range<Int>, Int32) -> Void
  ) {
    let seams = scratch.seams ?? TokenSeams(of: vocabulary)
    scratch.seams = seams
    var start = 0
    var ids: [Int32] = []
    seams.forEachPart(of: text) { part in
      defer { start += part.count }
      let hash = hashBytes(part)
      let isShort = part.count <= WordCache.longestWord
      ids.removeAll(keepingCapacity: true)
      if isShort, scratch.parts.appendIDs(of: part, hash: hash, to: &ids) {
        var end = start
        for entry in ids {
          // An id, or a length where there is none.
          let count = entry < 0 ? Int(-entry) : vocabulary.length(of: Int(entry))
          body(end..<end + count, max(-1, entry))
          end += count
        }
        return
      }
      forEachPiece(of: part, &scratch) { piece in
        let id = vocabulary.id(of: UnsafeBufferPointer(rebasing: part[piece]))
        ids.append(id < 0 ? -Int32(piece.count) : id)
        body(start + piece.lowerBound..<start + piece.upperBound, id)
      }
      if isShort { scratch.parts.insert(part, hash: hash, ids: ids[...]) }
    }
  }

  /// Appends a piece's id, or those of its bytes, or the unknown one; returns whether it was that.
  private func append(
    _ piece: UnsafeBufferPointer<UInt8>, behindUnknown: Bool, to ids: inout [Int32]
  ) -> Bool {
    let id = vocabulary.id(of: piece)
    if id >= 0 {
      ids.append(id)
    } else if let byteIDs, piece.allSatisfy({ byteIDs[Int($0)] >= 0 }) {
      for byte in piece { ids.append(byteIDs[Int(byte)]) }
    } else if unknown >= 0 {
      if !(fusesUnknown && behindUnknown) { ids.append(unknown) }
      return true
    }
    return false
  }

  /// A number that is lower the higher the score is.
  private static func rank(_ score: Float) -> UInt32 {
    let bits = (score + 0).bitPattern  // -0 is 0
    return bits >> 31 == 0 ? ~(bits | 0x8000_0000) : bits
  }
}
