import LoRAAutograd
import LoRAModels
import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a classifier makes of a sequence, or of a token.
public struct Classification: Sendable, Hashable {
  /// The logits of the labels, in their order.
  public let logits: [Float]
  /// The probability of each label: the softmax, or the sigmoid where there may be several.
  public let probabilities: [Double]
  /// The numbers of the labels that are given: the likeliest, the first of equal ones; or all above a
  /// half where there may be several.
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

extension Classifier {
  /// Computes the logits of sequences of these lengths, similar ones together, and calls `body` with those of
  /// each batch. Records no gradients and applies no dropout.
  ///
  /// Throws what `batch` and `body` throw, `NonFiniteOutput`, ``TrainingError`` for a batch size that is
  /// none, and `CancellationError` between batches if the task is cancelled.
  ///
  /// - Parameters:
  ///   - lengths: the number of tokens of each sequence.
  ///   - batchSize: the number of sequences that are computed together.
  ///   - batch: makes the batch of some sequences.
  ///   - body: gets the indexes of a batch's sequences and their logits.
  func forEachBatch(
    ofLengths lengths: [Int], batchSize: Int, _ batch: (_ indexes: [Int]) throws -> TokenBatch,
    _ body: (_ indexes: [Int], _ logits: Variable) throws -> Void
  ) throws {
    guard batchSize >= 1 else {
      throw TrainingError.invalidOption(
        name: "the batch size", value: "\(batchSize)", expected: "at least 1")
    }
    for indexes in TokenBatch.byLength(lengths, batchSize: batchSize) {
      try Task.checkCancellation()
      let batch = try batch(indexes)
      let logits = withoutGradients { self.logits(of: hiddenStates(batch), batch) }
      guard logits.value.firstNonFiniteIndex() == nil else {
        throw NonFiniteOutput(of: self, batch)
      }
      try body(indexes, logits)
    }
  }
}
