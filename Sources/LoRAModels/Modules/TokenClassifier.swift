public import LoRAAutograd
public import LoRATensor

/// A module that tells labels of each token apart: names of people and places, parts of speech.
///
/// The logits are `[batch, positions, labels]`; those of padding mean nothing.
public protocol TokenClassifier: Classifier {}

extension TokenClassifier {
  /// The logits of each token's labels, `[batch, positions, labels]`.
  public func callAsFunction(_ batch: TokenBatch) -> Variable {
    logits(of: hiddenStates(batch), batch)
  }

  /// `scale` times the sum of the cross-entropies of `labels`, int64 `[batch, positions]`, numbers of
  /// labels; negative ones are ignored.
  public func loss(_ batch: TokenBatch, labels: Tensor, scale: Float) -> Variable {
    loss(of: self(batch), labels: labels, scale: scale)
  }

  /// The same of logits that are known.
  package func loss(of logits: Variable, labels: Tensor, scale: Float) -> Variable {
    let count = labels.shape.elementCount
    return logits.reshaped(to: [count, logits.shape.innermost])
      .crossEntropy(targets: labels.reshaped(to: [count]), reduction: .sum).scaled(by: scale)
  }
}
