/// The model of a tokenizer: what makes ids of a word that the normalizer and the pre-tokenizer have
/// left. Each kind is a file of its own.
protocol WordModel: Sendable {
  /// The tokens and their ids.
  var vocabulary: Vocabulary { get }

  /// What encodes words with this model.
  func makeEncoder() -> any WordEncoder
}

/// Encodes word after word; keeps working memory, and so belongs to one text at a time.
protocol WordEncoder: AnyObject {
  /// Appends the ids of a word, which is not empty.
  func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32])

  /// Appends the same tokens and where they are in the word. Slower: nothing is remembered.
  func trace(_ word: UnsafeBufferPointer<UInt8>, into tokens: inout [TracedToken])

  /// Where a text may be cut and encoded in parts; nil where that could change its ids.
  var seams: TokenSeams? { get }

  /// Lets go of the memory that an unusually long word took.
  func trim()
}

/// A token and which bytes of its word it stands for.
struct TracedToken {
  var id: Int32
  var range: Range<Int>
  /// Whether those bytes, not the spelling of the id, are what the token is called: a model of
  /// unigrams tells so what was unknown.
  var isCalledByText = false
}

extension WordEncoder {
  var seams: TokenSeams? { nil }
  func trim() {}
}

/// The kinds of models of a `tokenizer.json`.
enum WordModelKind: String, CaseIterable {
  case bytePairs = "BPE"
  case wordPieces = "WordPiece"
  case unigram = "Unigram"
  case words = "WordLevel"

  /// Reads the `model` of a `tokenizer.json`.
  static func read(_ reader: DefinitionReader) throws(TokenizerError) -> any WordModel {
    switch try kind(reader) {
    case .bytePairs: return try BytePairModel(reader)
    case .wordPieces: return try WordPieceModel(reader)
    case .unigram: return try UnigramModel(reader)
    case .words: return try WordLevelModel(reader)
    }
  }

  /// The kind that a file names, or else that its fields are of, as files from before 2021 leave it.
  private static func kind(_ reader: DefinitionReader) throws(TokenizerError) -> WordModelKind {
    if let name = try reader.optional("type")?.string() {
      guard let kind = WordModelKind(rawValue: name) else {
        throw reader.error(
          .unsupported,
          expected: "a model of the types \(allCases.map(\.rawValue).joined(separator: ", "))",
          found: name, advice: "use a model with one of these tokenizers")
      }
      return kind
    }
    if reader.optional("merges") != nil { return .bytePairs }
    if reader.optional("unk_id") != nil { return .unigram }
    return reader.optional("continuing_subword_prefix") != nil ? .wordPieces : .words
  }
}

extension DefinitionReader {
  /// The id of the token that `unk_token` names, which `vocabulary` must have.
  func unknownToken(
    in vocabulary: Vocabulary, otherwise standard: String
  ) throws(TokenizerError) -> Int32 {
    let token = try optional("unk_token")?.string() ?? standard
    let id = vocabulary.id(of: token.utf8)
    guard id >= 0 else {
      throw at("unk_token").error(
        .inconsistent, expected: "a token of the vocabulary", found: token,
        advice: "add it to model.vocab: words that are not known could not be encoded")
    }
    return id
  }
}
