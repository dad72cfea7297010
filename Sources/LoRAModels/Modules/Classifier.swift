public import LoRAAutograd

/// A module that makes logits of labels: of each sequence (``SequenceClassifier``), or of each of its
/// tokens (``TokenClassifier``).
public protocol Classifier: TokenModel {
  /// What the logits stand for, in their order.
  var labels: [String] { get }
  /// The logits of labels, from the hidden states of a batch.
  func logits(of hidden: Variable, _ batch: TokenBatch) -> Variable
}
