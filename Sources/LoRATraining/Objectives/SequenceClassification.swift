public import LoRAAutograd
public import LoRAModels
import LoRATensor

/// The cross-entropy of each sequence's label, the training objective of classifiers; of a model that
/// gives a sequence several, the binary cross-entropy of each label, its mean over the labels.
public struct SequenceClassification: Objective, Hashable {
  /// Creates the objective.
  public init() {}

  /// The name.
  public var identifier: String { "SequenceClassification" }

  /// `scale` times the sum of the cross-entropies of the batch's sequences.
  public func loss(
    _ model: any SequenceClassifier, _ batch: LabelledDataSet.Batch, scale: Float
  ) -> Variable {
    Self.loss(of: model(batch.tokens), model, batch, scale: scale)
  }

  /// The same of logits that are known.
  static func loss(
    of logits: Variable, _ model: any SequenceClassifier, _ batch: LabelledDataSet.Batch,
    scale: Float
  ) -> Variable {
    guard model.isMultiLabel else {
      return logits.crossEntropy(targets: batch.labels, reduction: .sum).scaled(by: scale)
    }
    let count = model.labels.count
    var targets = Array(repeating: Float(0), count: batch.labelSets.count * count)
    for (index, labels) in batch.labelSets.enumerated() {
      for label in labels { targets[index * count + label] = 1 }
    }
    return logits.binaryCrossEntropy(
      targets: Tensor(targets, shape: [batch.labelSets.count, count]), reduction: .sum
    ).scaled(by: scale / Float(count))
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
