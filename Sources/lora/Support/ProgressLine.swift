/// What a line of progress says, for a log and for a terminal of any width.
struct ProgressLine {
  let done: Int
  let total: Int
  /// How it goes, in parts; the first are the most important ones.
  let parts: [String]
  /// The time since the beginning, in seconds.
  let elapsed: Double
  /// The time that the rest will take at the speed until now; nil while that is not known.
  let remaining: Double?
  /// A curve that a terminal shows too.
  var curve = Sparkline()

  /// The whole of it, without a bar.
  var text: String {
    ([count] + parts + [time(isWhole: true)]).filter { !$0.isEmpty }.joined(separator: ", ")
  }

  /// A bar and as much of the rest as fits into `columns`, the last of which stays empty: some
  /// terminals begin a new line there.
  func bar(columns: Int, hasBlocks: Bool, marks: Sparkline.Marks? = nil) -> String {
    let room = columns - 1
    if let marks, let line = curvedBar(room: room, hasBlocks: hasBlocks, marks) { return line }
    for text in texts where text.count + 1 + Self.widths.lowerBound <= room {
      let width = min(Self.widths.upperBound, room - text.count - 1)
      return bar(width, hasBlocks: hasBlocks) + " " + text
    }
    let percent = "\(total > 0 ? 100 * done / total : 100)%"
    return [count, percent].first { $0.count <= room } ?? ""
  }

  /// A bar, the curve, and as much as fits beside them; nil where too little would.
  private func curvedBar(room: Int, hasBlocks: Bool, _ marks: Sparkline.Marks) -> String? {
    let least = Self.widths.lowerBound
    for text in texts.prefix(max(1, texts.count - Self.worthMore)) {
      let space = room - text.count - 2
      guard space >= 2 * least else { continue }
      let drawn = curve.text(columns: min(Self.widths.upperBound, space - least), marks: marks)
      guard !drawn.isEmpty else { return nil }
      let width = min(Self.widths.upperBound, space - drawn.count)
      return "\(bar(width, hasBlocks: hasBlocks)) \(drawn) \(text)"
    }
    return nil
  }

  private func bar(_ width: Int, hasBlocks: Bool) -> String {
    let filled = total > 0 ? min(width, max(0, width * done / total)) : width
    return String(repeating: hasBlocks ? "█" : "#", count: filled)
      + String(repeating: hasBlocks ? "░" : ".", count: width - filled)
  }

  private static let widths = 8...24
  /// How many of the shortest texts say less than a curve is worth.
  private static let worthMore = 3

  private var count: String { "\(done)/\(total)" }

  /// From all to the least. The time left is worth more than the last parts.
  private var texts: [String] {
    var choices = [[count] + parts + [time(isWhole: true)]]
    for kept in stride(from: parts.count, through: 0, by: -1) {
      choices.append([count] + parts.prefix(kept) + [time(isWhole: false)])
    }
    return (choices + [[count]]).map { $0.filter { !$0.isEmpty }.joined(separator: ", ") }
  }

  private func time(isWhole: Bool) -> String {
    let left = done < total ? remaining.map { "\(Self.clock($0)) left" } : nil
    return (isWhole ? [Self.clock(elapsed), left] : [left]).compactMap(\.self)
      .joined(separator: ", ")
  }

  /// Seconds as a clock shows them: 0:07, 12:30, 1:05:00.
  static func clock(_ seconds: Double) -> String {
    let whole = Int(min(max(seconds.rounded(), 0), 1e9))
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    return (hours > 0 ? "\(hours):\(two(minutes))" : "\(minutes)") + ":\(two(whole % 60))"
  }
}
