/// The scores of one candidate, an adapter or the base, on examples that others were judged by too.
public struct CandidateScores: Sendable, Hashable {
  /// What the candidate is called.
  public var name: String
  /// The score of each example.
  public var scores: [Double]

  /// Creates scores.
  public init(name: String, scores: [Double]) {
    self.name = name
    self.scores = scores
  }

  /// The mean score; NaN of none.
  public var mean: Double { scores.reduce(0, +) / Double(scores.count) }

  /// Where it stands beside `other`, on the same examples.
  public func compared(
    with other: CandidateScores, lowerIsBetter: Bool = false,
    by bootstrap: PairedBootstrap = PairedBootstrap()
  ) -> Comparison {
    let interval = bootstrap.interval(ofDifference: scores, from: other.scores)
    let isHigher = interval.lowerBound > 0
    let isLower = interval.upperBound < 0
    return Comparison(
      difference: mean - other.mean, interval: interval,
      verdict: isHigher || isLower ? (isHigher != lowerIsBetter ? .better : .worse) : .unclear)
  }

  /// How two candidates differ.
  public struct Comparison: Sendable, Hashable {
    /// What the difference says.
    public enum Verdict: String, Sendable, Hashable, Codable {
      /// It is better: its interval has no 0.
      case better
      /// It is worse.
      case worse
      /// The examples do not tell.
      case unclear
    }

    /// The difference of the means.
    public var difference: Double
    /// Its interval.
    public var interval: ClosedRange<Double>
    /// What it says.
    public var verdict: Verdict
  }
}
