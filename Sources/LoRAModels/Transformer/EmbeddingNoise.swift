import LoRAAutograd
package import LoRATensor

/// Noise on the vectors of tokens, which belongs to a training step as dropout does (NEFTune).
///
/// A sequence of L tokens and vectors of size d has noise that is uniform within `alpha / sqrt(L d)`.
/// L is the sequence's own length: transformers takes the padded length of the batch, which makes an
/// example's noise depend on its neighbours; the paper's program has it as here. The noise is added to
/// what enters the first block but for positions, types and virtual tokens, behind a model's scale of
/// embeddings.
///
/// Source: Jain et al., *NEFTune: noisy embeddings improve instruction finetuning*, 2023.
package struct EmbeddingNoise: Sendable {
  @TaskLocal static var current: EmbeddingNoise?

  let alpha: Double
  let seed: UInt64
  let step: UInt64
  /// The examples of the batch, by their numbers.
  let examples: [Int]
  /// The number of tokens of each, where a batch has a row of whole length for each.
  let lengths: [Int]

  package init(
    alpha: Double, seed: UInt64, step: UInt64, examples: [Int], lengths: [Int]
  ) {
    self.alpha = alpha
    self.seed = seed
    self.step = step
    self.examples = examples
    self.lengths = lengths
  }

  /// Runs `body` with noise on embeddings; without any where alpha is 0.
  ///
  /// - Parameters:
  ///   - alpha: the strength.
  ///   - seed: the seed of the draws.
  ///   - step: the number of the batch in the run.
  ///   - examples: the numbers of the batch's examples, in order. A batch of k rows an example has all
  ///     first rows before all second ones.
  ///   - lengths: the number of tokens of each example.
  ///   - body: the computation of a loss.
  package static func during<R>(
    alpha: Double, seed: UInt64, step: UInt64, examples: [Int], lengths: [Int],
    _ body: () throws -> R
  ) rethrows -> R {
    guard alpha > 0 else { return try body() }
    return try $current.withValue(
      EmbeddingNoise(alpha: alpha, seed: seed, step: step, examples: examples, lengths: lengths),
      operation: body)
  }

  /// Runs `body` without noise, as within a step what is compared with.
  package static func suspended<R>(_ body: () throws -> R) rethrows -> R {
    try $current.withValue(nil, operation: body)
  }

  /// The noise for a batch's vectors, `[B, T, d]`; zero on padding.
  package func noise(for batch: TokenBatch, size: Int) -> Tensor {
    let (rows, positions) = (batch.tokens.shape[0], batch.tokens.shape[1])
    var parts: [Tensor] = []
    for row in 0..<rows {
      let example = examples.isEmpty ? row : examples[row % examples.count]
      let part = examples.isEmpty ? 0 : row / examples.count
      var random = SeededRandom(seed: seed, path: "neftune/\(step)/\(example)/\(part)")
      var count = 0
      for length in sequences(of: batch, row: row) where length > 0 {
        let bound = Float(alpha / Double(length * size).squareRoot())
        parts.append(random.uniform([length, size], in: -bound..<bound))
        count += length
      }
      if count < positions { parts.append(.zeros([positions - count, size])) }
    }
    return Tensor.concatenated(parts).reshaped(to: [rows, positions, size])
  }

  private func sequences(of batch: TokenBatch, row: Int) -> [Int] {
    let positions = batch.tokens.shape[1]
    // Without a mask, padding on the right is read as tokens, and only the data know where it begins.
    if case .whole = batch.sequences, lengths.count == batch.tokens.shape[0] {
      return [min(lengths[row], positions)]
    }
    return batch.sequenceLengths[row]
  }
}
