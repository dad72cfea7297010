import LoRAJSON

/// The fields of a tokenizer in a GGUF file, under `tokenizer.ggml`.
package struct EmbeddedTokenizer: Sendable {
  /// The file, for errors.
  package var file: String
  /// `model`: "llama" (SentencePiece byte pairs with scores), "gpt2" (byte-level merges), "bert"
  /// (word pieces), "t5" (unigrams) or "gemma4" (merges of plain text).
  package var model: String
  /// `pre`: the name of the word-splitting rule of "gpt2".
  package var preTokenizer: String?
  /// `tokens`, by id.
  package var tokens: [String]
  /// `scores`, one per token.
  package var scores: [Double]?
  /// `token_type`, one per token.
  package var types: [Int]?
  /// `merges`, as "left right".
  package var merges: [String]?
  /// `bos_token_id`, if it names a token.
  package var beginningOfSequence: Int?
  /// `eos_token_id`, if it names a token.
  package var endOfSequence: Int?
  /// `unknown_token_id`, if it names a token.
  package var unknown: Int?
  /// `padding_token_id`, if it names a token.
  package var padding: Int?
  /// `seperator_token_id`, if it names a token: what ends a text of an encoder.
  package var separator: Int?
  /// `cls_token_id`, if it names a token: what starts a text of an encoder.
  package var classifier: Int?
  /// `mask_token_id`, if it names a token.
  package var mask: Int?
  /// `add_bos_token`.
  package var addsBeginning: Bool?
  /// `add_eos_token`.
  package var addsEnd: Bool?
  /// `add_sep_token`.
  package var addsSeparator: Bool?
  /// `add_space_prefix`.
  package var addsSpacePrefix: Bool?
  /// `remove_extra_whitespaces`, of "t5".
  package var removesExtraSpaces: Bool?
  /// `precompiled_charsmap`, of "t5".
  package var characterMap: [UInt8]?
  /// `normalizer.lowercase`, of "bert".
  package var lowercases: Bool?
  /// `normalizer.strip_accents`, of "bert".
  package var stripsAccents: Bool?
  /// `general.name`: some models' special tokens take the space beside them, which no field says.
  package var modelName: String?

  /// Creates the fields that every tokenizer has.
  package init(file: String, model: String, tokens: [String]) {
    self.file = file
    self.model = model
    self.tokens = tokens
  }
}

extension EmbeddedTokenizer {
  /// The types of tokens that are found in a text before anything else looks at it: the unknown
  /// token, control tokens, and those that somebody defined.
  static let addedTypes = 2...4
  static let userDefinedType = 4
  /// The type of tokens that are never found in a text.
  static let unusedType = 5

  /// Whether a special token takes the white space beside it. Files don't say; llama.cpp goes by the
  /// names of the rule and of the model, and so does this.
  func strips(_ token: String) -> (left: Bool, right: Bool) {
    if token == "<mask>" || token == "[MASK]" {
      let rules = ["jina-v2-de", "jina-v2-es", "jina-v2-code", "modern-bert"]
      return (rules.contains(preTokenizer ?? "") || model == "t5", false)
    }
    let name = modelName?.lowercased() ?? ""
    guard name.contains("phi-3") || name.contains("phi3") else { return (false, false) }
    return (false, !["<unk>", "<s>", "<|endoftext|>"].contains(token))
  }
}

extension TokenizerPipeline {
  /// Makes the tokenizer from a GGUF file's fields. Throws ``TokenizerError`` for an unsupported
  /// tokenizer: another model than the five, or an unknown word-splitting rule.
  package convenience init(_ fields: EmbeddedTokenizer) throws(TokenizerError) {
    self.init(try TokenizerDefinition(fields))
  }
}

extension TokenizerDefinition {
  private static let key = "tokenizer.ggml"
  /// The kinds of `tokenizer.ggml.model` that are read.
  private static let kinds = ["llama", "gpt2", "bert", "t5", "gemma4"]

  init(_ fields: EmbeddedTokenizer) throws(TokenizerError) {
    let reader = DefinitionReader(.null, file: fields.file, place: Self.key)
    for id in [
      fields.beginningOfSequence, fields.endOfSequence, fields.unknown, fields.separator,
      fields.classifier,
    ] {
      if let id, !fields.tokens.indices.contains(id) {
        throw reader.error(
          .inconsistent, expected: "ids below \(fields.tokens.count)", found: "\(id)",
          advice: "the file is damaged")
      }
    }
    guard Self.kinds.contains(fields.model) else {
      throw reader.at("model").error(
        .unsupported,
        expected: "a tokenizer of the model "
          + Self.kinds.map { "'\($0)'" }.joined(separator: ", "),
        found: "'\(fields.model)'", advice: "use a model with one of these")
    }
    if fields.model == "bert" {
      try self.init(wordPieces: fields, reader)
    } else {
      let vocabulary = try Self.vocabulary(fields.tokens, reader)
      switch fields.model {
      case "llama": try self.init(scored: fields, vocabulary, reader)
      case "t5": try self.init(unigram: fields, vocabulary, reader)
      case "gemma4": try self.init(plainMerges: fields, vocabulary, reader)
      default: try self.init(byteLevel: fields, vocabulary, reader)
      }
    }
    try addTokens(fields, reader)
    beginningOfSequence = fields.beginningOfSequence
    endOfSequence = fields.endOfSequence
    added.finish()
  }

  /// The tokens by id. Throws where two are the same.
  static func vocabulary(
    _ tokens: [String], _ reader: DefinitionReader
  ) throws(TokenizerError) -> Vocabulary {
    var vocabulary = Vocabulary(capacity: tokens.count)
    for (id, token) in tokens.enumerated() {
      let isNew = Array(token.utf8).withUnsafeBufferPointer { vocabulary.insert($0, id: id) }
      guard isNew else {
        throw reader.at("tokens").error(
          .inconsistent, expected: "a token of its own at \(id)",
          found: "\"\(token)\", which another id has", advice: "the vocabulary is damaged")
      }
    }
    return vocabulary
  }

