import LoRAAutograd
public import LoRAModels
import LoRATensor

/// The evaluation of a classifier on a data set: loss and accuracy.
public struct LabelEvaluation: Sendable, Hashable, Codable {
  /// The mean loss of the sequences, as ``SequenceClassification`` has it; natural logarithm.
  public let loss: Double
  /// The accuracy: the share of sequences with the right label, or with just the right labels.
  public let accuracy: Double
  /// The number of sequences.
  public let count: Int
  /// Of a model that gives a sequence several labels, the F1 of all labels counted together (micro); nil
  /// of others, whose accuracy it would be.
  public let f1: Double?
}

extension SequenceClassifier {
  /// What the model makes of each sequence, in their order, with the adapters that apply here; see
  /// `Module.withAdapters(_:_:)`.
  ///
  /// Sequences of similar length are computed together, which changes a result by no more than rounding.
  /// Throws `SequenceError` for tokens and types that the model can't read, `NonFiniteOutput`, and
  /// `CancellationError` between batches if the task is cancelled.
  ///
  /// - Parameters:
  ///   - sequences: the ids of each, special tokens included.
  ///   - types: the types of each sequence's tokens; nil: all are 0.
  ///   - batchSize: the number of sequences that are computed together.
  ///   - onBatch: called after each batch with the number of sequences that are done.
  public func classify(
    _ sequences: [[Int]], types: [[Int]]? = nil, batchSize: Int = 32,
    onBatch: (_ done: Int) -> Void = { _ in }
  ) throws -> [Classification] {
    var result: [Classification?] = Array(repeating: nil, count: sequences.count)
    var done = 0
    try forEachBatch(ofLengths: sequences.map(\.count), batchSize: batchSize) { indexes in
      let batch = TokenBatch(
        sequences: indexes.map { sequences[$0] },
        types: types.map { types in indexes.map { types[$0] } })
      try validate(batch)
      return batch
    } _: { indexes, logits in
      for (row, index) in indexes.enumerated() {
        result[index] = Classification(
          logits: logits.value[row: row].scalars(as: Float.self), isMultiLabel: isMultiLabel)
      }
      done += indexes.count
      onBatch(done)
    }
    return result.compactMap(\.self)
  }

  /// The mean loss and the accuracy over `data`, with the adapters that apply here; see
  /// `Module.withAdapters(_:_:)`.
  ///
  /// Records no gradients and applies no dropout. Sequences of similar length are computed together.
  /// Throws as ``LabelledDataSet/check(for:)`` does, `NonFiniteOutput` for losses that are not finite, and
  /// `CancellationError` between batches if the task is cancelled.
  public func evaluate(
    on data: LabelledDataSet, batchSize: Int = 32
  ) throws -> LabelEvaluation {
    try data.check(for: self)
    var (sum, right) = (0.0, 0)
    var (common, given, wanted) = (0, 0, 0)
    try forEachBatch(ofLengths: data.examples.map(\.tokens.count), batchSize: batchSize) {
      data.batch(of: $0).tokens
    } _: { indexes, logits in
      let batch = data.batch(of: indexes)
      let loss = withoutGradients {
        SequenceClassification.loss(of: logits, self, batch, scale: 1).value.item()
      }
      guard loss.isFinite else { throw NonFiniteOutput(of: self, batch.tokens) }
      sum += Double(loss)
      for (row, labels) in batch.labelSets.enumerated() {
        let found = Classification(
          logits: logits.value[row: row].scalars(as: Float.self), isMultiLabel: isMultiLabel
        ).labels
        if Set(found) == Set(labels) { right += 1 }
        common += Set(found).intersection(labels).count
        given += found.count
        wanted += labels.count
      }
    }
    let count = data.exampleCount
    return LabelEvaluation(
      loss: sum / Double(count), accuracy: Double(right) / Double(count), count: count,
      f1: isMultiLabel
        ? (given + wanted == 0 ? 1 : 2 * Double(common) / Double(given + wanted)) : nil)
  }
}
