import LoRATensor

/// The keys that each query of an attention sees, always one interval.
///
/// ```swift
/// .causal()                                    // a language model
/// .causal(window: 4096)                        // Mistral
/// .bidirectional(lengths: [7, 12])             // an encoder's two texts, padded to 12 tokens
/// .packed([[5, 3, 4], [12]], isCausal: true)   // three sequences in the first item, one in the second
/// .cross(lengths: [20, 31])                    // a decoder that reads two encoded texts
/// ```
///
/// Queries and keys of one sequence have positions. The last query is at the last key's position:
/// of T queries and S >= T keys, query t is at position S - T + t. A query that sees no key, such
/// as a padding token, has output zero and gradient zero, whatever its value.
public struct AttentionMask: Sendable, Hashable {
  /// The meaning of a query's position.
  private enum Order: Sendable, Hashable {
    /// No key behind it is seen.
    case causal
    /// Keys on both sides are seen.
    case bidirectional
    /// Nothing: queries and keys are of different sequences.
    case cross
  }

  /// The sequences that the keys of a batch item are.
  private enum Sequences: Sendable, Hashable {
    /// One, of all keys.
    case whole
    /// One, of so many keys; padding follows.
    case padded([Int])
    /// Several of these lengths, one after the other; padding follows.
    case packed([[Int]])
  }

  private var order: Order
  private var sequences = Sequences.whole
  /// How many positions to a side a query sees, its own included; nil: all.
  private var window: Int?

  /// Causal attention: every query sees the keys up to its own position, at most `window` of them,
  /// including its own.
  public static func causal(window: Int? = nil) -> AttentionMask {
    AttentionMask(order: .causal, window: window)
  }

  /// Bidirectional attention: every query sees the keys on both sides.
  ///
  /// - Parameters:
  ///   - window: the number of positions on each side, including the query's own: keys at a smaller
  ///     distance are seen. (ModernBERT's `local_attention` of 128 positions is a window of 65.)
  ///   - lengths: the length of each item, possibly 0; the rest is padding, which neither sees nor
  ///     is seen. Nil if there is none.
  public static func bidirectional(window: Int? = nil, lengths: [Int]? = nil) -> AttentionMask {
    AttentionMask(
      order: .bidirectional, sequences: lengths.map { .padded($0) } ?? .whole, window: window)
  }

  /// Packed attention: several consecutive sequences in each item, which do not see each other.
  ///
  /// - Parameters:
  ///   - lengths: the lengths of each item's sequences, in order. The rest is padding, which
  ///     neither sees nor is seen.
  ///   - isCausal: whether a query sees only the keys up to its own position.
  ///   - window: as in ``causal(window:)`` or ``bidirectional(window:lengths:)``.
  public static func packed(
    _ lengths: [[Int]], isCausal: Bool, window: Int? = nil
  ) -> AttentionMask {
    AttentionMask(
      order: isCausal ? .causal : .bidirectional, sequences: .packed(lengths), window: window)
  }

  /// Cross attention: every query sees all keys, which belong to another sequence; their numbers
  /// are independent.
  ///
  /// - Parameter lengths: the number of keys of each item, possibly 0; the rest is padding. Nil if
  ///   there is none.
  public static func cross(lengths: [Int]? = nil) -> AttentionMask {
    AttentionMask(order: .cross, sequences: lengths.map { .padded($0) } ?? .whole)
  }

  /// The same mask for a batch whose items have these lengths; the rest is padding.
  package func padded(to lengths: [Int]) -> AttentionMask {
    AttentionMask(order: order, sequences: .padded(lengths), window: window)
  }

  /// The same mask for a batch whose items are several sequences each, of these lengths.
  package func packed(_ lengths: [[Int]]) -> AttentionMask {
    AttentionMask(order: order, sequences: .packed(lengths), window: window)
  }

  /// Whether queries have positions among the keys.
  var hasPositions: Bool { order != .cross }

  /// Whether a sequence may be passed in pieces, each behind what a cache holds of those before: no
  /// query sees a key behind its position, and no length of a whole batch matters.
  package var allowsCaching: Bool { order == .causal && sequences == .whole }