  static func scores(
    _ fields: EmbeddedTokenizer, _ reader: DefinitionReader
  ) throws(TokenizerError) -> [Double] {
    guard let scores = fields.scores, scores.count == fields.tokens.count,
      scores.allSatisfy(\.isFinite)
    else {
      throw reader.at("scores").error(
        .malformed, expected: "a finite score for each of \(fields.tokens.count) tokens",
        found: "\(fields.scores?.count ?? 0) scores", advice: "the file is damaged")
    }
    return scores
  }

  /// The merges, which the kind must have.
  static func merges(
    _ fields: EmbeddedTokenizer, _ vocabulary: Vocabulary, _ reader: DefinitionReader
  ) throws(TokenizerError) -> MergeTable {
    guard let merges = fields.merges else {
      throw reader.at("merges").error(
        .malformed, expected: "the merges of the vocabulary", found: "nothing",
        advice: "convert the model again")
    }
    let lines = DefinitionReader(
      .array(merges.map { .string($0) }), file: fields.file, place: "\(key).merges")
    return try MergeTable(lines, vocabulary: vocabulary, continuingPrefix: [])
  }

  // MARK: SentencePiece

  private init(
    scored fields: EmbeddedTokenizer, _ vocabulary: Vocabulary, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    let scores = try Self.scores(fields, reader)
    model = BytePairModel(
      vocabulary: vocabulary, merges: MergeTable(capacity: 0),
      unknown: Int32(fields.unknown ?? -1), fusesUnknown: false, fallsBackToBytes: true,
      ignoresMerges: false, continuingPrefix: [], endSuffix: [], scores: scores.map { Float($0) })
    let space = Array("\u{2581}".utf8)
    let replaces = Normalizer.replace(.literal([0x20]), with: space)
    let hasPrefix = fields.addsSpacePrefix ?? true
    normalizer = hasPrefix ? .sequence([.prepend(space), replaces]) : replaces
    decoders = [.replace(.literal(space), with: [0x20]), .byteFallback, .fuse]
    if hasPrefix { decoders.append(.strip(content: [0x20], start: 1, stop: 0)) }
    templates = Self.template(
      fields, addsBeginning: fields.addsBeginning ?? true, addsEnd: fields.addsEnd ?? false)
  }

  // MARK: Byte level

  private init(
    byteLevel fields: EmbeddedTokenizer, _ vocabulary: Vocabulary, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    let cutting = try WordCutting(named: fields.preTokenizer, reader)
    model = BytePairModel(
      vocabulary: vocabulary,
      merges: try Self.merges(fields, vocabulary, reader), unknown: -1,
      fusesUnknown: false, fallsBackToBytes: false, ignoresMerges: cutting.ignoresMerges,
      continuingPrefix: [], endSuffix: [])
    if cutting.composes { normalizer = .unicode(.nfc) }
    var steps: [PreTokenizer] = cutting.cutsDigits ? [.digits(areIndividual: true)] : []
    for pattern in cutting.patterns {
      steps.append(
        .split(.expression(try reader.expression(pattern)), .isolated, isInverted: false))
    }
    steps.append(.byteLevel(addsPrefixSpace: fields.addsSpacePrefix ?? false, splitter: nil))
    preTokenizer = .sequence(steps)
    decoders = [.byteLevel]
    templates = Self.template(
      fields, addsBeginning: fields.addsBeginning ?? cutting.addsBeginning,
      addsEnd: fields.addsEnd ?? false)
    if cutting.addsSeparator, fields.addsBeginning ?? true, fields.addsEnd ?? true {
      // RoBERTa's kind: `<s> A </s></s> B </s>`.
      if let first = fields.classifier ?? fields.beginningOfSequence,
        let separator = fields.separator ?? fields.endOfSequence
      {
        templates = [.roberta(first: first, separator: separator)]
      }
    }
  }

  static func template(
    _ fields: EmbeddedTokenizer, addsBeginning: Bool, addsEnd: Bool
  ) -> [TextTemplate] {
    let before = addsBeginning ? fields.beginningOfSequence.map { [$0] } ?? [] : []
    let after = addsEnd ? fields.endOfSequence.map { [$0] } ?? [] : []
    return (before + after).isEmpty ? [] : [TextTemplate(before: before, after: after)]
  }

  // MARK: Special tokens

  /// Adds what is found in a text before anything else looks at it.
  private mutating func addTokens(
    _ fields: EmbeddedTokenizer, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    guard let types = fields.types else { return }
    guard types.count == fields.tokens.count else {
      throw reader.at("token_type").error(
        .inconsistent, expected: "a type for each of \(fields.tokens.count) tokens",
        found: "\(types.count)", advice: "the file is damaged")
    }
    for (token, type) in zip(fields.tokens, types) where !token.isEmpty {
      switch type {
      case _ where EmbeddedTokenizer.addedTypes.contains(type):
        let (stripsLeft, stripsRight) = fields.strips(token)
        _ = added.add(
          AddedToken(
            content: Array(token.utf8), stripsLeft: stripsLeft, stripsRight: stripsRight,
            isNormalized: false, isSpecial: type != EmbeddedTokenizer.userDefinedType),
          vocabulary: model.vocabulary, normalize: normalize)
      case 0, 1, 5, 6: break
      default:
        throw reader.at("token_type").error(
          .unsupported, expected: "types from 0 to 6", found: "\(type) of \"\(token)\"",
          advice: "convert the model again")
      }
    }
  }
}
