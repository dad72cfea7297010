/// The special tokens that a tokenizer's template puts around a text.
///
/// ```swift
/// let tokenizer = try BytePairTokenizer(contentsOf: "llama-2")
/// tokenizer.template                 // before: [1], after: []
/// ```
public struct SequenceTemplate: Sendable, Hashable {
  /// The tokens before the text, such as its beginning-of-sequence token.
  public var before: [Int]
  /// The tokens after it, such as the end-of-sequence token of a tokenizer with `add_eos_token`.
  public var after: [Int]

  /// Creates a template from the tokens before and after the text.
  public init(before: [Int] = [], after: [Int] = []) {
    self.before = before
    self.after = after
  }
}

extension SequenceTemplate {
  /// The template that templates one round the other make together. Of one that repeats the text the
  /// tokens before its first and after its last occurrence count.
  init(_ templates: [[TemplatePiece]]) {
    self.init()
    for template in templates {
      let first = template.firstIndex(of: .sequence) ?? template.endIndex
      let last = template.lastIndex(of: .sequence).map { $0 + 1 } ?? template.endIndex
      before = template[..<first].flatMap(\.tokens) + before
      after += template[last...].flatMap(\.tokens)
    }
  }
}

extension TemplatePiece {
  fileprivate var tokens: [Int] {
    switch self {
    case .sequence: []
    case .tokens(let ids): ids
    }
  }
}

extension Tokenizer {
  /// Finds the template by encoding short texts with and without it.
  public var template: SequenceTemplate {
    var found: SequenceTemplate?
    for text in ["a", "1", "the", "."] {
      let bare = encode(text, addSpecialTokens: false)
      let whole = encode(text, addSpecialTokens: true)
      let starts = (0...max(0, whole.count - bare.count)).filter {
        whole[$0...].starts(with: bare)
      }
      guard let start = starts.first, !bare.isEmpty else { continue }
      found =
        found
        ?? SequenceTemplate(
          before: Array(whole[..<start]), after: Array(whole[(start + bare.count)...]))
      // A text whose ids the template has too fits at several places.
      if starts.count == 1 {
        return SequenceTemplate(
          before: Array(whole[..<start]), after: Array(whole[(start + bare.count)...]))
      }
    }
    return found ?? SequenceTemplate()
  }
}
