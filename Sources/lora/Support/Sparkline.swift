/// A curve of a few characters, for a line of a terminal.
struct Sparkline {
  /// What it is drawn with.
  enum Marks {
    /// Blocks of eight heights, one a column.
    case blocks
    /// Braille dots, two columns of four a character: where blocks may be two columns wide.
    case braille
  }

  /// The numbers so far, at most ``limit``: neighbours are put together as they get more.
  private(set) var values: [Double] = []
  /// How many numbers each value is the mean of, but for the last one.
  private var width = 1
  private var last = (sum: 0.0, count: 0)

  private static let limit = 128

  /// Adds the next number; one that is not finite is no part of the curve.
  mutating func add(_ number: Double) {
    guard number.isFinite else { return }
    if last.count == 0 || last.count == width {
      if values.count == Self.limit {
        values = stride(from: 0, to: Self.limit, by: 2).map { (values[$0] + values[$0 + 1]) / 2 }
        width *= 2
      }
      values.append(number)
      last = (0, 0)
    }
    last.sum += number
    last.count += 1
    values[values.count - 1] = last.sum / Double(last.count)
  }

  /// The curve in at most so many columns; empty for fewer than two numbers.
  func text(columns: Int, marks: Marks) -> String {
    let (perColumn, heights) = marks == .blocks ? (1, 8) : (2, 4)
    let points = points(columns * perColumn)
    guard points.count > 1, let low = points.min(), let high = points.max() else { return "" }
    let levels = points.map { point in
      high > low ? Int(((point - low) / (high - low) * Double(heights - 1)).rounded()) : 0
    }
    let scalars: [UInt32] =
      switch marks {
      case .blocks: levels.map { 0x2581 + UInt32($0) }
      case .braille:
        stride(from: 0, to: levels.count, by: 2).map { index in
          let right = index + 1 < levels.count ? Self.right[levels[index + 1]] : 0
          return 0x2800 + Self.left[levels[index]] + right
        }
      }
    return String(String.UnicodeScalarView(scalars.compactMap(Unicode.Scalar.init)))
  }

  // The dots of a column from the bottom up to a height.
  private static let left: [UInt32] = [0x40, 0x44, 0x46, 0x47]
  private static let right: [UInt32] = [0x80, 0xA0, 0xB0, 0xB8]

  /// At most `count` numbers: means of neighbours.
  private func points(_ count: Int) -> [Double] {
    guard values.count > count else { return values }
    guard count > 0 else { return [] }
    return (0..<count).map { index in
      let part = values[index * values.count / count..<(index + 1) * values.count / count]
      return part.reduce(0, +) / Double(part.count)
    }
  }
}
