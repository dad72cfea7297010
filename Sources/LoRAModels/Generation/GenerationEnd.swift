/// Why a generation ended.
public enum GenerationEnd: Sendable, Hashable {
  /// The model chose a token that ends it.
  case stopToken(Int)
  /// The text came to a string that ends it.
  case stopString(String)
  /// The most tokens were generated, or the model's last position was reached.
  case length
}
