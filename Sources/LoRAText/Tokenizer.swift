/// Text to token ids and back.
///
/// ``BytePairTokenizer`` reads what models on Hugging Face come with; conform a type of your own to
/// bring another tokenizer. A conforming type only encodes and decodes; streaming comes with it.
///
/// ```swift
/// let tokenizer = try BytePairTokenizer(contentsOf: "models/stories260k")
/// let ids = tokenizer.encode("Once upon a time")      // [1, 403, 407, 261, 378]
/// tokenizer.decode(ids)                               // "Once upon a time"
/// ```
///
/// A prompt to continue is read by ``encodePrompt(_:)`` and its continuation by
/// ``decode(_:after:skipSpecialTokens:)``: training and generation then see the same tokens, whatever
/// the tokenizer puts round a text.
public protocol Tokenizer: Sendable {
  /// The highest id plus one: the least number of rows that a model's embedding must have.
  var vocabularySize: Int { get }

  /// The id that starts a sequence, nil where the tokenizer's files name none.
  var beginningOfSequence: Int? { get }

  /// The id that ends a sequence, nil where the tokenizer's files name none.
  var endOfSequence: Int? { get }

  /// What the template puts round a text. Found by encoding where a conforming type does not say.
  var template: SequenceTemplate { get }

  /// The ids of `text`. Text that spells an added token ("<|im_end|>") becomes that token.
  ///
  /// - Parameters:
  ///   - text: Any text, the empty one too.
  ///   - addSpecialTokens: Whether to add what the tokenizer's template puts round a sequence, such
  ///     as its beginning-of-sequence token.
  func encode(_ text: String, addSpecialTokens: Bool) -> [Int]

  /// Appends the ids of `text` to `ids`, at half the memory of the above: for texts of many megabytes.
  /// A conforming type need not bring it.
  ///
  /// - Parameters:
  ///   - text: Any text, the empty one too.
  ///   - addSpecialTokens: Whether to add what the template puts round a sequence.
  ///   - ids: What the text's ids are appended to.
  func encode(_ text: String, addSpecialTokens: Bool, into ids: inout [Int32])

  /// The text of `ids`. Bytes that are not UTF-8 become U+FFFD, ids that name no token are skipped.
  ///
  /// - Parameters:
  ///   - ids: The ids of a whole text.
  ///   - skipSpecialTokens: Whether special tokens are left out of the text.
  func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String

  /// The id of the token that is spelled `token`, as the vocabulary writes it ("Ġthe", "▁the").
  func id(of token: String) -> Int?

  /// The token of `id` as the vocabulary writes it.
  func token(of id: Int) -> String?

  /// A decoder that is given one id after another.
  func streamingDecoder(skipSpecialTokens: Bool) -> StreamingDecoder
}

extension Tokenizer {
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

  /// A decoder that decodes all ids again for each one that it is given: right for any tokenizer,
  /// at a cost that grows with the square of the length. A conforming type may bring a better one.
  public func streamingDecoder(skipSpecialTokens: Bool) -> StreamingDecoder {
    StreamingDecoder(decoding: self, skipSpecialTokens: skipSpecialTokens)
  }

  /// A decoder that is given one id after another, without special tokens.
  public func streamingDecoder() -> StreamingDecoder {
    streamingDecoder(skipSpecialTokens: true)
  }
}
