/// Why a tokenizer could not be read or trained: which file and which place in it, what was expected
/// there, what was found, and what to do about it.
public struct TokenizerError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What kind of fault it is.
  public enum Kind: Sendable, Hashable {
    /// A file is missing or cannot be read.
    case unreadable
    /// A file is not what its format requires.
    case malformed
    /// The file asks for a component or an option that this library does not have. Nothing is ever
    /// skipped: a tokenizer without one of its steps would give other ids.
    case unsupported
    /// The parts of the file, or an argument, contradict each other.
    case inconsistent
  }

  /// What kind of fault it is.
  public var kind: Kind
  /// The file; empty if the fault is in no file.
  public var file: String
  /// Where in the file, as a path of keys ("pre_tokenizer.pretokenizers[0]"); empty for the whole.
  public var place: String
  /// What was expected there.
  public var expected: String
  /// What was found there.
  public var found: String
  /// What to do about it.
  public var advice: String

  /// An error with all its parts.
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
