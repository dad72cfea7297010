public import LoRAAutograd
public import LoRAModels
import LoRATensor

/// The cross-entropy of each token given the tokens before it, the training objective of language
/// models and the default of a ``Trainer`` for one.
public struct NextToken: Objective, Hashable {
  /// Creates the objective.
  public init() {}

  /// The name.
  public var identifier: String { "NextToken" }

  /// `scale` times the weighted sum of the cross-entropies of the batch's targets. Behind a prompt of
  /// virtual tokens the mean is also over the examples' first tokens, which the last of these predicts, as
  /// in PEFT.
  public func loss(
    _ model: any LanguageModel, _ batch: TokenDataSet.Batch, scale: Float
  ) -> Variable {
    if let loss = model.promptedLoss(tokens: batch.tokens, targets: batch.targets, scale: scale) {
      return loss
    }
    let hidden = batch.hiddenStates(of: model)
    return batch.sum { model.loss(hidden, targets: $0, scale: scale * $1) }
  }

  /// Throws ``TrainingError`` for examples that the model can't read, and where packed sequences or
  /// weights are more than it can do.
  public func check(_ model: any LanguageModel, on data: TokenDataSet) throws {
    try data.check(for: model)
    let isPrompted = (model as? any VirtualTokenModel).map { $0.promptCount > 0 } ?? false
    guard data.isPacked || !data.weights.isEmpty else { return }
    guard model is any OneStackTransformer, !isPrompted else {
      throw TrainingError.invalidOption(
        name: data.isPacked ? "packing" : "weights of messages",
        value: isPrompted ? "with virtual tokens" : "with \(type(of: model))",
        expected: "a decoder of this library without prompt tuning; "
          + (data.isPacked ? "pad the examples instead" : "give weights of 0 and 1"))
    }
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
    func padded(_ length: Int) -> Int { (length + multiple - 1) / multiple * multiple }
    if data.isPacked {
      return TrainingWorkload(
        model, training: target, batchSize: 1,
        length: padded(data.longestExamples(batchSize).reduce(0, +)))
    }
    return TrainingWorkload(
      model, training: target, batchSize: min(batchSize, data.exampleCount),
      length: padded(data.longestExample))
  }
}

extension NextToken: TestedObjective {}

extension TokenDataSet.Batch {
  /// The hidden states of its tokens.
  func hiddenStates(of model: any LanguageModel) -> Variable {
    TokenBatch(self).map(model.hiddenStates) ?? model.hiddenStates(tokens, predicting: targets)
  }

  /// The sum of what `loss` gives for the targets of each weight. Weights are few: targets of one weight are
  /// one sum.
  func sum(_ loss: (_ targets: Tensor, _ weight: Float) -> Variable) -> Variable {
    guard let weights else { return loss(targets, 1) }
    let losses = targets.parts(by: weights).map { loss($0.targets, $0.weight) }
    return losses.dropFirst().reduce(losses[0]) { $0 + $1 }
  }
}

extension TokenBatch {
  /// The tokens of a batch whose examples are packed; nil where each is an item.
  fileprivate init?(_ batch: TokenDataSet.Batch) {
    guard let lengths = batch.packedLengths else { return nil }
    self.init(batch.tokens, packed: [lengths])
  }
}

extension Tensor {
  /// The targets of each weight that occurs, all others ignored.
  fileprivate func parts(by weights: Tensor) -> [(weight: Float, targets: Tensor)] {
    let (targets, weights) = (scalars(as: Int64.self), weights.scalars(as: Float.self))
    let counted = zip(targets, weights).filter { $0.0 >= 0 }.map(\.1)
    let all = Set(counted).sorted()
    return (all.isEmpty ? [1] : all).map { weight in
      let part = zip(targets, weights).map {
        $1 == weight ? $0 : Int64(TrainingExample.ignored)
      }
      return (weight, Tensor(part, shape: shape))
    }
  }
}
