import LoRAAutograd
public import LoRAModels
import LoRATensor

/// The evaluation of a classifier of tokens on a data set: loss, accuracy and, where the labels mark
/// entities, how many of these it finds.
public struct TagEvaluation: Sendable, Hashable, Codable {
  /// The mean loss of the labelled tokens, as ``TokenClassification`` has it; natural logarithm.
  public let loss: Double
  /// The accuracy: the share of labelled tokens with the right label.
  public let accuracy: Double
  /// The number of labelled tokens.
  public let count: Int
  /// How many entities are found; nil where the labels mark none, see ``EntityTags``.
  public let entities: EntityScores?
}

extension TokenClassifier {
  /// What the model makes of each token of each sequence, in their order, with the adapters that apply here;
  /// see `Module.withAdapters(_:_:)`.
  ///
  /// Sequences of similar length are computed together, which changes a result by no more than rounding.
  /// Throws `SequenceError` for tokens that the model can't read, `NonFiniteOutput`, and
  /// `CancellationError` between batches if the task is cancelled.
  ///
  /// - Parameters:
  ///   - sequences: the ids of each, special tokens included.
  ///   - batchSize: the number of sequences that are computed together.
  ///   - onBatch: called after each batch with the number of sequences that are done.
  public func classify(
    _ sequences: [[Int]], batchSize: Int = 32, onBatch: (_ done: Int) -> Void = { _ in }
  ) throws -> [[Classification]] {
    try validate(sequences)
    var result: [[Classification]] = Array(repeating: [], count: sequences.count)
    var done = 0
    try forEachBatch(ofLengths: sequences.map(\.count), batchSize: batchSize) { indexes in
      TokenBatch(sequences: indexes.map { sequences[$0] })
    } _: { indexes, logits in
      let table = TokenLogits(logits)
      for (item, index) in indexes.enumerated() {
        result[index] = sequences[index].indices.map { table[item, $0] }
      }
      done += indexes.count
      onBatch(done)
    }
    return result
  }

  /// The mean loss, the accuracy and the scores of entities over `data`, with the adapters that apply here;
  /// see `Module.withAdapters(_:_:)`.
  ///
  /// Records no gradients and applies no dropout. Sequences of similar length are computed together.
  /// Throws as ``TaggedDataSet/check(for:)`` does, `NonFiniteOutput` for losses that are not finite, and
  /// `CancellationError` between batches if the task is cancelled.
  public func evaluate(
    on data: TaggedDataSet, batchSize: Int = 32
  ) throws -> TagEvaluation {
    try data.check(for: self)
    var (sum, right, count) = (0.0, 0, 0)
    let tags = EntityTags(labels)
    var counts = EntityScores.Counts()
    try forEachBatch(ofLengths: data.examples.map(\.tokens.count), batchSize: batchSize) {
      data.batch(of: $0).tokens
    } _: { indexes, logits in
      let batch = data.batch(of: indexes)
      let loss = withoutGradients {
        self.loss(of: logits, labels: batch.labels, scale: 1).value.item()
      }
      guard loss.isFinite else { throw NonFiniteOutput(of: self, batch.tokens) }
      sum += Double(loss)
      let table = TokenLogits(logits)
      for (item, index) in indexes.enumerated() {
        let labels = data.examples[index].labels
        let places = labels.indices.filter { labels[$0] != TaggedDataSet.ignored }
        let (found, wanted) = (
          places.map { table[item, $0].labels.first ?? 0 }, places.map { labels[$0] }
        )
        right += zip(found, wanted).count { $0 == $1 }
        count += places.count
        if let tags {
          counts.add(found: tags.entities(in: found), wanted: tags.entities(in: wanted))
        }
      }
    }
    return TagEvaluation(
      loss: sum / Double(count), accuracy: Double(right) / Double(count), count: count,
      entities: tags == nil ? nil : EntityScores(counts))
  }
}

/// The logits of a batch's tokens, `[items, positions, labels]`.
private struct TokenLogits {
  private let numbers: [Float]
  private let positions: Int
  private let labels: Int

  init(_ logits: Variable) {
    numbers = logits.value.scalars(as: Float.self)
    (positions, labels) = (logits.shape[1], logits.shape[2])
  }

  subscript(item: Int, position: Int) -> Classification {
    let start = (item * positions + position) * labels
    return Classification(logits: Array(numbers[start..<start + labels]), isMultiLabel: false)
  }
}
