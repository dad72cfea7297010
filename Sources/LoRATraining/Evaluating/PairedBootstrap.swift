import LoRATensor

/// How sure a mean of scores is, and the difference of two on the same examples: percentiles of means over
/// resampled examples.
///
/// Source: Koehn, *Statistical significance tests for machine translation evaluation*, 2004.
public struct PairedBootstrap: Sendable, Hashable {
  /// The number of resamplings.
  public var resamplings = 2000
  /// The share of the resampled means that the interval holds.
  public var confidence = 0.95
  /// The seed of the resamplings.
  public var seed: UInt64 = 0

  /// Creates a bootstrap of 2,000 resamplings and intervals of 95 %.
  public init() {}

  /// The interval of the mean of `scores`, which must not be empty. Cost: a pass over the scores per
  /// resampling.
  public func interval(ofMean scores: [Double]) -> ClosedRange<Double> {
    require(!scores.isEmpty, "an interval of no scores")
    var random = SeededRandom(seed: seed, path: "bootstrap")
    let means = (0..<max(1, resamplings)).map { _ in
      var sum = 0.0
      for _ in scores.indices {
        sum += scores[Int(random.next().multipliedFullWidth(by: UInt64(scores.count)).high)]
      }
      return sum / Double(scores.count)
    }.sorted()
    let tail = Int(Double(means.count) * (1 - confidence) / 2)
    return means[tail]...means[means.count - 1 - tail]
  }

  /// The interval of the mean difference of the scores of two candidates for the same examples. Where it has
  /// no 0, they differ.
  public func interval(ofDifference scores: [Double], from other: [Double]) -> ClosedRange<Double> {
    require(scores.count == other.count, "\(scores.count) and \(other.count) scores")
    return interval(ofMean: zip(scores, other).map { $0 - $1 })
  }
}
