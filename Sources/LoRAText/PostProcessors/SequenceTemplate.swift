/// The special tokens that a tokenizer's template puts around a text.
///
/// ```swift
/// let tokenizer = try TokenizerPipeline(contentsOf: "llama-2")
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
