public import LoRAAutograd
public import LoRATensor

/// A module that tells labels of a sequence apart.
///
/// The logits are `[batch, labels]`, from the hidden states of each batch item's one sequence.
public protocol SequenceClassifier: Classifier {
  /// Whether a sequence may have several labels, or none, each decided by itself; false by default.
  var isMultiLabel: Bool { get }
}

extension SequenceClassifier {
  /// One label a sequence.
  public var isMultiLabel: Bool { false }

  /// The logits of each batch item's labels, `[batch, labels]`. Traps for a batch that packs several
  /// sequences into an item.
  public func callAsFunction(_ batch: TokenBatch) -> Variable {
    if case .packed = batch.sequences {
      misuse("classifying a batch of packed sequences; an item holds one")
    }
    return logits(of: hiddenStates(batch), batch)
  }

  /// `scale` times the sum of the cross-entropies of `labels`, int64 `[batch]`, numbers of labels;
  /// negative ones are ignored.
  public func loss(_ batch: TokenBatch, labels: Tensor, scale: Float) -> Variable {
    self(batch).crossEntropy(targets: labels, reduction: .sum).scaled(by: scale)
  }
}
