/// All code points but surrogates, divided into classes that are treated alike.
struct CodePointPartition: Sendable, Hashable {
  /// Where intervals begin, ascending from 0, and the class of each; -1 for the surrogates.
  private(set) var starts: [UInt32]
  private(set) var classes: [Int32]
  private(set) var count: Int

  private static let surrogates: ClosedRange<UInt32> = 0xD800...0xDFFF

  /// The coarsest division in which each of `sets`, of ascending ranges, consists of whole classes.
  init(dividing sets: [[ClosedRange<UInt32>]]) {
    var boundaries: Set<UInt32> = [0, 0xD800, 0xE000]
    for range in sets.joined() {
      boundaries.insert(range.lowerBound)
      if range.upperBound < 0x10FFFF { boundaries.insert(range.upperBound + 1) }
    }
    starts = boundaries.sorted()
    classes = []
    count = 0
    // Which sets hold an interval decides about its class. Each set is walked along with the
    // intervals.
    var members = [[Int32]](repeating: [], count: starts.count)
    for (number, set) in sets.enumerated() {
      var interval = 0
      for range in set {
        while starts[interval] < range.lowerBound { interval += 1 }
        while interval < starts.count, starts[interval] <= range.upperBound {
          members[interval].append(Int32(number))
          interval += 1
        }
      }
    }
    var known: [[Int32]: Int32] = [:]
    for (start, members) in zip(starts, members) {
      if Self.surrogates.contains(start) {
        classes.append(-1)
      } else if let number = known[members] {
        classes.append(number)
      } else {
        known[members] = Int32(count)
        classes.append(Int32(count))
        count += 1
      }
    }
  }

  /// The class of a code point.
  func number(of code: UInt32) -> Int32 {
    var (low, high) = (0, starts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= code { low = middle } else { high = middle }
    }
    return classes[low]
  }

  /// By class, its code points in ascending ranges.
  var ranges: [[ClosedRange<UInt32>]] {
    var result = [[ClosedRange<UInt32>]](repeating: [], count: count)
    for (i, start) in starts.enumerated() where classes[i] >= 0 {
      let last = i + 1 < starts.count ? starts[i + 1] - 1 : 0x10FFFF
      result[Int(classes[i])].append(start...last)
    }
    return result
  }
}
