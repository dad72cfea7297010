public import LoRAGrammars
public import LoRAText

extension TokenVocabulary {
  /// The vocabulary of a tokenizer, for a `ConstraintMatcher`; nil for tokenizers whose tokens have no bytes
  /// of their own, as those of word pieces. The end tokens are those that end a text, as of
  /// `PretrainedModel.stopTokens(with:)`.
  public init?(_ tokenizer: some Tokenizer, endTokens: Set<Int>) {
    guard let bytes = (tokenizer as? TokenizerPipeline)?.tokenBytes() else { return nil }
    self.init(tokens: bytes, endTokens: endTokens)
  }
}
