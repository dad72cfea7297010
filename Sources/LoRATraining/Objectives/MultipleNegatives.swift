public import LoRAAutograd
public import LoRAModels
import LoRATensor

/// The contrastive objective of sentence encoders: each pair's second text is to be told from those of the
/// other pairs of the batch.
///
/// The loss of a pair is the cross-entropy of its second text under the softmax of `scale` times the inner
/// products of the vectors, cosines where the encoder normalizes. Pairs of the same group are left out of
/// each other's sum: they are no negatives. More pairs a batch make a harder task.
///
/// Source: Henderson et al., *Efficient natural language response suggestion for Smart Reply*, 2017;
/// `MultipleNegativesRankingLoss` of sentence-transformers, whose scale is 20 too.
public struct MultipleNegatives: Objective, Hashable {
  /// What inner products are multiplied by.
  public var scale: Float

  /// Creates the objective.
  public init(scale: Float = 20) { self.scale = scale }

  /// `scale` times the sum of the cross-entropies of the batch's pairs.
  public func loss(
    _ encoder: SentenceEncoder, _ batch: PairDataSet.Batch, scale factor: Float
  ) -> Variable {
    let vectors = encoder(batch.tokens)
    let count = batch.groups.count
    let scores = vectors.sliced(axis: 0, 0..<count)
      .linear(weight: vectors.sliced(axis: 0, count..<2 * count)).scaled(by: scale)
    var mask = Array(repeating: Float(0), count: count * count)
    for (row, group) in batch.groups.enumerated() where group != nil {
      for (column, other) in batch.groups.enumerated() where column != row && other == group {
        // Below every score, and finite.
        mask[row * count + column] = -1e9
      }
    }
    let targets = Tensor((0..<Int64(count)).map { $0 }, shape: [count])
    return (scores + Variable(Tensor(mask, shape: [count, count])))
      .crossEntropy(targets: targets, reduction: .sum).scaled(by: factor)
  }

  /// Throws for tokens that the model can't read.
  public func check(_ encoder: SentenceEncoder, on data: PairDataSet) throws {
    try encoder.model.validate(data.examples.flatMap { [$0.first, $0.second] })
  }

  /// The workload of a model whose layers are known, with the longest sequences; nil for other models.
  public func workload(
    _ encoder: SentenceEncoder, training target: TrainingTarget, on data: PairDataSet,
    batchSize: Int
  ) -> TrainingWorkload? {
    guard let model = encoder.model as? any PretrainedTokenModel else { return nil }
    return TrainingWorkload(
      model, training: target, batchSize: 2 * min(batchSize, data.exampleCount),
      length: data.longestSequence)
  }
}

extension MultipleNegatives: TestedObjective {}
