import LoRAAutograd
public import LoRAModels
import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The evaluation of a model on a data set: the mean loss.
public struct Evaluation: Sendable, Hashable, Codable {
  /// The mean negative log-likelihood of the targets that are not ignored, natural logarithm.
  public let nll: Double
  /// The number of targets that are not ignored.
  public let tokens: Int

  /// Creates an evaluation.
  package init(nll: Double, tokens: Int) {
    self.nll = nll
    self.tokens = tokens
  }

  /// The perplexity, `exp(nll)`.
  public var perplexity: Double { exp(nll) }
}

extension Evaluation: CustomStringConvertible {
  /// Loss, perplexity and the number of targets.
  public var description: String {
    "NLL \(rounded(nll)), perplexity \(rounded(perplexity)) over \(tokens) token\(tokens == 1 ? "" : "s")"
  }
}

/// A number with four decimals at most, as people read it.
func rounded(_ number: Double) -> Double {
  abs(number) < 1e9 ? (number * 1e4).rounded() / 1e4 : number
}

extension LanguageModel {
  /// The mean loss over `data`, with the adapters that apply here; see
  /// `Module.withAdapters(_:_:)`.
  ///
  /// Records no gradients and applies no dropout. Throws ``TrainingError`` for examples that the
  /// model can't read, `NonFiniteOutput` for losses that are not finite, and `CancellationError`
  /// between batches if the task is cancelled.
  public func evaluate(on data: TokenDataSet, batchSize: Int = 8) throws -> Evaluation {
    guard batchSize >= 1 else {
      throw TrainingError.invalidOption(
        name: "the batch size", value: "\(batchSize)", expected: "at least 1")
    }
    try data.check(for: self)
    var data = data
    data.isPacked = false
    let order = BatchOrder(exampleCount: data.exampleCount, batchSize: batchSize, seed: nil)
    let examples = order.examples(ofEpoch: 0)
    var sum = 0.0
    for step in 0..<order.stepsPerEpoch {
      try Task.checkCancellation()
      for part in order.batches(ofStep: step, in: examples) {
        let batch = data.batch(of: part)
        sum += try tokenLosses(tokens: batch.tokens, targets: batch.targets).sum()
      }
    }
    return Evaluation(nll: sum / Double(data.targetCount), tokens: data.targetCount)
  }
}
