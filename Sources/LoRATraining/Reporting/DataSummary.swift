/// What a training learned from, or was measured on, in numbers.
public struct DataSummary: Sendable, Hashable {
  /// Where the data come from, such as their file.
  public var source: String
  /// The number of examples.
  public var exampleCount: Int
  /// The number of tokens that are predicted from, without padding.
  public var tokenCount: Int
  /// The number of targets that count in the loss.
  public var targetCount: Int
  /// The lengths of the examples in tokens that are predicted from.
  public var lengths: Histogram
  /// What became of examples that were not taken as they are.
  public var notes: [String]

  /// Counts `data`. Time: a few operations an example.
  ///
  /// - Parameters:
  ///   - data: the data.
  ///   - source: where they come from.
  ///   - notes: what became of examples that were not taken as they are, such as ``DataReport/notes``.
  public init(_ data: some TrainingData, source: String, notes: [String] = []) {
    var lengths = Histogram()
    var targets = 0
    for index in 0..<data.exampleCount {
      lengths.add(data.tokenCount(of: [index]))
      targets += data.targetCount(of: [index])
    }
    self.source = source
    exampleCount = data.exampleCount
    tokenCount = lengths.sum
    targetCount = targets
    self.lengths = lengths
    self.notes = notes
  }
}
