/// Token ids one behind the other, four bytes each. They lie in pieces, so that growing copies
/// nothing, and the ids of a long text that comes first stay where they are: a text of a gigabyte
/// takes the memory of its ids and no more.
struct TokenBuffer: Sendable {
  private static let pieceShift = 20
  private static let pieceSize = 1 << pieceShift

  /// The ids of a long text that came first.
  private var text: [Int32] = []
  /// Those behind it.
  private var pieces: [[Int32]] = []
  /// The number of ids.
  private(set) var count = 0
  /// The least and the greatest id, 0 where there is none.
  private(set) var least: Int32 = 0
  private(set) var greatest: Int32 = 0

  subscript(index: Int) -> Int32 {
    if index < text.count { return text[index] }
    let index = index - text.count
    return pieces[index >> Self.pieceShift][index & (Self.pieceSize - 1)]
  }

  mutating func append(_ id: Int32) {
    if (count - text.count) & (Self.pieceSize - 1) == 0 { startPiece() }
    pieces[pieces.count - 1].append(id)
    least = min(least, id)
    greatest = max(greatest, id)
    count += 1
  }

  mutating func append(contentsOf ids: some Sequence<Int32>) {
    if count == 0, let text = ids as? [Int32], text.count > Self.pieceSize {
      self.text = text
      count = text.count
      for id in text { (least, greatest) = (min(least, id), max(greatest, id)) }
    } else {
      for id in ids { append(id) }
    }
  }

  /// Appends the ids of another buffer, pieces as they are; the index of its first. Before it may be ids that
  /// nobody asked for: a piece begins at a multiple of its size.
  mutating func append(_ other: TokenBuffer) -> Int {
    guard count > 0 else {
      self = other
      return 0
    }
    if other.count == 0 { return count }
    guard other.text.isEmpty else {
      let start = count
      for index in 0..<other.count { append(other[index]) }
      return start
    }
    let rest = (count - text.count) & (Self.pieceSize - 1)
    if rest > 0 {
      pieces[pieces.count - 1].append(
        contentsOf: repeatElement(0, count: Self.pieceSize - rest))
      count += Self.pieceSize - rest
    }
    let start = count
    pieces += other.pieces
    count += other.count
    (least, greatest) = (min(least, other.least), max(greatest, other.greatest))
    return start
  }

  private mutating func startPiece() {
    pieces.append([])
    // The first piece grows as it must: most data are small.
    if pieces.count > 1 { pieces[pieces.count - 1].reserveCapacity(Self.pieceSize) }
  }

  /// Appends the ids of `range` to `output`, wider.
  func copy(_ range: Range<Int>, to output: inout [Int64]) {
    for id in text[range.clamped(to: 0..<text.count)] { output.append(Int64(id)) }
    let range = max(0, range.lowerBound - text.count)..<max(0, range.upperBound - text.count)
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
