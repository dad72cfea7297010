public import LoRAText

/// How texts are divided into examples.
public enum TextPacking: Sendable, Hashable {
  /// One example per text; a text longer than the sequence length is an error.
  case separate
  /// All texts concatenated and cut into pieces of the sequence length, without padding or
  /// omissions. An example may hold the end of one text and the beginning of the next.
  case packed
}

/// A prompt and the completion to learn: the loss counts only the completion's tokens.
public struct PromptCompletion: Sendable, Hashable, Codable {
  /// The prompt.
  public var prompt: String
  /// The completion.
  public var completion: String

  /// Creates a pair.
  public init(prompt: String, completion: String) {
    self.prompt = prompt
    self.completion = completion
  }
}

extension TokenDataSet {
  /// Creates a data set of texts, each inside the tokenizer's template and followed by its
  /// end-of-sequence token, if it has one.
  ///
  /// - Parameters:
  ///   - texts: the documents.
  ///   - tokenizer: the model's tokenizer.
  ///   - sequenceLength: the largest number of positions per example. Packed examples overlap by
  ///     one token, so that every token but the first is predicted once; the last example holds the
  ///     remaining tokens.
  ///   - packing: whether each text is one example, or all texts are cut together.
  ///   - source: the name of the data in errors, such as its file's name.
  public init(
    texts: [String], tokenizer: any Tokenizer, sequenceLength: Int,
    packing: TextPacking = .packed, source: String = "the texts"
  ) throws(TrainingError) {
    try Self.check(sequenceLength)
    let sequences = texts.map { tokenizer.encodeDocument($0) }
    switch packing {
    case .separate:
      let examples = sequences.map { TrainingExample(sequence: $0) }
      try self.init(examples: try Self.limited(examples, to: sequenceLength), source: source)
    case .packed:
      var tokens = TokenBuffer()
      for ids in sequences { tokens.append(contentsOf: try Self.narrowed(ids)) }
      let positions = max(0, tokens.count - 1)
      let starts = stride(from: 0, to: positions, by: sequenceLength)
      try self.init(
        starts.map { Span(start: $0, length: min(sequenceLength, positions - $0), given: 0) },
        tokens: tokens, source: source)
    }
  }

  /// Creates a data set of whole documents for scoring, one example per document of any length,
  /// each inside the tokenizer's template. Throws ``TrainingError`` for a document of one token: it
  /// has nothing to predict.
  public init(
    documents: some Sequence<String>, tokenizer: any Tokenizer, source: String = "the documents"
  ) throws(TrainingError) {
    var tokens = TokenBuffer()
    var spans: [Span] = []
    var ids: [Int32] = []
    for document in documents {
      ids.removeAll(keepingCapacity: true)
      tokenizer.encode(document, addSpecialTokens: true, into: &ids)
      guard ids.count > 1 else { throw .noTargets(example: spans.count) }
      spans.append(Span(start: tokens.count, length: ids.count - 1, given: 0))
      tokens.append(contentsOf: ids)
    }
    try self.init(spans, tokens: tokens, source: source)
  }

  /// Creates a data set of pairs, one example per pair. The loss counts the completion and the
  /// end-of-sequence token, not the prompt.
  ///
  /// The prompt is encoded as in generation, the completion as its continuation; see
  /// `Tokenizer.encode(prompt:completion:)`.
  public init(
    pairs: [PromptCompletion], tokenizer: any Tokenizer, sequenceLength: Int,
    source: String = "the pairs"
  ) throws(TrainingError) {
    try Self.check(sequenceLength)
    let examples = pairs.map { pair in
      let encoding = tokenizer.encode(prompt: pair.prompt, completion: pair.completion)
      return TrainingExample(sequence: encoding.ids, promptLength: encoding.promptLength)
    }
    try self.init(examples: try Self.limited(examples, to: sequenceLength), source: source)
  }

  private static func check(_ sequenceLength: Int) throws(TrainingError) {
    guard sequenceLength >= 1 else {
      throw .invalidOption(
        name: "the sequence length", value: "\(sequenceLength)", expected: "at least 1")
    }
  }

  private static func limited(
    _ examples: [TrainingExample], to limit: Int
  ) throws(TrainingError) -> [TrainingExample] {
    for (index, example) in examples.enumerated() where example.tokens.count > limit {
      throw .exampleTooLong(example: index, length: example.tokens.count, limit: limit)
    }
    return examples
  }
}
