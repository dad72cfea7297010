/// Whether a training step keeps the activations of a model's blocks or computes them again.
public enum Checkpointing: String, Sendable, Hashable, Codable, CaseIterable {
  /// They are computed again if the run would not fit the memory otherwise. Models whose memory
  /// can't be predicted, and losses of one's own, keep them.
  case automatic
  /// They are computed again: one more forward pass, far less memory.
  case always
  /// They are kept.
  case never
}
