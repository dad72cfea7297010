import LoRAPatterns

/// SentencePiece's byte-pair encoding, whose vocabulary has scores in place of a list of merges: of
/// all neighbours that together spell a token, those with the highest score join first, the leftmost
/// of equal ones.
extension BytePairModel {
  /// Appends the ids of a text, and calls `place` with where each starts; `scores` has one for every
  /// id of the vocabulary.
  func tokens(
    of text: UnsafeBufferPointer<UInt8>, scores: [Float], _ scratch: inout Scratch,
    into ids: inout [Int32], _ place: (Int32) -> Void
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
      let count = ids.count
      append(spelling(here, here), to: &ids)
      for i in count..<ids.count {
        // The bytes of a code point: none but the first starts one.
        place(scratch.starts[here] + Int32(min(i - count, 1)))
      }
      piece = scratch.chain.next(here)
    }
  }

  /// A piece's id, or those of its bytes, or the unknown one.
  private func append(_ piece: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
    let id = vocabulary.id(of: piece)
    if id >= 0 {
      ids.append(id)
    } else if let byteIDs, piece.allSatisfy({ byteIDs[Int($0)] >= 0 }) {
      for byte in piece { ids.append(byteIDs[Int(byte)]) }
    } else if unknown >= 0 {
      ids.append(unknown)
    }
  }

  /// A number that is lower the higher the score is.
  private static func rank(_ score: Float) -> UInt32 {
    let bits = (score + 0).bitPattern  // -0 is 0
    return bits >> 31 == 0 ? ~(bits | 0x8000_0000) : bits
  }
}
