public import LoRAText

/// The text of a generation, piece by piece as it is computed.
///
/// Ends early, without an error, when the task that iterates is cancelled.
public struct TextStream: AsyncSequence, Sendable {
  let tokens: TokenStream
  let decoder: StreamingDecoder

  /// What the stream's iteration computes with.
  public struct Iterator: AsyncIteratorProtocol {
    var tokens: TokenStream.Iterator
    var decoder: StreamingDecoder
    var isFinished = false

    /// The next piece, never an empty one; nil at the end.
    public mutating func next() async throws -> String? {
      while !isFinished {
        guard let token = try await tokens.next() else {
          isFinished = true
          let rest = decoder.finish()
          return rest.isEmpty ? nil : rest
        }
        let piece = decoder.append(token)
        if !piece.isEmpty { return piece }
      }
      return nil
    }
  }

  /// Starts at the prompt. Each iterator generates by itself.
  public func makeAsyncIterator() -> Iterator {
    Iterator(tokens: tokens.makeAsyncIterator(), decoder: decoder)
  }
}

extension LanguageModel {
  /// Generates the text that continues `prompt`: read as training reads a prompt, and without it.
  ///
  /// ```swift
  /// let options = GenerationOptions(stopTokens: pretrained.stopTokens(with: tokenizer))
  /// try model.generateText(after: "Which light blinks?", tokenizer: tokenizer, options: options)
  /// ```
  ///
  /// The tokenizer's end-of-sequence token ends the text beside the stop tokens of `options`.
  public func generateText(
    after prompt: String, tokenizer: some Tokenizer,
    options: GenerationOptions = GenerationOptions(), adapters: AdapterSelection? = nil
  ) throws -> String {
    let ids = tokenizer.encodePrompt(prompt)
    let tokens = try generate(
      after: ids, options: options.stopping(at: tokenizer), adapters: adapters)
    return tokenizer.decode(tokens, after: ids)
  }

  /// Generates the text that continues `prompt` as an asynchronous sequence of pieces; see
  /// ``generateText(after:tokenizer:options:adapters:)``.
  ///
  /// ```swift
  /// for try await piece in try model.text(after: "Hello", tokenizer: tokenizer) { ... }
  /// ```
  public func text(
    after prompt: String, tokenizer: some Tokenizer,
    options: GenerationOptions = GenerationOptions(), adapters: AdapterSelection? = nil
  ) throws -> TextStream {
    let ids = tokenizer.encodePrompt(prompt)
    return TextStream(
      tokens: try tokens(
        after: ids, options: options.stopping(at: tokenizer), adapters: adapters),
      decoder: tokenizer.streamingDecoder(after: ids))
  }
}

extension GenerationOptions {
  /// These options, which also stop at the tokenizer's end of a sequence.
  fileprivate func stopping(at tokenizer: some Tokenizer) -> GenerationOptions {
    var options = self
    if let end = tokenizer.endOfSequence { options.stopTokens.insert(end) }
    return options
  }
}
