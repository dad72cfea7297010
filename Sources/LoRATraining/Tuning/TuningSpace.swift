/// What ``AutoLoRA`` may choose from. A list of one value fixes it.
public struct TuningSpace: Sendable, Hashable, Codable {
  /// What a search can change about a candidate.
  public enum Dimension: String, Sendable, Hashable, Codable, CaseIterable {
    /// The learning rate.
    case learningRate
    /// The number of examples in a batch.
    case batchSize
    /// The learning rate of the head.
    case headRate
    /// The rank.
    case rank
    /// The layers.
    case targets
    /// The method.
    case method
    /// The dropout.
    case dropout
  }

  /// Where the search begins, and what its winner has to beat.
  public var start: TuningCandidate
  /// The learning rates that are tried first, rising.
  public var learningRates: [Double]
  /// The numbers of examples in a batch.
  public var batchSizes = [4, 8, 16]
  /// The learning rates of a head of labels; nil: that of the adapter.
  public var headLearningRates: [Double?] = [nil]
  /// The ranks.
  public var ranks = [4, 8, 32]
  /// The layers.
  public var targets: [TuningCandidate.Targets] = [.allLinear, .attention]
  /// The methods.
  public var methods = ["lora", "dora"]
  /// The dropouts.
  public var dropouts = [0, 0.1]

  /// Creates the usual space about `start`: learning rates from a third of its own to ten times.
  public init(start: TuningCandidate = TuningCandidate()) {
    self.start = start
    learningRates = [0.316, 1, 3.16, 10].map { $0 * start.learningRate }
  }

  /// The candidates that differ from `candidate` in one dimension, what promises most first.
  func neighbours(
    of candidate: TuningCandidate
  ) -> [(dimension: Dimension, candidate: TuningCandidate)] {
    func with<Value: Equatable>(
      _ dimension: Dimension, _ path: WritableKeyPath<TuningCandidate, Value>, _ values: [Value]
    ) -> [(Dimension, TuningCandidate)] {
      values.filter { $0 != candidate[keyPath: path] }.map { value in
        var other = candidate
        other[keyPath: path] = value
        return (dimension, other)
      }
    }
    let rates = learningRates.count > 1 ? [2, 0.5].map { $0 * candidate.learningRate } : []
    return with(.headRate, \.headLearningRate, headLearningRates)
      + with(.learningRate, \.learningRate, rates.filter { $0 <= TrainingOptions.greatestRate })
      + with(.batchSize, \.batchSize, batchSizes)
      + with(.rank, \.rank, ranks) + with(.targets, \.targets, targets)
      + with(.method, \.method, methods) + with(.dropout, \.dropout, dropouts)
  }

  /// Throws ``TrainingError/invalidOption(name:value:expected:)`` for a list without values, and for
  /// learning rates that do not rise.
  func check() throws(TrainingError) {
    for (name, count) in [
      ("learning rates", learningRates.count), ("batch sizes", batchSizes.count),
      ("ranks", ranks.count), ("targets", targets.count), ("methods", methods.count),
      ("dropouts", dropouts.count), ("head rates", headLearningRates.count),
    ] where count == 0 {
      throw .invalidOption(name: "the \(name)", value: "none", expected: "one at least")
    }
    guard zip(learningRates, learningRates.dropFirst()).allSatisfy(<) else {
      throw .invalidOption(
        name: "the learning rates", value: "\(learningRates)", expected: "rising numbers")
    }
  }
}

extension TuningCandidate {
  /// Takes over what `other` has in `dimension`.
  mutating func take(_ dimension: TuningSpace.Dimension, of other: TuningCandidate) {
    switch dimension {
    case .learningRate: learningRate = other.learningRate
    case .batchSize: batchSize = other.batchSize
    case .headRate: headLearningRate = other.headLearningRate
    case .rank: rank = other.rank
    case .targets: targets = other.targets
    case .method: method = other.method
    case .dropout: dropout = other.dropout
    }
  }
}
