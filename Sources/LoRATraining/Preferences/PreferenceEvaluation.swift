import LoRAAutograd
public import LoRAModels
import LoRATensor

/// How well a model prefers what was chosen, on data that it does not learn from.
public struct PreferenceEvaluation: Sendable, Hashable, Codable {
  /// The mean loss.
  public let loss: Double
  /// The mean reward of chosen completions minus that of rejected ones; of single completions a kind
  /// that is missing counts as 0. A reward is β times how much more probable than under the reference a
  /// completion is, without one β times its log-probability (of ORPO the mean over its tokens).
  public let margin: Double
  /// The share of pairs whose chosen completion has the higher reward; of single completions those
  /// whose reward is above (desirable) or below β z, KTO's mean.
  public let accuracy: Double
  /// The number of examples.
  public let examples: Int
}

extension PreferenceEvaluation: CustomStringConvertible {
  /// Loss, margin and accuracy.
  public var description: String {
    "loss \(rounded(loss)), margin \(rounded(margin)), accuracy \(rounded(accuracy)) over \(examples) "
      + "example\(examples == 1 ? "" : "s")"
  }
}

extension LanguageModel {
  /// The mean loss of `data`, margin and accuracy, with the adapters that apply here.
  ///
  /// - Parameters:
  ///   - data: the preferences.
  ///   - loss: what is measured.
  ///   - reference: the log-probabilities of the model without adapters on this data that are known
  ///     from before; a new one computes them.
  ///   - batchSize: the number of examples in a batch; KTO's mean z is over a batch.
  ///
  /// Throws as the trainer does, `NonFiniteOutput` for losses that are not finite, and
  /// `CancellationError` between batches.
  public func evaluate(
    on data: PreferenceDataSet, loss: PreferenceLoss, reference: PreferenceReference? = nil,
    batchSize: Int = 8
  ) throws -> PreferenceEvaluation {
    guard batchSize >= 1 else {
      throw TrainingError.invalidOption(
        name: "the batch size", value: "\(batchSize)", expected: "at least 1")
    }
    let objective = PreferenceObjective(
      preference: loss, reference: reference ?? PreferenceReference())
    try objective.check(self, on: data)
    let order = BatchOrder(exampleCount: data.exampleCount, batchSize: batchSize, seed: nil)
    let examples = order.examples(ofEpoch: 0)
    var tally = RewardTally()
    var sum = 0.0
    for step in 0..<order.stepsPerEpoch {
      try Task.checkCancellation()
      for part in order.batches(ofStep: step, in: examples) {
        let batch = data.batch(of: part)
        let (value, rewards, divergence) = try withoutGradients {
          try objective.measured(self, batch, scale: 1)
        }
        sum += Double(value.value.item())
        tally.add(
          Array(rewards[..<batch.chosenCount]), Array(rewards[batch.chosenCount...]),
          threshold: data.arePairs ? nil : loss.beta * divergence)
      }
    }
    return PreferenceEvaluation(
      loss: sum / Double(data.exampleCount), margin: tally.margin,
      accuracy: Double(tally.right) / Double(data.exampleCount), examples: data.exampleCount)
  }
}

/// Rewards of completions so far.
private struct RewardTally {
  private var chosen = (sum: 0.0, count: 0)
  private var rejected = (sum: 0.0, count: 0)
  private(set) var right = 0

  var margin: Double {
    chosen.sum / Double(max(1, chosen.count)) - rejected.sum / Double(max(1, rejected.count))
  }

  mutating func add(_ chosen: [Double], _ rejected: [Double], threshold: Double?) {
    self.chosen.sum += chosen.reduce(0, +)
    self.chosen.count += chosen.count
    self.rejected.sum += rejected.reduce(0, +)
    self.rejected.count += rejected.count
    if let threshold {
      right += chosen.count { $0 > threshold } + rejected.count { $0 < threshold }
    } else {
      right += zip(chosen, rejected).count { $0 > $1 }
    }
  }
}