  /// How many positions of a cache a query sees at most, its own included; nil for all. What is further
  /// behind the next query no later one sees either.
  package var cachedPositions: Int? { allowsCaching ? window : nil }

  /// The keys that the query at `position` sees of one sequence of `keys` keys without padding.
  package func visibleKeys(at position: Int, of keys: Int) -> Range<Int> {
    visible(from: position, in: 0..<keys)
  }
}

extension AttentionMask {
  /// The keys that each query of each batch item sees. Traps if the mask is of another batch.
  func intervals(batch: Int, queries: Int, keys: Int) -> KeyIntervals {
    require(
      order == .cross || keys >= queries,
      "\(queries) queries and \(keys) keys of one sequence; there must be a key for every query")
    require(window.map { $0 > 0 } ?? true, "an attention window of \(window ?? 0) positions")
    switch sequences {
    case .whole:
      return KeyIntervals(items: 1, queries: queries, keys: keys) { _, query in
        visible(from: query + keys - queries, in: 0..<keys)
      }
    case .padded(let lengths):
      require(
        lengths.count == batch && lengths.allSatisfy { (0...keys).contains($0) },
        "a mask of the lengths \(lengths) for \(batch) batch items of \(keys) keys")
      return KeyIntervals(items: batch, queries: queries, keys: keys) { item, query in
        visible(from: query + keys - queries, in: 0..<lengths[item])
      }
    case .packed(let lengths):
      require(
        lengths.count == batch
          && lengths.allSatisfy { $0.allSatisfy { $0 >= 0 } && $0.reduce(0, +) <= keys },
        "a mask of the sequences \(lengths) for \(batch) batch items of \(keys) keys")
      let owners = lengths.map { Self.owners(lengths: $0, keys: keys) }
      return KeyIntervals(items: batch, queries: queries, keys: keys) { item, query in
        let position = query + keys - queries
        return visible(from: position, in: owners[item][position])
      }
    }
  }

  /// The sequence that each of the positions belongs to; empty for padding.
  private static func owners(lengths: [Int], keys: Int) -> [Range<Int>] {
    var owners: [Range<Int>] = []
    owners.reserveCapacity(keys)
    for length in lengths {
      let start = owners.count
      owners += repeatElement(start..<start + length, count: length)
    }
    return owners + repeatElement(0..<0, count: keys - owners.count)
  }

  /// The keys that the query at `position` sees of its sequence.
  private func visible(from position: Int, in sequence: Range<Int>) -> Range<Int> {
    if order == .cross { return sequence }
    guard sequence.contains(position) else { return 0..<0 }
    // A window beyond either end, of any size, does not overflow.
    let side = min(window ?? sequence.count, sequence.count) - 1
    let first = max(sequence.lowerBound, position - side)
    let last = order == .causal ? position : min(sequence.upperBound - 1, position + side)
    return first..<last + 1
  }
}

/// The keys that each query of each batch item sees, one interval of them.
struct KeyIntervals: Sendable {
  /// The first key of each query of an item, then the end of each; item after item.
  ///
  /// An empty interval begins behind the last key and ends before the first: the smallest first and
  /// the largest end of several queries are then right without a question.
  private let bounds: [Int32]
  private let queries: Int
  /// How far apart the items lie; 0 if all have the same intervals.
  private let stride: Int

  /// - Parameter items: the batch size, or 1 if all its items see the same.
  init(items: Int, queries: Int, keys: Int, _ visible: (_ item: Int, _ query: Int) -> Range<Int>) {
    require(keys < Int(Int32.max), "attention to \(keys) keys")
    self.queries = queries
    stride = items == 1 ? 0 : 2 * queries
    bounds = Array(unsafeUninitializedCapacity: 2 * items * queries) { bounds, count in
      for item in 0..<items {
        for query in 0..<queries {
          let seen = visible(item, query)
          let index = 2 * item * queries + query
          bounds[index] = Int32(seen.isEmpty ? keys : seen.lowerBound)
          bounds[index + queries] = Int32(seen.isEmpty ? 0 : seen.upperBound)
        }
      }
      count = 2 * items * queries
    }
  }

