/// Why an output cannot be constrained as asked: the place in the schema or the pattern, what was
/// expected there, what was found, and what to do.
public struct ConstraintError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kind of error.
  public enum Kind: Sendable, Hashable {
    /// The schema, the pattern or the choices are not what they should be.
    case malformed
    /// The schema or the pattern asks for something that cannot be guaranteed. Nothing is left out
    /// silently: the text would then not be what the schema says.
    case unsupported
    /// No text fulfils the constraint.
    case unsatisfiable
    /// The constraint needs more memory or time than is allowed.
    case tooLarge
    /// A token was chosen that the constraint does not allow, or none of the vocabulary goes on.
    case notAllowed
  }

  /// The kind of error.
  public var kind: Kind
  /// The place: a JSON pointer into the schema ("#/properties/name/pattern"), "pattern", "choices"
  /// or "token".
  public var place: String
  /// What was expected there.
  public var expected: String
  /// What was found there.
  public var found: String
  /// What to do about it.
  public var advice: String

  package init(
    _ kind: Kind, place: String, expected: String, found: String, advice: String
  ) {
    self.kind = kind
    self.place = place
    self.expected = expected
    self.found = found
    self.advice = advice
  }

  /// All parts in one line.
  public var description: String {
    "\(place): expected \(expected), found \(found); \(advice)"
  }
}
