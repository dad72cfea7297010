/// A decoder for ids that arrive one by one, as in generation.
///
/// Each piece consists of whole code points and is final: the joined pieces equal what `decode`
/// returns for all ids. A token that ends within a code point, or in a run of byte tokens that
/// later ones may complete, yields an empty piece until its text is determined.
///
/// ```swift
/// var decoder = tokenizer.streamingDecoder()
/// for id in ids { print(decoder.append(id), terminator: "") }
/// print(decoder.finish())
/// ```
///
/// To decode a continuation use `tokenizer.streamingDecoder(after: prompt)`.
public struct StreamingDecoder: Sendable {
  private enum State: Sendable {
    case pipeline(DecoderPipeline, TokenizerPipeline)
    case repeated(any Tokenizer, ids: [Int], emitted: [UInt8])
  }

  private var state: State
  /// What the decoder's text begins with, but a prompt before it has.
  private var prompt = DecodedPrompt("")
  private let skipSpecialTokens: Bool

  /// A decoder for any tokenizer. It decodes all ids again for each new one and returns the
  /// additional text, holding back a trailing U+FFFD.
  public init(decoding tokenizer: some Tokenizer, skipSpecialTokens: Bool) {
    state = .repeated(tokenizer, ids: [], emitted: [])
    self.skipSpecialTokens = skipSpecialTokens
  }

  init(pipeline: DecoderPipeline, of tokenizer: TokenizerPipeline, skipSpecialTokens: Bool) {
    state = .pipeline(pipeline, tokenizer)
    self.skipSpecialTokens = skipSpecialTokens
  }

  /// Takes the ids of a prompt, whose text is not part of what comes out.
  mutating func begin(after ids: [Int]) {
    switch state {
    case .pipeline:
      for id in ids { _ = settle(id) }
      // The end of the prompt may be held back, as a run of byte tokens is.
      var copy = self
      prompt = DecodedPrompt(copy.finish())
    case .repeated(let tokenizer, _, _):
      state = .repeated(tokenizer, ids: ids, emitted: [])
      prompt = DecodedPrompt(tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens))
    }
  }

  /// The text that `id` completes; empty if there is none yet.
  public mutating func append(_ id: Int) -> String {
    prompt.removed(from: settle(id))
  }

  private mutating func settle(_ id: Int) -> String {
    switch state {
    case .pipeline(var pipeline, let tokenizer):
      guard let token = tokenizer.spelling(of: id, skippingSpecial: skipSpecialTokens) else {
        return ""
      }
      let text = pipeline.append(token)
      state = .pipeline(pipeline, tokenizer)
      return text
    case .repeated(let tokenizer, var ids, let emitted):
      ids.append(id)
      var text = Array(tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens).utf8)
      let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]
      while text.suffix(3).elementsEqual(replacement) { text.removeLast(3) }
      guard text.count > emitted.count, text.starts(with: emitted) else {
        state = .repeated(tokenizer, ids: ids, emitted: emitted)
        return ""
      }
      state = .repeated(tokenizer, ids: ids, emitted: text)
      return String(decoding: text[emitted.count...], as: UTF8.self)
    }
  }

  /// The rest of the text, after the last id. Resets the decoder.
  public mutating func finish() -> String {
    defer { prompt = DecodedPrompt("") }
    return prompt.removed(from: rest())
  }

  private mutating func rest() -> String {
    switch state {
    case .pipeline(var pipeline, let tokenizer):
      let text = pipeline.finish()
      state = .pipeline(tokenizer.decoderPipeline, tokenizer)
      return text
    case .repeated(let tokenizer, let ids, let emitted):
      let text = Array(tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens).utf8)
      state = .repeated(tokenizer, ids: [], emitted: [])
      return String(decoding: text.dropFirst(emitted.count), as: UTF8.self)
    }
  }
}
