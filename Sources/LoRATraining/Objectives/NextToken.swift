public import LoRAAutograd
public import LoRAModels

/// The cross-entropy of each token given the tokens before it, the training objective of language
/// models and the default of a ``Trainer`` for one.
public struct NextToken: Objective, Hashable {
  /// Creates the objective.
  public init() {}

  /// The name.
  public var identifier: String { "NextToken" }

  /// `scale` times the sum of the cross-entropies of the batch's targets. Behind a prompt of virtual
  /// tokens the mean is also over the examples' first tokens, which the last of these predicts, as in
  /// PEFT.
  public func loss(
    _ model: any LanguageModel, _ batch: TokenDataSet.Batch, scale: Float
  ) -> Variable {
    model.promptedLoss(tokens: batch.tokens, targets: batch.targets, scale: scale)
      ?? model.loss(tokens: batch.tokens, targets: batch.targets, scale: scale)
  }

  /// The workload of a model whose layers are known, with the data's longest examples; nil for
  /// other models.
  public func workload(
    _ model: any LanguageModel, training target: TrainingTarget, on data: TokenDataSet,
    batchSize: Int
  ) -> TrainingWorkload? {
    guard let model = model as? any PretrainedTokenModel else { return nil }
    let multiple = max(1, data.paddingMultiple)
    if let start = model.targetStart {
      // Sources and targets are padded apart.
      let (source, written) = data.longestParts(start: start)
      var workload = TrainingWorkload(
        model, training: target, batchSize: min(batchSize, data.exampleCount),
        length: source + written)
      workload.sourceLength = source
      return workload
    }
    return TrainingWorkload(
      model, training: target, batchSize: min(batchSize, data.exampleCount),
      length: (data.longestExample + multiple - 1) / multiple * multiple)
  }
}

extension NextToken: TestedObjective {}
