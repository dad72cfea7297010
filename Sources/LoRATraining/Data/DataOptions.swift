/// What to do with a text that has more tokens than the sequence length.
public enum LongExamples: String, Sendable, Hashable, Codable, CaseIterable {
  /// Throw an error that names the first one.
  case error
  /// Cut it. A prompt loses its beginning, after the tokens of the tokenizer's template; a
  /// completion loses its end only if it is too long by itself. A conversation loses its oldest
  /// messages behind the system's, question and answer together, and the last answer its end only if
  /// that alone is too long.
  case truncate
  /// Leave it out.
  case skip
  /// Split it into several examples of maximal length. They overlap by one token, so that every
  /// token that counts is predicted once.
  case split
}

/// Which tokens of an example are learned.
public enum LearnedPart: String, Sendable, Hashable, Codable, CaseIterable {
  /// A completion, an instruction's answer, each of the assistant's messages of a conversation.
  case answers
  /// Of a conversation the assistant's last message alone.
  case last
  /// All, prompts too.
  case all
}

/// Which records become conversations in the model's template.
public enum TemplateUse: String, Sendable, Hashable, Codable, CaseIterable {
  /// Conversations, and instructions if the model has a template.
  case automatic = "auto"
  /// Prompts with completions too: the one asks, the other answers.
  case always
  /// None: instructions have Alpaca's form, and conversations are refused.
  case never
}

/// Options for making training examples from data.
public struct DataOptions: Sendable, Hashable {
  /// The largest number of positions of a text example: its input tokens, one less than all its
  /// tokens.
  public var sequenceLength: Int
  /// What to do with longer texts; nil splits texts and truncates prompts and conversations. Token ids are
  /// an error then, because they are already divided into examples.
  public var longExamples: LongExamples?
  /// Which tokens are learned.
  public var learned = LearnedPart.answers
  /// Which records become conversations in the model's template.
  public var templateUse = TemplateUse.automatic
  /// What the system is told in conversations without a message of its own; nil for nothing.
  public var system: String?
  /// Which fields of a file hold what.
  public var fields = FieldMap()
  /// How many bytes of tokens and examples stay in memory; what is more goes to temporary files without
  /// names (`TMPDIR`), which cost a system call an example. By default 256 MiB.
  public var memoryLimit = 256 << 20
  /// Whether records that are invalid are left out and reported, instead of ending the reading.
  public var skipsInvalid = false

  /// Creates options.
  public init(sequenceLength: Int = 512, longExamples: LongExamples? = nil) {
    self.sequenceLength = sequenceLength
    self.longExamples = longExamples
  }
}
