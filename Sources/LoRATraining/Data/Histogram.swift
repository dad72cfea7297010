/// How many examples have which length, in bins of which each is as wide as all before it together, in four
/// parts: 0, 1, 2, 3, 4, 5, 6, 7, 8-9, 10-11, ... Takes the same memory for any number of examples.
public struct Histogram: Sendable, Hashable {
  /// A bin.
  public struct Bin: Sendable, Hashable {
    /// The lengths in it.
    public let lengths: ClosedRange<Int>
    /// The number of examples.
    public let count: Int
  }

  private var counts = [Int](repeating: 0, count: 256)
  /// The number of examples.
  public private(set) var total = 0
  /// The sum of their lengths.
  public private(set) var sum = 0
  /// The least length; 0 without examples.
  public private(set) var least = 0
  /// The greatest length; 0 without examples.
  public private(set) var greatest = 0

  /// Creates an empty histogram.
  public init() {}

  /// Counts an example of the given length.
  public mutating func add(_ length: Int) {
    least = total == 0 ? length : min(least, length)
    greatest = max(greatest, length)
    total += 1
    sum += length
    counts[Self.bin(of: length)] += 1
  }

  private static func bin(of length: Int) -> Int {
    guard length >= 8 else { return max(0, length) }
    let power = Int.bitWidth - 1 - length.leadingZeroBitCount
    return 8 + (power - 3) * 4 + (length >> (power - 2) & 3)
  }

  private static func lengths(of bin: Int) -> ClosedRange<Int> {
    guard bin >= 8 else { return bin...bin }
    let (power, quarter) = (3 + (bin - 8) / 4, (bin - 8) % 4)
    let width = 1 << (power - 2)
    let start = (4 + quarter) * width
    return start...(start + width - 1)
  }

  /// The bins from the first to the last that is not empty.
  public var bins: [Bin] {
    guard let first = counts.firstIndex(where: { $0 > 0 }),
      let last = counts.lastIndex(where: { $0 > 0 })
    else { return [] }
    return (first...last).map { Bin(lengths: Self.lengths(of: $0), count: counts[$0]) }
  }

  /// About the length that the given share of the examples does not exceed: exact below 8, to a fifth above.
  public func quantile(_ share: Double) -> Int {
    var rest = Int((Double(total) * share).rounded(.up))
    for (index, count) in counts.enumerated() where count > 0 {
      rest -= count
      if rest <= 0 { return min(greatest, Self.lengths(of: index).upperBound) }
    }
    return greatest
  }

  /// The same examples in at most `limit` bins of the same kind, neighbours put together.
  package func merged(to limit: Int) -> [Bin] {
    var bins = bins
    while bins.count > limit {
      bins = stride(from: 0, to: bins.count, by: 2).map { index in
        let next = index + 1 < bins.count ? bins[index + 1] : nil
        return Bin(
          lengths: bins[index].lengths.lowerBound...(next ?? bins[index]).lengths.upperBound,
          count: bins[index].count + (next?.count ?? 0))
      }
    }
    return bins
  }
}
