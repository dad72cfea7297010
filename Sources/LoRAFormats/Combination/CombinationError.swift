/// Why adapters can't be combined, reduced or extracted: which layer, what is in the way, and what
/// to do about it.
public struct CombinationError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What is in the way, for programs that branch on it.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// An option is missing or makes no sense.
    case invalidOption
    /// The ranks differ, and the method combines factors of one rank only.
    case rankMismatch
    /// Two adapters, or two models, give one layer different shapes.
    case shapeMismatch
    /// The change is of a kind that the operation is not defined for, as DoRA's or IA3's.
    case unsupported
    /// Parameters that are replaced whole, which can't be weighted.
    case replacement
    /// A number is not finite.
    case nonFinite
    /// A parameter that one model has and the other lacks.
    case missingParameter
    /// There is nothing to combine or extract.
    case empty
  }

  /// What is in the way, for programs that branch on it.
  public let kind: Kind
  /// The layer, the parameter or the option; empty if it is the operation as a whole.
  public let subject: String
  /// What was expected and what was found.
  public let problem: String
  /// What to do about it.
  public let remedy: String

  /// Creates an error from its parts.
  package init(_ kind: Kind, subject: String = "", problem: String, remedy: String = "") {
    self.kind = kind
    self.subject = subject
    self.problem = problem
    self.remedy = remedy
  }

  /// One line: `<subject>: <problem>; <remedy>`, without the parts that are empty.
  public var description: String {
    (subject.isEmpty ? "" : subject + ": ") + problem + (remedy.isEmpty ? "" : "; " + remedy)
  }
}
