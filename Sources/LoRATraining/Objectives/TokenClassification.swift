public import LoRAAutograd
public import LoRAModels

/// The cross-entropy of each labelled token, the training objective of classifiers of tokens.
public struct TokenClassification: Objective, Hashable {
  /// Creates the objective.
  public init() {}

  /// The name.
  public var identifier: String { "TokenClassification" }

  /// `scale` times the sum of the cross-entropies of the batch's labelled tokens.
  public func loss(
    _ model: any TokenClassifier, _ batch: TaggedDataSet.Batch, scale: Float
  ) -> Variable {
    model.loss(batch.tokens, labels: batch.labels, scale: scale)
  }

  /// Throws for labels and tokens that the model can't read.
  public func check(_ model: any TokenClassifier, on data: TaggedDataSet) throws {
    try data.check(for: model)
  }

  /// The workload of a model whose layers are known, with the longest examples; nil for other
  /// models.
  public func workload(
    _ model: any TokenClassifier, training target: TrainingTarget, on data: TaggedDataSet,
    batchSize: Int
  ) -> TrainingWorkload? {
    guard let model = model as? any PretrainedTokenModel else { return nil }
    return TrainingWorkload(
      model, training: target, batchSize: min(batchSize, data.exampleCount),
      length: data.longestExample)
  }
}

extension TokenClassification: TestedObjective {}
