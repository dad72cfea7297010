// T5's tokenizer in a GGUF file: SentencePiece's unigrams, with the map of what its normalizer replaces.

extension TokenizerDefinition {
  init(
    unigram fields: EmbeddedTokenizer, _ vocabulary: Vocabulary, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    var scores = try Self.scores(fields, reader)
    let types = fields.types ?? Array(repeating: 1, count: fields.tokens.count)
    guard types.count == fields.tokens.count else {
      throw reader.at("token_type").error(
        .inconsistent, expected: "a type for each of \(fields.tokens.count) tokens",
        found: "\(types.count)", advice: "the file is damaged")
    }
    guard let unknown = fields.unknown else {
      throw reader.at("unknown_token_id").error(
        .malformed, expected: "the id of the unknown token", found: "none",
        advice: "convert the model again")
    }
    // What users defined is rather taken than not; control tokens are not found in a text.
    var pieces = Vocabulary(capacity: fields.tokens.count)
    for (id, type) in types.enumerated() {
      if type == EmbeddedTokenizer.userDefinedType { scores[id] = 0 }
      guard [1, EmbeddedTokenizer.userDefinedType, EmbeddedTokenizer.unusedType].contains(type)
      else { continue }
      vocabulary.withSpelling(of: id) { _ = pieces.insert($0, id: id) }
    }
    let normal = types.indices.filter { types[$0] == 1 }.map { scores[$0] }
    model = try UnigramModel(
      vocabulary: vocabulary, pieces: pieces, scores: scores, lowestScore: normal.min(),
      unknown: Int32(unknown), fallsBackToBytes: false)
    var map: CharacterMap?
    if let bytes = fields.characterMap, !bytes.isEmpty {
      map = CharacterMap(bytes)
      guard map != nil else {
        throw reader.at("precompiled_charsmap").error(
          .malformed, expected: "a trie and its replacements",
          found: "\(bytes.count) bytes that are not that", advice: "the file is damaged")
      }
    }
    let addsSpace = fields.addsSpacePrefix ?? true
    normalizer = .sentencePiece(
      SentencePieceNormalizer(
        map: map, userDefined: nil, addsSpace: addsSpace,
        removesExtraSpaces: fields.removesExtraSpaces ?? false))
    decoders = [.metaspace(replacement: Array("\u{2581}".utf8), dropsFirst: addsSpace)]
    templates = Self.template(
      fields, addsBeginning: fields.addsBeginning ?? false, addsEnd: fields.addsEnd ?? true)
  }
}
