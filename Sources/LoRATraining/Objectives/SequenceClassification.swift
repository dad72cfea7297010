public import LoRAAutograd
public import LoRAModels
import LoRATensor

/// The cross-entropy of each sequence's label, the training objective of classifiers.
public struct SequenceClassification: Objective, Hashable {
  /// Creates the objective.
  public init() {}

  /// The name.
  public var identifier: String { "SequenceClassification" }

  /// `scale` times the sum of the cross-entropies of the batch's labels.
  public func loss(
    _ model: any SequenceClassifier, _ batch: LabelledDataSet.Batch, scale: Float
  ) -> Variable {
    model.loss(batch.tokens, labels: batch.labels, scale: scale)
  }

  /// Throws for labels, tokens and types that the model can't read.
  public func check(_ model: any SequenceClassifier, on data: LabelledDataSet) throws {
    try data.check(for: model)
  }

  /// The workload of a model whose layers are known, with the longest examples; nil for other
  /// models.
  public func workload(
    _ model: any SequenceClassifier, training target: TrainingTarget, on data: LabelledDataSet,
    batchSize: Int
  ) -> TrainingWorkload? {
    guard let model = model as? any PretrainedTokenModel else { return nil }
    return TrainingWorkload(
      model, training: target, batchSize: min(batchSize, data.exampleCount),
      length: data.longestExample)
  }
}

extension SequenceClassification: TestedObjective {}

/// The evaluation of a classifier on a data set: loss and accuracy.
public struct LabelEvaluation: Sendable, Hashable, Codable {
  /// The mean cross-entropy of the labels, natural logarithm.
  public let loss: Double
  /// The accuracy: the share of sequences whose label has the largest logit.
  public let accuracy: Double
  /// The number of sequences.
  public let count: Int
}

extension SequenceClassifier {
  /// The mean loss and the accuracy over `data`, with the adapters that apply here; see
  /// `Module.withAdapters(_:_:)`.
  ///
  /// Records no gradients and applies no dropout. Throws as ``LabelledDataSet/check(for:)`` does,
  /// `NonFiniteOutput` for losses that are not finite, and `CancellationError` between batches if the
  /// task is cancelled.
  public func evaluate(
    on data: LabelledDataSet, batchSize: Int = 8
  ) throws -> LabelEvaluation {
    guard batchSize >= 1 else {
      throw TrainingError.invalidOption(
        name: "the batch size", value: "\(batchSize)", expected: "at least 1")
    }
    try data.check(for: self)
    var (sum, right) = (0.0, 0)
    for start in stride(from: 0, to: data.exampleCount, by: batchSize) {
      try Task.checkCancellation()
      let indexes = Array(start..<min(start + batchSize, data.exampleCount))
      let batch = data.batch(of: indexes)
      let logits = withoutGradients { self(batch.tokens).value }
      let loss = withoutGradients {
        Variable(logits).crossEntropy(targets: batch.labels, reduction: .sum).value.item()
      }
      guard loss.isFinite else { throw NonFiniteOutput(of: self, batch.tokens) }
      sum += Double(loss)
      for (index, label) in batch.labels.scalars(as: Int64.self).enumerated() {
        let row = logits[row: index].scalars(as: Float.self)
        if row.firstIndex(of: row.max() ?? 0) == Int(label) { right += 1 }
      }
    }
    let count = data.exampleCount
    return LabelEvaluation(
      loss: sum / Double(count), accuracy: Double(right) / Double(count), count: count)
  }
}
