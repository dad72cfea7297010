/// SentencePiece's byte-pair encoding, whose vocabulary has scores in place of a list of merges: of
/// all neighbours that together spell a token, those with the highest score join first, the leftmost
/// of equal ones.
extension BytePairModel {
  /// Appends the ids of a text; `scores` has one for every id of the vocabulary.
  func encode(
    _ text: UnsafeBufferPointer<UInt8>, scores: [Float], into ids: inout [Int32]
  ) {
    // Piece i lies in starts[i]..<ends[i]; an end of -1 marks one that has joined another.
    var starts: [Int] = []
    var ends: [Int] = []
    var position = 0
    while position < text.count {
      starts.append(position)
      position = min(text.count, position + decodeScalar(text, at: position).count)
      ends.append(position)
    }
    guard !starts.isEmpty else { return }
    var next = Array(1...starts.count)
    next[starts.count - 1] = -1
    var previous = Array(-1..<starts.count - 1)
    var queue = MergeQueue()

    func rank(_ left: Int, _ right: Int) -> UInt32? {
      let id = vocabulary.id(of: UnsafeBufferPointer(rebasing: text[starts[left]..<ends[right]]))
      return id < 0 ? nil : Self.rank(scores[Int(id)])
    }
    for left in starts.indices.dropLast() {
      if let rank = rank(left, left + 1) { queue.insert(rank: rank, position: left) }
    }
    while let (lowest, left) = queue.popLowest() {
      let right = next[left]
      // The entry may be older than a merge that took one of its sides.
      guard ends[left] >= 0, right >= 0, rank(left, right) == lowest else { continue }
      ends[left] = ends[right]
      ends[right] = -1
      next[left] = next[right]
      if next[left] >= 0 {
        previous[next[left]] = left
        if let rank = rank(left, next[left]) { queue.insert(rank: rank, position: left) }
      }
      if previous[left] >= 0, let rank = rank(previous[left], left) {
        queue.insert(rank: rank, position: previous[left])
      }
    }
    var piece = 0
    while piece >= 0 {
      append(UnsafeBufferPointer(rebasing: text[starts[piece]..<ends[piece]]), to: &ids)
      piece = next[piece]
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
