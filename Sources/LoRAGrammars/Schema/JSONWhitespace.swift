/// The blanks that may stand in a constrained JSON text. They are bounded everywhere, so that a
/// model cannot fill its limit of tokens with them.
public enum JSONWhitespace: Sendable, Hashable, CaseIterable {
  /// None: `{"a":1,"b":[2,3]}`.
  case compact
  /// At most one space behind each comma and colon: `{"a": 1, "b": [2, 3]}`.
  case spaced
  /// Also one space, or a line break and up to 40 spaces, behind a comma or an opening bracket and
  /// before a closing one.
  case indented

  /// The most spaces behind a line break.
  static let mostIndentation = 40
}
