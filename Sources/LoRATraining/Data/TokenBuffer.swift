/// Token ids one behind the other, four bytes each. They lie in pieces, so that growing copies
/// nothing: a text of a gigabyte takes the memory of its ids and no more.
struct TokenBuffer: Sendable {
  private static let pieceShift = 20
  private static let pieceSize = 1 << pieceShift

  private var pieces: [[Int32]] = []
  /// The number of ids.
  private(set) var count = 0
  /// The least and the greatest id, 0 where there is none.
  private(set) var least: Int32 = 0
  private(set) var greatest: Int32 = 0

  subscript(index: Int) -> Int32 {
    pieces[index >> Self.pieceShift][index & (Self.pieceSize - 1)]
  }

  mutating func append(_ id: Int32) {
    if count & (Self.pieceSize - 1) == 0 { startPiece() }
    pieces[pieces.count - 1].append(id)
    least = min(least, id)
    greatest = max(greatest, id)
    count += 1
  }

  mutating func append(contentsOf ids: some Sequence<Int32>) {
    for id in ids { append(id) }
  }

  private mutating func startPiece() {
    pieces.append([])
    // The first piece grows as it must: most data are small.
    if pieces.count > 1 { pieces[pieces.count - 1].reserveCapacity(Self.pieceSize) }
  }

  /// Appends the ids of `range` to `output`, wider.
  func copy(_ range: Range<Int>, to output: inout [Int64]) {
    var position = range.lowerBound
    while position < range.upperBound {
      let piece = pieces[position >> Self.pieceShift]
      let start = position & (Self.pieceSize - 1)
      let end = min(Self.pieceSize, start + range.upperBound - position)
      for id in piece[start..<end] { output.append(Int64(id)) }
      position += end - start
    }
  }
}
