extension TokenDataSet {
  /// An example: where its tokens lie, and its targets.
  struct Span: Sendable, BitwiseCopyable {
    /// The index of its first token.
    var start: Int
    private var targetStart = -1
    private var positions: Int32
    private var promptLength: Int32
    private var lineNumber: Int32
    private var learnedCount: Int32 = -1
    private var fileNumber: Int32 = 0

    init(start: Int, length: Int, given: Int, targets: Int? = nil, line: Int? = nil) {
      self.start = start
      (positions, promptLength) = (Int32(length), Int32(given))
      lineNumber = line.map { Int32(truncatingIfNeeded: $0) } ?? -1
      self.targets = targets
    }

    /// The number of positions.
    var length: Int { Int(positions) }
    /// The number of prompt tokens at the beginning, which are not learned.
    var given: Int {
      get { Int(promptLength) }
      set { promptLength = Int32(newValue) }
    }
    /// Where its targets begin among the explicit ones; nil where a target is the token that follows.
    var targets: Int? {
      get { targetStart < 0 ? nil : targetStart }
      set { targetStart = newValue ?? -1 }
    }
    /// The line of the file, or the row of the tensor, that the example comes from, if any.
    var line: Int? { lineNumber < 0 ? nil : Int(lineNumber) }
    /// Which of the data set's sources it comes from.
    var file: Int {
      get { Int(fileNumber) }
      set { fileNumber = Int32(newValue) }
    }
    /// The number of explicit targets that count, once it was counted.
    var learned: Int? {
      get { learnedCount < 0 ? nil : Int(learnedCount) }
      set { learnedCount = Int32(newValue ?? -1) }
    }
  }
}

extension TokenDataSet.Span {
  /// The number of targets that count.
  func targetCount(in targets: TokenBuffer) -> Int {
    guard let start = self.targets else { return max(0, length - max(0, given - 1)) }
    if let learned { return learned }
    return (start..<start + length).reduce(0) { $0 + (targets[$1] >= 0 ? 1 : 0) }
  }
}

/// Where examples come from.
struct DataSource: Sendable {
  /// The name in errors.
  var name: String
  /// What its records are counted by.
  var unit: DataUnit
}
