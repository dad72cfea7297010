/// The tokens of a model as bytes, prepared for finding those that a constraint allows. Made once
/// for a model: it takes some tenths of a second for 150,000 tokens.
public struct TokenVocabulary: Sendable {
  /// How many ids there are.
  public let count: Int
  /// The tokens that end a text.
  public let endTokens: Set<Int>
  let spellings: [[UInt8]]
  let trie: TokenTrie

  /// Prepares a vocabulary.
  ///
  /// - Parameters:
  ///   - tokens: the bytes of each token by its id, empty for special tokens, which a constrained
  ///     text never has. Part of a character of UTF-8 is fine.
  ///   - endTokens: the tokens that end a text, allowed where the constraint allows an end.
  public init(tokens: [[UInt8]], endTokens: Set<Int>) {
    count = tokens.count
    self.endTokens = endTokens.filter { tokens.indices.contains($0) }
    // An end is no text, whatever bytes its token is spelled with.
    var spellings = tokens
    for id in self.endTokens { spellings[id] = [] }
    self.spellings = spellings
    trie = TokenTrie(spellings)
  }

  /// The bytes of a token; none for special tokens, end tokens and ids that are none.
  public func bytes(of token: Int) -> [UInt8] {
    spellings.indices.contains(token) ? spellings[token] : []
  }
}
