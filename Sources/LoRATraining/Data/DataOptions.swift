/// What to do with a text that has more tokens than the sequence length.
public enum LongExamples: String, Sendable, Hashable, Codable, CaseIterable {
  /// Throw an error that names the first one.
  case error
  /// Cut it. A prompt loses its beginning, after the tokens of the tokenizer's template; a
  /// completion loses its end only if it is too long by itself.
  case truncate
  /// Leave it out.
  case skip
  /// Split it into several examples of maximal length. They overlap by one token, so that every
  /// token that counts is predicted once.
  case split
}

/// Options for making training examples from data.
public struct DataOptions: Sendable, Hashable {
  /// The largest number of positions of a text example: its input tokens, one less than all its
  /// tokens.
  public var sequenceLength: Int
  /// What to do with longer texts; nil splits texts and truncates prompts. Token ids are an error
  /// then, because they are already divided into examples.
  public var longExamples: LongExamples?

  /// Creates options.
  public init(sequenceLength: Int = 512, longExamples: LongExamples? = nil) {
    self.sequenceLength = sequenceLength
    self.longExamples = longExamples
  }
}
