/// Something in a data file that a person should look at.
public struct Finding: Sendable, Hashable {
  /// What was found. The raw value is its name in reports, which stays.
  public enum Kind: String, Sendable, Hashable, CaseIterable, Comparable {
    /// A line that is no record, or one of another form than the first.
    case malformed
    /// No question, no answer, or an answer that is its question.
    case empty
    /// The same text as an earlier example's, but for case, width and white space.
    case duplicate
    /// Nearly the same text as an earlier example's.
    case nearDuplicate = "near-duplicate"
    /// An example that the evaluation set has too, or nearly.
    case splitDuplicate = "split-duplicate"
    /// A question that has another answer elsewhere.
    case conflict
    /// Labels of which one is far rarer or far commoner than the others.
    case unbalanced
    /// A label that is written in two ways.
    case label
    /// An answer that says one thing again and again.
    case repetition
    /// A sentence that many answers have beside their own.
    case boilerplate
    /// Text that was decoded wrongly, control characters, entities of HTML.
    case encoding
    /// Messages whose roles are in an order that no template expects.
    case role
    /// A special token of some model, spelled in a text.
    case specialToken = "special-token"
    /// A conversation that the model's template refuses, or whose answers can't be told.
    case template
    /// Conversations for a model that has no template.
    case noTemplate = "no-template"
    /// More tokens than the context has.
    case tooLong = "too-long"
    /// What looks like a key or a password.
    case secret
    /// What looks like an address, a telephone or card number, or another person's data.
    case personal
    /// An answer in another language than its question and the file.
    case language
    /// Text that the tokenizer has no words for.
    case tokens

    /// The order of reports.
    public static func < (left: Self, right: Self) -> Bool { left.number < right.number }

    var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// Whether a cleaned copy leaves such examples out. What concerns the whole file, and what training
    /// options decide, stays.
    public var isDropped: Bool {
      switch self {
      case .unbalanced, .label, .boilerplate, .noTemplate, .tooLong: false
      default: true
      }
    }

    /// What it means, for people.
    public var title: String {
      switch self {
      case .malformed: "no record"
      case .empty: "empty or one-sided"
      case .duplicate: "duplicates"
      case .nearDuplicate: "near duplicates"
      case .splitDuplicate: "also in the evaluation data"
      case .conflict: "conflicting answers"
      case .unbalanced: "unbalanced labels"
      case .label: "labels written in two ways"
      case .repetition: "repetition in an answer"
      case .boilerplate: "the same sentence in many answers"
      case .encoding: "broken encoding"
      case .role: "order of roles"
      case .specialToken: "special tokens as text"
      case .template: "not for the model's template"
      case .noTemplate: "the model has no chat template"
      case .tooLong: "longer than the context"
      case .secret: "likely secrets"
      case .personal: "personal data"
      case .language: "another language"
      case .tokens: "unusual tokens"
      }
    }
  }

  /// What was found.
  public let kind: Kind
  /// The line of its file on which the example begins, from 1.
  public let line: Int
  /// The example's number in all files, from 0; lines that are no records count.
  public let example: Int
  /// The index of the example's file among those that were checked. The log says it.
  public internal(set) var file = 0
  /// What exactly, with other lines that it concerns. Secrets are shown by their beginning only.
  public let detail: String

  /// Creates a finding.
  public init(_ kind: Kind, line: Int, example: Int, detail: String) {
    (self.kind, self.line, self.example, self.detail) = (kind, line, example, detail)
  }
}
