/// The tokens of a text with where they are in it; see
/// ``TokenizerPipeline/encodeAligned(_:pairedWith:addSpecialTokens:)``.
///
/// ```swift
/// let encoding = tokenizer.encodeAligned("How are you?")
/// encoding.ids       // [101, 2129, 2024, 2017, 1029, 102]
/// encoding.tokens    // ["[CLS]", "how", "are", "you", "?", "[SEP]"]
/// encoding.offsets   // [0..<0, 0..<3, 4..<7, 8..<11, 11..<12, 0..<0]
/// ```
public struct AlignedEncoding: Sendable, Hashable {
  /// The token ids.
  public var ids: [Int]
  /// The type of each token: as a rule 0 for those of the first text and 1 for those of the second.
  public var types: [Int]
  /// The tokens, spelled as in the vocabulary; of an unknown token of unigrams, and of an added
  /// token, the text that it stands for.
  public var tokens: [String]
  /// Which code points of its text each token stands for, counted from 0. `0..<0` for a special token
  /// of the template. Tokens that share a character, as bytes do, have the whole of it each.
  public var offsets: [Range<Int>]

  /// Creates an encoding.
  public init(
    ids: [Int] = [], types: [Int] = [], tokens: [String] = [], offsets: [Range<Int>] = []
  ) {
    self.ids = ids
    self.types = types
    self.tokens = tokens
    self.offsets = offsets
  }

  /// Appends another encoding, with its types or with one for all its tokens.
  mutating func append(_ other: AlignedEncoding, type: Int? = nil) {
    ids += other.ids
    types += type.map { Array(repeating: $0, count: other.ids.count) } ?? other.types
    tokens += other.tokens
    offsets += other.offsets
  }
}
