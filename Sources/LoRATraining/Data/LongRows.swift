/// What becomes of a row of text that has more tokens than the sequence length.
public enum LongRows: String, Sendable, Hashable, Codable, CaseIterable {
  /// An error that names the first one.
  case error
  /// It is cut. Of a prompt and its completion the beginning of the prompt is cut, behind what the
  /// tokenizer's template puts there; only where the completion is too long by itself its end, too.
  case truncate
  /// It is left out.
  case skip
  /// It becomes several rows, each as long as can be. They overlap by one token, so that every token
  /// that counts is predicted once.
  case split
}

/// How rows of tokens are made of data.
public struct DataOptions: Sendable, Hashable {
  /// The most positions of a row of text: tokens that are read, one less than the row has.
  public var sequenceLength: Int
  /// What becomes of longer rows; nil for what suits the kind of data: texts are split, prompts
  /// truncated. Token rows are an error, because they were made to be what they are.
  public var longRows: LongRows?

  /// Creates options.
  public init(sequenceLength: Int = 512, longRows: LongRows? = nil) {
    self.sequenceLength = sequenceLength
    self.longRows = longRows
  }
}
