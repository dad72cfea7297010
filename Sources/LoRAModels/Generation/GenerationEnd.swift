/// Why a generation ended.
public enum GenerationEnd: Sendable, Hashable {
  /// The model chose a token that ends it.
  case stopToken(Int)
  /// The text came to a string that ends it.
  case stopString(String)
  /// The text is all that its constraint allows.
  case complete
  /// The most tokens were generated, or the model's last position was reached.
  case length
  /// The constraint asks for more, and no token of the vocabulary goes on: the vocabulary lacks single
  /// bytes, or is not the model's.
  case noAllowedToken
}
