public import LoRAText

/// The text of a generation, piece by piece as it is computed.
///
/// Ends early, without an error, when the task that iterates is cancelled.
public struct TextStream: AsyncSequence, Sendable {
  let start: @Sendable () throws -> TextSession

  /// What the stream's iteration computes with.
  public struct Iterator: AsyncIteratorProtocol {
    var start: StreamStart<TextSession>

    /// The next piece, never an empty one; nil at the end.
    public mutating func next() async throws -> String? { try await start.session()?.next() }
  }

  /// Starts at the prompt. Each iterator generates by itself.
  public func makeAsyncIterator() -> Iterator { Iterator(start: .notStarted(start)) }
}

extension LanguageModel {
  /// Generates the text that continues `prompt`: read as training reads a prompt, and without it.
  ///
  /// ```swift
  /// let options = GenerationOptions(stopTokens: pretrained.stopTokens(with: tokenizer))
  /// try model.generateText(after: "Which light blinks?", tokenizer: tokenizer, options: options)
  /// ```
  ///
  /// The tokenizer's end-of-sequence token ends the text beside the stop tokens of `options`, and strings
  /// that may be given. See ``TextSession``.
  public func generateText(
    after prompt: String, tokenizer: some Tokenizer,
    options: GenerationOptions = GenerationOptions(), stopStrings: [String] = [],
    adapters: AdapterSelection? = nil
  ) throws -> String {
    try TextSession(
      self, tokenizer: tokenizer, prompt: prompt, options: options, stopStrings: stopStrings,
      adapters: adapters
    ).rest()
  }

  /// Generates the text that continues `prompt` as an asynchronous sequence of pieces; see
  /// ``generateText(after:tokenizer:options:stopStrings:adapters:)``.
  ///
  /// ```swift
  /// for try await piece in try model.text(after: "Hello", tokenizer: tokenizer) { ... }
  /// ```
  ///
  /// The prompt, the options and the choice of adapters are checked and fixed by this call.
  public func text(
    after prompt: String, tokenizer: some Tokenizer,
    options: GenerationOptions = GenerationOptions(), stopStrings: [String] = [],
    adapters: AdapterSelection? = nil
  ) throws -> TextStream {
    let ids = tokenizer.encodePrompt(prompt)
    try validate([ids])
    try options.validate(vocabularySize: vocabularySize)
    let snapshot = try passSnapshot(adapters)
    return TextStream { [self] in
      try AdapterScope.$current.withValue(snapshot) {
        try TextSession(
          self, tokenizer: tokenizer, prompt: ids, options: options, stopStrings: stopStrings)
      }
    }
  }
}
