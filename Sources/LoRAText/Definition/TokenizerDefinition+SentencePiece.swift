import LoRAJSON

// SentencePiece's own files (tokenizer.model, spiece.model), as its program reads them.

extension TokenizerDefinition {
  /// The names under which models of Hugging Face's hub hold SentencePiece's file.
  static let sentencePieceNames = ["tokenizer.model", "spiece.model", "sentencepiece.model"]

  /// The classes of `tokenizer_config.json` whose ids are the file's, and what they put round a text
  /// unless the configuration says otherwise.
  private static let sentencePieceClasses: [String: (first: Bool, last: Bool)] = [
    "LlamaTokenizer": (true, false), "CodeLlamaTokenizer": (true, false),
    "GemmaTokenizer": (true, false), "T5Tokenizer": (false, true),
    "PreTrainedTokenizer": (false, false), "none": (false, false),
  ]

  init(sentencePiece bytes: [UInt8], file: String) throws(TokenizerError) {
    let content = try SentencePieceFile(bytes, file: file)
    let reader = DefinitionReader(.null, file: file)
    let pieces = try SentencePieces(content, reader)
    switch content.type {
    case 1:
      let table = try UnigramLattice<Float>.Pieces(pieces)
      model = SentencePieceModel(pieces: pieces) { SentencePieceUnigrams(table) }
    case 2:
      guard !pieces.kinds.contains(.unused) else {
        throw reader.error(
          .unsupported, expected: "a model of byte pairs without unused pieces", found: "some",
          advice: "reset its vocabulary")
      }
      let merges = SentencePieceMerges.model(pieces)
      model = SentencePieceModel(pieces: pieces) { SentencePieceMerges(pieces, merges) }
    case 3, 4:
      let (areWords, spaceIsSuffix) = (content.type == 3, content.spaceIsSuffix)
      model = SentencePieceModel(pieces: pieces) {
        SentencePieceUnits(pieces, areWords: areWords, spaceIsSuffix: spaceIsSuffix)
      }
    default:
      throw reader.error(
        .unsupported, expected: "a model of unigrams, byte pairs, words or characters",
        found: "the type \(content.type)", advice: "use a model of one of these types")
    }
    guard !content.denormalizes else {
      throw reader.error(
        .unsupported, expected: "a model without a denormalizer", found: "one",
        advice: "decoded texts would be different")
    }
    var map: CharacterMap?
    if !content.characterMap.isEmpty {
      map = CharacterMap(content.characterMap)
      guard map != nil else {
        throw reader.error(
          .malformed, expected: "a trie and its replacements as precompiled_charsmap",
          found: "\(content.characterMap.count) bytes that are not that",
          advice: "restore the file")
      }
    }
    normalizer = .sentencePiece(
      SentencePieceNormalizer(
        map: map, userDefined: pieces.userDefined, addsSpace: content.addsSpace,
        removesExtraSpaces: content.removesExtraSpaces, escapesSpaces: content.escapesSpaces,
        spaceIsSuffix: content.spaceIsSuffix))
    decoders = [
      .sentencePiece(
        SentencePieceDecoding(
          unknown: Array(pieces.all.spelling(of: Int(pieces.unknown)) ?? []),
          unknownSurface: content.unknownSurface, hasBytes: pieces.byteIDs != nil,
          dropsSpace: content.addsSpace || content.removesExtraSpaces,
          dropsSpaces: content.removesExtraSpaces))
    ]
    marksSkippedTokens = true
    for (id, kind) in pieces.kinds.enumerated() where kind == .control {
      if let spelling = pieces.all.spelling(of: id) { added.markSpecial(Array(spelling)) }
    }
    func control(_ name: String) -> Int? {
      let id = pieces.all.id(of: name.utf8)
      return id >= 0 && pieces.kinds[Int(id)] == .control ? Int(id) : nil
    }
    beginningOfSequence = control(content.firstPiece)
    endOfSequence = control(content.lastPiece)
  }

  /// What a class puts before and after a text, nil where its ids are not those of the file.
  static func sentencePieceEnds(of kind: String) -> (first: Bool, last: Bool)? {
    sentencePieceClasses[kind]
  }
}

extension SentencePieces {
  init(_ file: SentencePieceFile, _ reader: DefinitionReader) throws(TokenizerError) {
    var all = Vocabulary(capacity: file.pieces.count)
    var findable = Vocabulary(capacity: file.pieces.count)
    var defined = Vocabulary(capacity: 0)
    var kinds: [Kind] = []
    var unknown: Int32 = -1
    for (id, piece) in file.pieces.enumerated() {
      func failure(_ expected: String, _ found: String) -> TokenizerError {
        reader.at("pieces[\(id)]").error(
          .malformed, expected: expected, found: found, advice: "restore the file")
      }
      guard let kind = Kind(rawValue: piece.kind), !piece.spelling.isEmpty, piece.score.isFinite,
        String(validating: piece.spelling, as: UTF8.self) != nil
      else { throw failure("a piece of a known type", "type \(piece.kind)") }
      kinds.append(kind)
      let isNew = piece.spelling.withUnsafeBufferPointer { spelling in
        let isNew = all.insert(spelling, id: id)
        switch kind {
        case .normal, .unused: _ = findable.insert(spelling, id: id)
        case .userDefined:
          _ = findable.insert(spelling, id: id)
          _ = defined.insert(spelling, id: id)
        case .unknown: unknown = unknown < 0 ? Int32(id) : -2
        case .control, .byte: break
        }
        return isNew
      }
      guard isNew else {
        throw failure(
          "a piece of its own",
          String(decoding: piece.spelling, as: UTF8.self) + ", for a second time")
      }
    }
    guard unknown >= 0 else {
      throw reader.error(
        .malformed, expected: "one piece of the unknown type",
        found: unknown == -1 ? "none" : "several", advice: "restore the file")
    }
    let byteIDs = file.fallsBackToBytes ? all.byteIDs : nil
    if let byteIDs, byteIDs.contains(where: { $0 < 0 || kinds[Int($0)] != .byte }) {
      throw reader.error(
        .malformed, expected: "a piece for each of 256 bytes, as byte_fallback asks",
        found: "fewer", advice: "restore the file")
    }
    self.init(
      all: all, findable: findable, kinds: kinds, scores: file.pieces.map(\.score),
      unknown: unknown, byteIDs: byteIDs,
      userDefined: defined.count > 0 ? try ByteTrie(of: defined) : nil)
  }
}