  /// Calls `body` with what the queries `rows` of batch item `item` see.
  func withVisible<R>(
    _ item: Int, _ rows: Range<Int>, _ body: (_ visible: VisibleKeys) -> R
  ) -> R {
    bounds.withUnsafeBufferPointer { bounds in
      guard let start = bounds.baseAddress else { misuse("intervals of no queries") }
      let first = start + item * stride + rows.lowerBound
      return body(VisibleKeys(first: first, end: first + queries, count: rows.count))
    }
  }
}

/// The keys that a tile of queries sees: which products of the tile are needed at all.
///
/// Products are cut into steps of 32 queries or keys, so that along a causal mask's diagonal, at a
/// window's or a sequence's end, little is computed of what the mask hides. Steps that need the
/// same are one.
struct VisibleKeys {
  private static let step = 32

  /// The first key that each query sees, and the end: what the kernels take.
  let first: UnsafePointer<Int32>
  let end: UnsafePointer<Int32>
  /// The number of queries.
  let count: Int

  /// The keys that one query sees.
  func keys(ofRow row: Int) -> Range<Int> { keys(of: row..<row + 1) }

  /// The keys that any of the queries sees.
  var keys: Range<Int> { keys(of: 0..<count) }

  /// Whether a query sees nothing.
  func isEmpty(_ row: Int) -> Bool { end[row] <= first[row] }

  private func keys(of rows: Range<Int>) -> Range<Int> {
    var (low, high) = (Int32.max, Int32(0))
    for row in rows {
      low = min(low, first[row])
      high = max(high, end[row])
    }
    return low < high ? Int(low)..<Int(high) : 0..<0
  }

  /// From the first to the last of the queries that see any of `keys`.
  private func rows(seeing keys: Range<Int>) -> Range<Int> {
    func sees(_ row: Int) -> Bool { first[row] < keys.upperBound && end[row] > keys.lowerBound }
    var (low, high) = (0, count)
    while low < high, !sees(low) { low += 1 }
    while low < high, !sees(high - 1) { high -= 1 }
    return low..<high
  }

  /// Calls `body` with blocks of at most `length` of the keys, which begin where panels do.
  func forEachBlock(length: Int, _ body: (Range<Int>) -> Void) {
    let keys = self.keys
    var start = keys.lowerBound / panelWidth * panelWidth
    while start < keys.upperBound {
      let end = min(keys.upperBound, start + length)
      body(start..<end)
      start = end
    }
  }

  /// Calls `body` with rows of the tile and the columns of `block` that they see, both counted from
  /// their first. Columns begin where panels do.
  func forEachStep(
    _ block: Range<Int>, _ body: (_ rows: Range<Int>, _ columns: Range<Int>) -> Void
  ) {
    var last: (rows: Range<Int>, columns: Range<Int>)?
    for start in stride(from: 0, to: count, by: Self.step) {
      let rows = start..<min(count, start + Self.step)
      let keys = self.keys(of: rows).clamped(to: block)
      if keys.isEmpty { continue }
      let low = (keys.lowerBound - block.lowerBound) / panelWidth * panelWidth
      let columns = low..<keys.upperBound - block.lowerBound
      if let done = last, done.columns == columns, done.rows.upperBound == rows.lowerBound {
        last = (done.rows.lowerBound..<rows.upperBound, columns)
      } else {
        if let last { body(last.rows, last.columns) }
        last = (rows, columns)
      }
    }
    if let last { body(last.rows, last.columns) }
  }

  /// The same by keys: calls `body` with columns of `block` and the rows of the tile that see them.
  func forEachKeyStep(
    _ block: Range<Int>, _ body: (_ columns: Range<Int>, _ rows: Range<Int>) -> Void
  ) {
    var last: (columns: Range<Int>, rows: Range<Int>)?
    for start in stride(from: 0, to: block.count, by: Self.step) {
      let columns = start..<min(block.count, start + Self.step)
      let rows = self.rows(
        seeing: block.lowerBound + columns.lowerBound..<block.lowerBound + columns.upperBound)
      if rows.isEmpty { continue }
      if let done = last, done.rows == rows, done.columns.upperBound == columns.lowerBound {
        last = (done.columns.lowerBound..<columns.upperBound, rows)
      } else {
        if let last { body(last.columns, last.rows) }
        last = (columns, rows)
      }
    }
    if let last { body(last.columns, last.rows) }
  }
}
