import Foundation
import LoRAJSON

/// The parts of a tokenizer, read from files and checked.
struct TokenizerDefinition {
  var model: any WordModel
  var added = AddedTokens()
  var normalizer: Normalizer?
  var preTokenizer: PreTokenizer?
  var templates: [TextTemplate] = []
  var offsetTrims: [OffsetTrim] = []
  var decoders: [DecoderStage.Kind] = [.join]
  var beginningOfSequence: Int?
  var endOfSequence: Int?
  /// Whether decoders see where a special token was left out.
  var marksSkippedTokens = false

  init(json text: String) throws(TokenizerError) {
    try self.init(file: "tokenizer.json", bytes: Array(text.utf8))
    added.finish()
    useTemplateTokens()
  }

  init(contentsOf path: String) throws(TokenizerError) {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw TokenizerError(
        .unreadable, file: path, expected: "a tokenizer.json or a directory with one",
        found: "nothing", advice: "check the path")
    }
    guard isDirectory.boolValue else {
      let bytes = try TokenizerFiles.read(path)
      if path.hasSuffix(".model") {
        try self.init(sentencePiece: bytes, file: path)
        added.finish()
        return
      }
      try self.init(file: path, bytes: bytes)
      added.finish()
      useTemplateTokens()
      return
    }
    let directory = path.hasSuffix("/") ? String(path.dropLast()) : path
    var config = try TokenizerFiles.readObject("\(directory)/tokenizer_config.json")
    let map = try TokenizerFiles.readObject("\(directory)/special_tokens_map.json")
    let configFile = "\(directory)/tokenizer_config.json"
    if let bytes = try TokenizerFiles.readIfPresent("\(directory)/tokenizer.json") {
      try self.init(file: "\(directory)/tokenizer.json", bytes: bytes)
    } else if let vocabulary = try TokenizerFiles.readIfPresent("\(directory)/vocab.json") {
      guard let merges = try TokenizerFiles.readIfPresent("\(directory)/merges.txt") else {
        throw TokenizerError(
          .unreadable, file: "\(directory)/merges.txt", expected: "the merges of vocab.json",
          found: "no such file", advice: "put merges.txt or tokenizer.json beside it")
      }
      try self.init(
        vocabulary: vocabulary, merges: merges, directory: directory, config: config)
    } else if let vocabulary = try TokenizerFiles.readIfPresent("\(directory)/vocab.txt") {
      var whole = config ?? [:]
      for (key, token) in Self.bertTokens where whole[key]?.isNull ?? true {
        whole[key] = map?[key] ?? .string(token)
      }
      config = whole
      try self.init(wordPieces: vocabulary, directory: directory, config: whole)
      hasPostProcessor = true
      isBert = true
    } else if let name = Self.sentencePieceNames.first(where: {
      FileManager.default.fileExists(atPath: "\(directory)/\($0)")
    }) {
      let kind = Self.tokenizerClass(config) ?? "none"
      guard let ends = Self.sentencePieceEnds(of: kind) else {
        throw TokenizerError(
          .unsupported, file: configFile, place: "tokenizer_class",
          expected: "a class whose ids are those of \(name)", found: kind,
          advice: "save the tokenizer as tokenizer.json (transformers' save_pretrained does)")
      }
      let file = "\(directory)/\(name)"
      try self.init(sentencePiece: try TokenizerFiles.read(file), file: file)
      addsEndsOfClass = ends
    } else {
      throw TokenizerError(
        .unreadable, file: directory,
        expected: "tokenizer.json, or vocab.json and merges.txt, or vocab.txt, or tokenizer.model",
        found: "none", advice: "save the tokenizer as tokenizer.json")
    }
    try addTokens(of: config, file: configFile)
    try nameSequenceTokens(config, map, file: configFile, addsToTemplate: !hasPostProcessor)
    added.finish()
    useTemplateTokens()
  }

  /// Whether the files said what goes round a sequence.
  private var hasPostProcessor = false
  /// What the class puts before and after a text unless the configuration says otherwise.
  private var addsEndsOfClass = (first: false, last: false)
  /// Whether BERT's template goes round texts, which its vocab.txt can't say.
  private var isBert = false

  /// What the normalizer makes of a token; nil if there is none.
  var normalize: (([UInt8]) -> [UInt8])? {
    normalizer.map { normalizer in { normalizer.normalize($0).bytes } }
  }

  // MARK: tokenizer.json

  private init(file: String, bytes: [UInt8]) throws(TokenizerError) {
    let document = DefinitionReader(try TokenizerFiles.parse(bytes, file: file), file: file)
    let modelReader = try document.required("model")
    model = try WordModelKind.read(modelReader)
    if let reader = document.optional("normalizer") { normalizer = try Normalizer(reader) }
    if let reader = document.optional("pre_tokenizer") {
      preTokenizer = try PreTokenizer(reader)
    }
    if let reader = document.optional("post_processor") {
      hasPostProcessor = true
      templates = try TextTemplate.read(reader)
      offsetTrims = try OffsetTrim.read(reader)
    }
    if let reader = document.optional("decoder") {
      decoders = try DecoderStage.Kind.read(reader)
    }
    for reader in try document.optional("added_tokens")?.elements() ?? [] {
      let token = try AddedToken(reader)
      guard !token.content.isEmpty else { continue }
      let expected = try reader.required("id").integer()
      let id = added.add(token, vocabulary: model.vocabulary, normalize: normalize)
      guard id == expected else {
        throw reader.error(
          .inconsistent,
          expected: "the id \(id), the vocabulary's or the next free one", found: "\(expected)",
          advice: "the ids of added tokens must follow the vocabulary without a gap")
      }
    }
  }

  // MARK: tokenizer_config.json

  /// Adds the tokens of `added_tokens_decoder`, in the order of their ids.
  private mutating func addTokens(of config: JSONObject?, file: String) throws(TokenizerError) {
    let reader = DefinitionReader(.object(config ?? [:]), file: file)
    guard let decoder = reader.optional("added_tokens_decoder") else { return }
    var entries: [(id: Int, reader: DefinitionReader)] = []
    for (key, entry) in try decoder.members() {
      guard let id = Int(key) else {
        throw entry.error(
          .malformed, expected: "ids as keys", found: "\"\(key)\"", advice: "correct the key")
      }
      entries.append((id, entry))
    }
    for (id, entry) in entries.sorted(by: { $0.id < $1.id }) {
      let token = try AddedToken(entry)
      guard !token.content.isEmpty else { continue }
      let assigned = added.add(token, vocabulary: model.vocabulary, normalize: normalize)
      guard assigned == id else {
        throw entry.error(
          .inconsistent, expected: "the id \(assigned)", found: "\(id)",
          advice: "tokenizer_config.json and the vocabulary are of different tokenizers")
      }
    }
  }

  /// Finds the beginning and end of a sequence, adds the named tokens that are not known yet, and
  /// makes the template that `add_bos_token` and `add_eos_token` ask for if no file has one.
  private mutating func nameSequenceTokens(
    _ config: JSONObject?, _ map: JSONObject?, file: String, addsToTemplate: Bool
  ) throws(TokenizerError) {
    let reader = DefinitionReader(.object(config ?? [:]), file: file)
    let mapFile = file.replacingOccurrences(
      of: "tokenizer_config.json", with: "special_tokens_map.json")
    let mapReader = DefinitionReader(.object(map ?? [:]), file: mapFile)
    func named(_ key: String) throws(TokenizerError) -> AddedToken? {
      guard let entry = reader.optional(key) ?? mapReader.optional(key) else { return nil }
      if case .object = entry.value { return try AddedToken(entry) }
      return AddedToken(
        content: Array(try entry.string().utf8), isNormalized: false, isSpecial: true)
    }
    var ids: [String: Int] = [:]
    // In the order in which transformers numbers those that the vocabulary lacks.
    for key in [
      "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ] {
      guard var token = try named(key), !token.content.isEmpty else { continue }
      token.isSpecial = true
      ids[key] =
        added.id(of: token.content)
        ?? added.add(token, vocabulary: model.vocabulary, normalize: normalize)
    }
    if isBert, let first = ids["cls_token"], let separator = ids["sep_token"] {
      templates = [.bert(first: first, separator: separator)]
    }
    beginningOfSequence = ids["bos_token"] ?? beginningOfSequence
    endOfSequence = ids["eos_token"] ?? endOfSequence
    guard addsToTemplate else { return }
    let addsBeginning =
      try reader.optional("add_bos_token")?.boolean() ?? addsEndsOfClass.first
    let addsEnd = try reader.optional("add_eos_token")?.boolean() ?? addsEndsOfClass.last
    let before = addsBeginning ? beginningOfSequence.map { [$0] } ?? [] : []
    let after = addsEnd ? endOfSequence.map { [$0] } ?? [] : []
    if !(before + after).isEmpty { templates = [TextTemplate(before: before, after: after)] }
  }

  /// Takes the tokens that the template starts and ends with where no file names them.
  private mutating func useTemplateTokens() {
    for template in templates.map(\.single) {
      if beginningOfSequence == nil, case .tokens(let ids, _)? = template.first, ids.count == 1 {
        beginningOfSequence = ids[0]
      }
      if endOfSequence == nil, template.count > 1, case .tokens(let ids, _)? = template.last,
        ids.count == 1
      {
        endOfSequence = ids[0]
      }
    }
  }
}
