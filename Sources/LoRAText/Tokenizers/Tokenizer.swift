/// A tokenizer: converts text to token ids and back.
///
/// ``TokenizerPipeline`` reads the tokenizers of models on Hugging Face; conform your own type to
/// use another tokenizer. It only has to encode and decode; streaming has a default implementation.
///
/// ```swift
/// let tokenizer = try TokenizerPipeline(contentsOf: "models/stories260k")
/// let ids = tokenizer.encode("Once upon a time")      // [1, 403, 407, 261, 378]
/// tokenizer.decode(ids)                               // "Once upon a time"
/// ```
///
/// Encode a prompt with ``encodePrompt(_:)`` and decode its continuation with
/// ``decode(_:after:skipSpecialTokens:)``: training and generation then see the same tokens,
/// whatever the tokenizer puts around a text.
public protocol Tokenizer: Sendable {
  /// The highest id plus one: the smallest vocabulary size that a model's embedding must have.
  var vocabularySize: Int { get }

  /// The beginning-of-sequence id; nil if the tokenizer's files name none.
  var beginningOfSequence: Int? { get }

  /// The end-of-sequence id; nil if the tokenizer's files name none.
  var endOfSequence: Int? { get }

  /// The id that begins a target behind a source, for an encoder-decoder such as T5; nil, the default, for
  /// a model that continues its prompt.
  var targetStart: Int? { get }

  /// The special tokens that the template puts around a text. By default determined by encoding.
  var template: SequenceTemplate { get }

  /// The ids of `text`. Text that spells an added token ("<|im_end|>") becomes that token.
  ///
  /// - Parameters:
  ///   - text: Any text, including the empty text.
  ///   - addSpecialTokens: Whether to add the special tokens of the tokenizer's template, such as
  ///     its beginning-of-sequence token.
  func encode(_ text: String, addSpecialTokens: Bool) -> [Int]

  /// Appends the ids of `text` to `ids`, with half the memory of the method above, for texts of
  /// many megabytes. Has a default implementation.
  ///
  /// - Parameters:
  ///   - text: Any text, including the empty text.
  ///   - addSpecialTokens: Whether to add the special tokens of the template.
  ///   - ids: The array to append the text's ids to.
  func encode(_ text: String, addSpecialTokens: Bool, into ids: inout [Int32])

  /// The ids and token types of one text, or of two that belong together, such as a question and a
  /// passage. Has a default implementation.
  ///
  /// - Parameters:
  ///   - text: Any text, including the empty text.
  ///   - second: The text behind it; nil for one alone.
  ///   - addSpecialTokens: Whether to add the special tokens of the template.
  func encode(
    _ text: String, pairedWith second: String?, addSpecialTokens: Bool
  ) -> TypedEncoding

  /// The text of `ids`. Invalid UTF-8 becomes U+FFFD, and unknown ids are skipped.
  ///
  /// - Parameters:
  ///   - ids: The ids of a whole text.
  ///   - skipSpecialTokens: Whether to leave special tokens out of the text.
  func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String

  /// The id of the token `token`, spelled as in the vocabulary ("Ġthe", "▁the").
  func id(of token: String) -> Int?

  /// The token with this id, spelled as in the vocabulary.
  func token(of id: Int) -> String?

  /// A streaming decoder, which takes one id at a time.
  func streamingDecoder(skipSpecialTokens: Bool) -> StreamingDecoder
}

extension Tokenizer {
  /// None.
  public var targetStart: Int? { nil }

  /// The ids of `text`, with the special tokens that the template adds.
  public func encode(_ text: String) -> [Int] {
    encode(text, addSpecialTokens: true)
  }

  /// Appends the ids of `text` to `ids`.
  public func encode(_ text: String, addSpecialTokens: Bool, into ids: inout [Int32]) {
    ids += encode(text, addSpecialTokens: addSpecialTokens).lazy.map(Int32.init)
  }

  /// The text of `ids` without special tokens.
  public func decode(_ ids: [Int]) -> String {
    decode(ids, skipSpecialTokens: true)
  }

  /// A streaming decoder that decodes all ids again for each new one: correct for any tokenizer,
  /// but its cost grows with the square of the length. A conforming type may provide a faster one.
  public func streamingDecoder(skipSpecialTokens: Bool) -> StreamingDecoder {
    StreamingDecoder(decoding: self, skipSpecialTokens: skipSpecialTokens)
  }

  /// A streaming decoder, which takes one id at a time and leaves out special tokens.
  public func streamingDecoder() -> StreamingDecoder {
    streamingDecoder(skipSpecialTokens: true)
  }
}
