/// How good a model is with an adapter, on data that the search does not learn from.
public struct TuningScore: Sendable, Hashable, Codable {
  /// What is to become high: the metric, or a loss with the sign turned.
  public var value: Double
  /// The loss, which tells apart what the metric does not; nil: nothing does.
  public var loss: Double?
  /// The metric of each example, where the examples can be compared one by one.
  public var examples: [Double]?

  /// Creates a score.
  public init(value: Double, loss: Double? = nil, examples: [Double]? = nil) {
    self.value = value
    self.loss = loss
    self.examples = examples
  }

  /// Whether this is better than `other`: by the metric, and where that is the same by the loss.
  public func isBetter(than other: TuningScore) -> Bool {
    if value != other.value { return value > other.value || !other.value.isFinite }
    return loss ?? .infinity < other.loss ?? .infinity
  }
}

/// What the value of a ``TuningScore`` is.
public struct TuningMetric: Sendable, Hashable, Codable {
  /// The name, as in "accuracy".
  public var name: String
  /// Whether it is to become low, and scores have its negative.
  public var isLoss: Bool

  /// Creates a metric.
  public init(_ name: String, isLoss: Bool = false) {
    self.name = name
    self.isLoss = isLoss
  }

  /// The metric's own number in a score.
  public func number(in score: TuningScore) -> Double { isLoss ? -score.value : score.value }
}

/// What a search has tried, and what came of it; what ``AutoLoRA/folder`` holds as JSON.
public struct TuningRecord: Sendable, Hashable, Codable {
  /// Why a candidate was tried.
  public enum Stage: String, Sendable, Hashable, Codable {
    /// The default, at a constant rate, as without a search.
    case `default`
    /// One of the learning rates.
    case rate
    /// The best so far, with one thing changed.
    case variant
    /// What helped, together.
    case combination
  }

  /// How good a candidate was after some training.
  public struct Measurement: Sendable, Hashable, Codable {
    /// The examples that it was trained on, repeated ones counted again.
    public var examples: Int
    /// The number of steps.
    public var steps: Int
    /// How good it was then.
    public var score: TuningScore
    /// The seconds that this training and its measurement took, without what was trained before.
    public var seconds: Double
    /// The seconds of the search so far.
    public var elapsed: Double
    /// Whether others were trained at the same time, which makes each take longer.
    public var isSideBySide = false
  }

  /// A candidate that was tried.
  public struct Trial: Sendable, Hashable, Codable {
    /// The candidate.
    public var candidate: TuningCandidate
    /// Why it was tried.
    public var stage: Stage
    /// What was changed of the best; nil for other stages.
    public var dimension: TuningSpace.Dimension?
    /// How good it was, after more and more training.
    public internal(set) var measurements: [Measurement] = []
    /// What ended its training, such as a loss that is not finite.
    public internal(set) var failure: String?

    /// Whether both are trained alike.
    func isTrainedAs(_ other: Trial) -> Bool {
      candidate == other.candidate && (stage == .default) == (other.stage == .default)
    }

    /// The best of the measurements.
    public var best: Measurement? {
      measurements.reduce(nil as Measurement?) { best, next in
        best.map { next.score.isBetter(than: $0.score) ? next : $0 } ?? next
      }
    }
  }

  /// A trial after a certain training.
  public struct Place: Sendable, Hashable, Codable {
    /// The index of the trial.
    public var trial: Int
    /// The number of examples that it was trained on.
    public var examples: Int
  }

  var version = 1
  /// What candidates are measured by.
  public internal(set) var metric: TuningMetric
  /// The seconds that the search may take.
  public internal(set) var limit: Double
  /// The seconds that it has taken.
  public internal(set) var elapsed = 0.0
  /// What was searched.
  public internal(set) var space: TuningSpace
  /// The number of examples of the data.
  public internal(set) var exampleCount: Int
  /// A fingerprint of the data.
  var data: UInt64
  /// The score of the model without an adapter.
  public internal(set) var base: TuningScore?
  /// The seconds of a measurement, and of an example of training, that the search was planned with.
  var seconds: Seconds?
  /// What was tried, in order.
  public internal(set) var trials: [Trial] = []
  /// What is best.
  public internal(set) var winner: Place?
  /// Whether the search has come to its end.
  public internal(set) var isFinished = false

  struct Seconds: Sendable, Hashable, Codable {
    var measurement: Double
    /// Of an example where one candidate is trained.
    var example: Double
    /// Of an example where `width` candidates are trained side by side.
    var sideBySide: Double
    /// How many candidates are trained at once.
    var width: Int
    /// The seconds of the search when it was known.
    var elapsed: Double

    /// How many times as long a training takes where others are trained beside it.
    var slowdown: Double { width > 1 ? max(1, sideBySide / example) : 1 }
  }

  /// The measurement of the winner.
  public var best: Measurement? {
    winner.flatMap { place in
      trials[place.trial].measurements.first { $0.examples == place.examples }
    }
  }

  /// The measurement of the default after its first training, before the search trains it longer; nil where there
  /// was no time for it.
  public var defaultMeasurement: Measurement? {
    trials.first { $0.stage == .default }?.measurements.first
  }

  /// By how much the winner's scores are above the default's, with 95 % probability; nil where the examples
  /// can't be compared one by one. A little too much: the winner was chosen by these examples.
  public func difference(
    by bootstrap: PairedBootstrap = PairedBootstrap()
  ) -> ClosedRange<Double>? {
    guard let own = best?.score.examples, let other = defaultMeasurement?.score.examples,
      own.count == other.count, !own.isEmpty
    else { return nil }
    return bootstrap.interval(ofDifference: own, from: other)
  }
}
