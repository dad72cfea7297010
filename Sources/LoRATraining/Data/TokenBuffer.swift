import LoRATensor

/// Token ids one behind the other, four bytes each. A long text that comes first stays where it is, so that a
/// text of a gigabyte takes the memory of its ids and no more; the rest goes to a temporary file beyond a limit.
struct TokenBuffer: Sendable {
  /// The ids of a long text that came first.
  private var text: [Int32] = []
  /// Those behind it.
  private var rest: SpilledArray<Int32>
  /// The least and the greatest id, 0 where there is none.
  private(set) var least: Int32 = 0
  private(set) var greatest: Int32 = 0

  /// Creates a buffer of which at most `limit` bytes, and a text that comes first, stay in memory.
  init(limit: Int = .max) { rest = SpilledArray(limit: limit) }

  /// The number of ids.
  var count: Int { text.count + rest.count }

  /// Why there was no room for the temporary file.
  var failure: FileError? { rest.failure }

  /// Whether some ids are in a file.
  var isSpilled: Bool { rest.isSpilled }

  subscript(index: Int) -> Int32 {
    index < text.count ? text[index] : rest[index - text.count]
  }

  mutating func append(_ id: Int32) {
    rest.append(id)
    least = min(least, id)
    greatest = max(greatest, id)
  }

  mutating func append(contentsOf ids: some Sequence<Int32>) {
    if count == 0, let text = ids as? [Int32], text.count > rest.pieceSize,
      4 * text.count <= rest.limit
    {
      self.text = text
      for id in text { (least, greatest) = (min(least, id), max(greatest, id)) }
    } else {
      for id in ids { append(id) }
    }
  }

  /// Appends the ids of another buffer; the index of its first.
  mutating func append(_ other: TokenBuffer) -> Int {
    guard count > 0 else {
      self = other
      return 0
    }
    let start = count
    for id in other.text { append(id) }
    for id in other.rest { append(id) }
    return start
  }

  /// Appends the ids of `range` to `output`, wider.
  func copy(_ range: Range<Int>, to output: inout [Int64]) {
    for id in text[range.clamped(to: 0..<text.count)] { output.append(Int64(id)) }
    let (start, end) = (
      max(0, range.lowerBound - text.count), max(0, range.upperBound - text.count)
    )
    rest.forEachPart(of: start..<end) { part in
      for id in part { output.append(Int64(id)) }
    }
  }
}
