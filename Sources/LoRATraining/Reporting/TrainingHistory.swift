import LoRAPages

/// What happened in a training, in order: what its report shows.
///
/// ```swift
/// var history = TrainingHistory()
/// while let report = try run.step() { history.add(.step(report)) }
/// history.smoothedLosses.last
/// ```
public struct TrainingHistory: Sendable, Hashable {
  /// The steps.
  public private(set) var steps: [StepReport] = []
  /// The measurements.
  public private(set) var measurements: [TrainingMeasurement] = []
  /// What the model said.
  public private(set) var samples: [TrainingSample] = []
  /// What looked wrong.
  public private(set) var warnings: [String] = []

  /// Creates an empty history.
  public init() {}

  /// Adds what happened next.
  public mutating func add(_ event: TrainingEvent) {
    switch event {
    case .step(let report): steps.append(report)
    case .measurement(let measurement): measurements.append(measurement)
    case .sample(let sample): samples.append(sample)
    case .warning(_, let text): warnings.append(text)
    }
  }

  /// The exponential moving average of the losses over about twenty steps, corrected for its beginning,
  /// after each step.
  public var smoothedLosses: [Double] {
    var smoothed = SmoothedLoss()
    return steps.map { report in
      smoothed.add(report.loss)
      return smoothed.value
    }
  }

  /// The number of tokens in all batches, without padding.
  public var tokens: Int { steps.reduce(0) { $0 + $1.tokens } }

  /// The time that the steps took, in seconds.
  public var seconds: Double {
    steps.reduce(0) {
      $0 + ($1.tokensPerSecond > 0 ? Double($1.tokens) / $1.tokensPerSecond : 0)
    }
  }
}
