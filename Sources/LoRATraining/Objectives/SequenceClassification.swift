public import LoRAAutograd
public import LoRAModels
import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

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
  fileprivate static func loss(
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

/// What a classifier makes of a sequence.
public struct Classification: Sendable, Hashable {
  /// The logits of the labels, in their order.
  public let logits: [Float]
  /// The probability of each label: the softmax, or the sigmoid where a sequence may have several.
  public let probabilities: [Double]
  /// The numbers of the labels that are given: the likeliest, the first of equal ones; or all above a
  /// half where a sequence may have several.
  public let labels: [Int]

  init(logits: [Float], isMultiLabel: Bool) {
    self.logits = logits
    guard !isMultiLabel else {
      probabilities = logits.map { 1 / (1 + exp(-Double($0))) }
      labels = logits.indices.filter { logits[$0] > 0 }
      return
    }
    let greatest = logits.max() ?? 0
    let exponentials = logits.map { exp(Double($0 - greatest)) }
    let sum = exponentials.reduce(0, +)
    probabilities = exponentials.map { $0 / sum }
    labels = logits.firstIndex(of: greatest).map { [$0] } ?? []
  }
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
    try Self.check(batchSize)
    var result: [Classification?] = Array(repeating: nil, count: sequences.count)
    var done = 0
    for indexes in TokenBatch.byLength(sequences.map(\.count), batchSize: batchSize) {
      try Task.checkCancellation()
      let batch = TokenBatch(
        sequences: indexes.map { sequences[$0] },
        types: types.map { types in indexes.map { types[$0] } })
      try validate(batch)
      let logits = withoutGradients { self(batch).value }
      guard logits.firstNonFiniteIndex() == nil else { throw NonFiniteOutput(of: self, batch) }
      for (row, index) in indexes.enumerated() {
        result[index] = Classification(
          logits: logits[row: row].scalars(as: Float.self), isMultiLabel: isMultiLabel)
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
    try Self.check(batchSize)
    try data.check(for: self)
    var (sum, right) = (0.0, 0)
    var (common, given, wanted) = (0, 0, 0)
    for indexes in TokenBatch.byLength(data.examples.map(\.tokens.count), batchSize: batchSize) {
      try Task.checkCancellation()
      let batch = data.batch(of: indexes)
      let logits = withoutGradients { self(batch.tokens) }
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

  private static func check(_ batchSize: Int) throws(TrainingError) {
    guard batchSize >= 1 else {
      throw .invalidOption(name: "the batch size", value: "\(batchSize)", expected: "at least 1")
    }
  }
}
