import LoRAPatterns

/// What cuts a normalized text into the words that byte-pair encoding sees.
indirect enum PreTokenizer: Sendable {
  /// How a split treats what its pattern matches.
  enum Behavior: String, Sendable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"
  }

  enum PrependScheme: String, Sendable {
    case first, never, always
  }

  /// GPT-2's alphabet of 256 characters for the 256 bytes, after its pattern if `splitter` is there.
  case byteLevel(addsPrefixSpace: Bool, splitter: RegularExpression?)
  /// That alphabet alone: the last part of the above.
  case byteLevelAlphabet
  case split(TextPattern, Behavior, isInverted: Bool)
  case digits(areIndividual: Bool)
  /// Words are what white space separates.
  case whitespaceSplit
  /// Words are runs of word characters, and runs of others that are not white space.
  case whitespace
  case punctuation(Behavior)
  case metaspace(replacement: [UInt8], PrependScheme, splits: Bool)
  /// Words are of one script; what comes before the first that is of any is lost.
  case scripts
  /// Words are of so many code points.
  case length(Int)
  case sequence([PreTokenizer])

  /// BERT's: white space separates words, and each punctuation mark is one.
  static let bert = PreTokenizer.sequence([.whitespaceSplit, .punctuation(.isolated)])

  /// GPT-2's pattern, which `ByteLevel` has built in.
  static let byteLevelPattern =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  /// The steps one after the other. That of the bytes' alphabet is a step of its own.
  var steps: [PreTokenizer] {
    switch self {
    case .sequence(let parts): parts.flatMap(\.steps)
    case .byteLevel: [self, .byteLevelAlphabet]
    default: [self]
    }
  }
}
