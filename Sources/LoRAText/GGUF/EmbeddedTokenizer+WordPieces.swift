// BERT's word pieces in a GGUF file, which spells them otherwise than their vocab.txt: what starts a
// word has a "\u{2581}" before it, and what goes on with one has lost its "##".

extension TokenizerDefinition {
  init(
    wordPieces fields: EmbeddedTokenizer, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    let tokens = fields.tokens.map(Self.wordPiece)
    let vocabulary = try Self.vocabulary(tokens, reader)
    guard let unknown = fields.unknown ?? (tokens.count > 100 ? 100 : nil) else {
      throw reader.at("unknown_token_id").error(
        .malformed, expected: "the id of the unknown token", found: "none",
        advice: "convert the model again")
    }
    model = try WordPieceModel(
      vocabulary: vocabulary, unknown: Int32(unknown), prefix: Array("##".utf8),
      longestWord: 100)
    let lowercases = fields.lowercases ?? true
    normalizer = .bert(
      BertNormalizer(stripsAccents: fields.stripsAccents ?? lowercases, lowercases: lowercases))
    preTokenizer = .bert
    decoders = [.wordPiece(prefix: Array("##".utf8), cleansUp: true)]
    let (first, last) = (fields.classifier ?? fields.beginningOfSequence, fields.separator)
    if let first, let last { templates = [.bert(first: first, separator: last)] }
  }

  /// The token as a vocab.txt has it.
  private static func wordPiece(_ token: String) -> String {
    if token.hasPrefix("["), token.hasSuffix("]") { return token }
    let mark: Unicode.Scalar = "\u{2581}"
    guard token.unicodeScalars.first == mark else { return "##" + token }
    return String(token.unicodeScalars.dropFirst())
  }
}
