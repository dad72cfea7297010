extension TokenizerPipeline {
  /// The bytes that each token adds to a text that has begun, by its id: what constraining an output
  /// needs. Empty for special tokens and for ids without a token.
  ///
  /// nil where that depends on the tokens round it: tokenizers of word pieces and of words, which put
  /// spaces between their tokens. A byte of a character that several tokens make is a byte here.
  public func tokenBytes() -> [[UInt8]]? {
    var result: [[UInt8]] = []
    result.reserveCapacity(vocabularySize)
    for id in 0..<vocabularySize {
      guard let spelling = spelling(of: id, skippingSpecial: true) else {
        result.append([])
        continue
      }
      guard let bytes = decoderPipeline.bytes(of: spelling) else { return nil }
      result.append(bytes)
    }
    return result
  }
}
