import LoRAJSON
import LoRAPatterns

// Tokenizers whose files are lists of tokens, as transformers reads them.

extension TokenizerDefinition {
  // MARK: vocab.json and merges.txt

  init(
    vocabulary: [UInt8], merges: [UInt8], directory: String, config: JSONObject?
  ) throws(TokenizerError) {
    let configFile = "\(directory)/tokenizer_config.json"
    let reader = DefinitionReader(.object(config ?? [:]), file: configFile)
    let kind = Self.tokenizerClass(config) ?? "none"
    let entries = DefinitionReader(
      try TokenizerFiles.parse(vocabulary, file: "\(directory)/vocab.json"),
      file: "\(directory)/vocab.json")
    let ids = try Vocabulary(entries)
    let table = try MergeTable(
      lines: merges, file: "\(directory)/merges.txt", vocabulary: ids, continuingPrefix: [])
    model = BytePairModel(
      vocabulary: ids, merges: table, unknown: -1, fusesUnknown: false, fallsBackToBytes: false,
      ignoresMerges: false, continuingPrefix: [], endSuffix: [])
    decoders = [.byteLevel]
    let addsPrefixSpace = try reader.optional("add_prefix_space")?.boolean() ?? false
    switch kind {
    case "Qwen2Tokenizer":
      normalizer = .unicode(.nfc)
      preTokenizer = .sequence([
        .split(
          .expression(try reader.expression(Self.qwen2Pattern)), .isolated, isInverted: false),
        .byteLevel(addsPrefixSpace: addsPrefixSpace, splitter: nil),
      ])
    case "GPT2Tokenizer":
      preTokenizer = .byteLevel(
        addsPrefixSpace: addsPrefixSpace,
        splitter: try reader.expression(PreTokenizer.byteLevelPattern))
    default:
      throw reader.at("tokenizer_class").error(
        .unsupported, expected: "Qwen2Tokenizer or GPT2Tokenizer beside vocab.json",
        found: kind,
        advice: "save the tokenizer as tokenizer.json (transformers' save_pretrained does)")
    }
  }

  /// The pattern that `transformers` gives Qwen2's tokenizer when there is no tokenizer.json.
  static let qwen2Pattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"#
    + #"|\s*[\r\n]+|\s+(?!\S)|\s+"#

  // MARK: vocab.txt

  /// The classes whose vocab.txt is BERT's.
  private static let bertClasses: Set = [
    "BertTokenizer", "ConvBertTokenizer", "DistilBertTokenizer", "ElectraTokenizer",
    "LayoutLMTokenizer", "MobileBertTokenizer", "RetriBertTokenizer", "SqueezeBertTokenizer",
  ]

  /// The special tokens of BERT's vocabulary, where no file names others.
  static let bertTokens: KeyValuePairs = [
    "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
    "mask_token": "[MASK]",
  ]

  /// BERT's tokenizer of a vocabulary of one token a line. The template follows with the names of
  /// the special tokens.
  init(
    wordPieces text: [UInt8], directory: String, config: JSONObject
  ) throws(TokenizerError) {
    let reader = DefinitionReader(
      .object(config), file: "\(directory)/tokenizer_config.json")
    if let kind = Self.tokenizerClass(config), !Self.bertClasses.contains(kind) {
      throw reader.at("tokenizer_class").error(
        .unsupported,
        expected: "\(Self.bertClasses.sorted().joined(separator: ", ")) beside vocab.txt",
        found: kind,
        advice: kind == "BertJapaneseTokenizer"
          ? "it cuts words with MeCab, which is no part of this library; use a model whose folder has a "
            + "tokenizer.json"
          : "save the tokenizer as tokenizer.json (transformers' save_pretrained does)")
    }
    guard String(validating: text, as: UTF8.self) != nil, !text.isEmpty else {
      throw TokenizerError(
        .malformed, file: "\(directory)/vocab.txt", expected: "a token a line in UTF-8",
        found: text.isEmpty ? "an empty file" : "other bytes", advice: "restore the file")
    }
    let vocabulary = Vocabulary(lines: text)
    let unknown = try Self.content(of: reader.required("unk_token"))
    let id = vocabulary.id(of: unknown)
    guard id >= 0 else {
      throw reader.at("unk_token").error(
        .inconsistent, expected: "a token of vocab.txt",
        found: String(decoding: unknown, as: UTF8.self), advice: "correct one of the files")
    }
    model = try WordPieceModel(
      vocabulary: vocabulary, unknown: id, prefix: Array("##".utf8), longestWord: 100)
    normalizer = .bert(
      BertNormalizer(
        separatesIdeographs: try reader.optional("tokenize_chinese_chars")?.boolean() ?? true,
        stripsAccents: try reader.optional("strip_accents")?.boolean(),
        lowercases: try reader.optional("do_lower_case")?.boolean() ?? true))
    preTokenizer = .bert
    decoders = [.wordPiece(prefix: Array("##".utf8), cleansUp: true)]
  }

  private static func content(of token: DefinitionReader) throws(TokenizerError) -> [UInt8] {
    if case .object = token.value { return try token.required("content").bytes() }
    return try token.bytes()
  }

  /// The class that a configuration names, without "Fast".
  static func tokenizerClass(_ config: JSONObject?) -> String? {
    config?["tokenizer_class"]?.stringValue.map {
      $0.hasSuffix("Fast") ? String($0.dropLast(4)) : $0
    }
  }
}

extension Vocabulary {
  /// The tokens of a file of one a line, with the lines' numbers from 0. Of equal lines the last
  /// counts.
  fileprivate init(lines text: [UInt8]) {
    var lines: [Range<Int>] = []
    var start = 0
    while start < text.count {
      var end = start
      while end < text.count, text[end] != 0x0A, text[end] != 0x0D { end += 1 }
      lines.append(start..<end)
      let isPair = end + 1 < text.count && text[end] == 0x0D && text[end + 1] == 0x0A
      start = end + (isPair ? 2 : 1)
    }
    self.init(capacity: lines.count)
    text.withUnsafeBufferPointer { text in
      for (id, line) in lines.enumerated().reversed() {
        _ = insert(UnsafeBufferPointer(rebasing: text[line]), id: id)
      }
    }
  }
}
