/// An error in reading or training a tokenizer: the file and the place in it, what was expected,
/// what was found, and what to do.
public struct TokenizerError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kind of error.
  public enum Kind: Sendable, Hashable {
    /// A file is missing or cannot be read.
    case unreadable
    /// A file is not what its format requires.
    case malformed
    /// The file requires a component or an option that this library does not support. Nothing is
    /// skipped: a tokenizer without one of its steps would give different ids.
    case unsupported
    /// The parts of the file, or an argument, contradict each other.
    case inconsistent
  }

  /// The kind of error.
  public var kind: Kind
  /// The file; empty if the error is not in a file.
  public var file: String
  /// The place in the file, as a path of keys ("pre_tokenizer.pretokenizers[0]"); empty for the
  /// whole file.
  public var place: String
  /// What was expected there.
  public var expected: String
  /// What was found there.
  public var found: String
  /// What to do about it.
  public var advice: String

  /// Creates an error from its parts.
  public init(
    _ kind: Kind, file: String = "", place: String = "", expected: String, found: String,
    advice: String
  ) {
    self.kind = kind
    self.file = file
    self.place = place
    self.expected = expected
    self.found = found
    self.advice = advice
  }

  /// All parts in one line.
  public var description: String {
    let parts = [file, place].filter { !$0.isEmpty }
    let whereabouts = parts.isEmpty ? "tokenizer" : parts.joined(separator: ": ")
    return "\(whereabouts): expected \(expected), found \(found); \(advice)"
  }
}
