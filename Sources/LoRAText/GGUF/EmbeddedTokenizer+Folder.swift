import LoRAJSON

// The tokenizer of a folder as the fields of a GGUF file, as llama.cpp's converter writes them.

extension EmbeddedTokenizer {
  /// Ids that other files than the tokenizer's may say, by names as "bos" and "pad".
  package typealias Ids = [String: Int]

  /// The files of which a folder has one at least if it has a tokenizer.
  package static let folderFiles =
    ["tokenizer.json", "vocab.json", "vocab.txt"] + TokenizerDefinition.sentencePieceNames

  /// Reads the tokenizer of a folder, and checks that the fields give the same ids. Throws
  /// ``TokenizerError`` for a tokenizer that llama.cpp does not know: another kind, or words that are cut
  /// otherwise.
  ///
  /// - Parameters:
  ///   - folder: where `tokenizer.json` and the like are.
  ///   - vocabularySize: how many ids the model has; those that the tokenizer lacks get a name.
  ///   - architecture: the model's, as GGUF files name it: plain byte pairs are "gemma4" in that, and
  ///     unigrams, which it alone has, "t5" in T5.
  ///   - ids: special tokens by other files, which count where the tokenizer's say nothing.
  package init(
    folder: String, vocabularySize: Int, architecture: String, otherIds ids: Ids = [:]
  ) throws(TokenizerError) {
    let definition = try TokenizerDefinition(contentsOf: folder)
    let reader = DefinitionReader(.null, file: folder, place: "")
    let kind = try Kind(definition, architecture, reader)
    self.init(file: folder, model: kind.rawValue, tokens: [])
    try setTokens(of: definition, vocabularySize, reader)
    switch kind {
    case .byteLevel: try setByteLevel(definition, reader)
    case .scored: setScored(definition)
    case .unigrams: try setUnigrams(definition, folder, reader)
    case .plainMerges:
      if let pairs = definition.model as? BytePairModel { merges = Self.merges(pairs) }
      addsSpacePrefix = false
      // Programs that read calls of tools look for these in a text.
      for (id, token) in tokens.enumerated() where Self.visible.contains(token) {
        types?[id] = Self.userDefinedType
      }
    }
    try setSpecials(of: definition, folder, ids, reader)
    try checkIds(definition, reader)
  }

  /// The kinds of tokenizers that are written.
  private enum Kind: String {
    case byteLevel = "gpt2"
    case scored = "llama"
    case plainMerges = "gemma4"
    case unigrams = "t5"

    init(
      _ definition: TokenizerDefinition, _ architecture: String, _ reader: DefinitionReader
    ) throws(TokenizerError) {
      if architecture == Self.unigrams.rawValue,
        definition.model is UnigramModel || definition.model is SentencePieceModel
      {
        self = .unigrams
        return
      }
      if let pairs = definition.model as? BytePairModel, pairs.continuingPrefix.isEmpty,
        pairs.endSuffix.isEmpty
      {
        if pairs.byteIDs != nil {
          self = architecture == Self.plainMerges.rawValue ? .plainMerges : .scored
          return
        }
        if WordCutter.cutting(by: definition.preTokenizer).mapsBytes {
          self = .byteLevel
          return
        }
      }
      if let pieces = definition.model as? SentencePieceModel, pieces.pieces.byteIDs != nil {
        self = .scored
        return
      }
      throw reader.at("model").error(
        .unsupported,
        expected:
          "byte pairs, of bytes (as GPT-2's, Llama 3's and Qwen's) or falling back to them (Llama 2's)",
        found: "a tokenizer of another kind",
        advice: "llama.cpp's convert_hf_to_gguf.py may know it")
    }
  }

  // MARK: Kinds

  /// What Gemma 4 writes round its thoughts and calls, and texts show.
  private static let visible: Set = [
    "<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>",
    "<tool_response|>", "<|\"|>",
  ]

  private mutating func setByteLevel(
    _ definition: TokenizerDefinition, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    guard let pairs = definition.model as? BytePairModel else { return }
    guard let name = WordCutting.name(of: definition, pairs) else {
      throw reader.at("pre_tokenizer").error(
        .unsupported, expected: "a way of cutting words that llama.cpp has",
        found: "another one, by which some text has other words",
        advice: "llama.cpp would give texts other ids: no GGUF file can hold this tokenizer")
    }
    preTokenizer = name
    merges = Self.merges(pairs)
  }

  /// SentencePiece's scores, or such that tokens join in the order of the list of merges.
  private mutating func setScored(_ definition: TokenizerDefinition) {
    preTokenizer = "default"
    if let model = definition.model as? SentencePieceModel {
      scores = tokens.indices.map { id in
        model.pieces.scores.indices.contains(id) ? Double(model.pieces.scores[id]) : -1000
      }
      for (id, kind) in model.pieces.kinds.enumerated() where definition.added.tokens[id] == nil {
        types?[id] = kind.rawValue
      }
    } else if let pairs = definition.model as? BytePairModel {
      // What no merge makes joins last.
      var scores = tokens.map { _ in -Double(pairs.merges.results.count) - 1 }
      for (rank, id) in pairs.merges.results.enumerated().reversed() {
        scores[Int(id)] = -Double(rank)
      }
      self.scores = scores
      for id in pairs.byteIDs ?? [] where id >= 0 { types?[Int(id)] = 6 }
      if pairs.unknown >= 0 {
        unknown = Int(pairs.unknown)
        types?[Int(pairs.unknown)] = 2
      }
    }
    addsSpacePrefix = Self.prepends(definition)
  }

  /// Whether a text begins with a space that it does not have.
  static func prepends(_ definition: TokenizerDefinition) -> Bool {
    func prepends(_ normalizer: Normalizer) -> Bool {
      switch normalizer {
      case .prepend: true
      case .sentencePiece(let normalizer): normalizer.addsSpace
      case .sequence(let steps): steps.contains { prepends($0) }
      default: false
      }
    }
    let steps = definition.preTokenizer?.steps ?? []
    return definition.normalizer.map { prepends($0) } ?? false
      || steps.contains {
        if case .metaspace(_, let scheme, _) = $0 { scheme != .never } else { false }
      }
  }

  // MARK: Tokens

  private mutating func setTokens(
    of definition: TokenizerDefinition, _ count: Int, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    let vocabulary = definition.model.vocabulary
    let used = max(vocabulary.idCount, definition.added.highestID + 1)
    guard used <= count else {
      throw reader.error(
        .inconsistent, expected: "ids below the model's vocabulary of \(count)",
        found: "\(used) ids", advice: "the tokenizer and the weights are of different models")
    }
    var types: [Int] = []
    tokens.reserveCapacity(count)
    for id in 0..<count {
      if let token = definition.added.tokens[id] {
        let text = String(decoding: token.content, as: UTF8.self)
        let isSpecial = token.isSpecial || Self.looksSpecial(text)
        tokens.append(isSpecial ? text : text.replacing("\u{2581}", with: " "))
        types.append(isSpecial ? 3 : Self.userDefinedType)
      } else if let spelling = vocabulary.spelling(of: id) {
        tokens.append(String(decoding: spelling, as: UTF8.self))
        types.append(1)
      } else {
        tokens.append("[PAD\(id)]")
        types.append(Self.unusedType)
      }
    }
    self.types = types
  }

  /// Whether a token that files call no special one is one by its name, as llama.cpp's converter has it.
  private static func looksSpecial(_ token: String) -> Bool {
    ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(token)
      || token.hasPrefix("<|") && token.hasSuffix("|>")
      || token.hasPrefix("<\u{FF5C}") && token.hasSuffix("\u{FF5C}>")
      || token.hasPrefix("<unused") && token.hasSuffix(">")
  }

  private static func merges(_ model: BytePairModel) -> [String] {
    func spelling(_ id: Int32) -> String {
      let text = String(decoding: model.vocabulary.spelling(of: Int(id)) ?? [], as: UTF8.self)
      // A space parts the two; GPT-2's alphabet has another sign for it.
      return text.replacing(" ", with: "\u{120}")
    }
    return model.merges.pairs.map { spelling($0.left) + " " + spelling($0.right) }
  }

  // MARK: Special tokens

  private mutating func setSpecials(
    of definition: TokenizerDefinition, _ folder: String, _ others: Ids,
    _ reader: DefinitionReader
  ) throws(TokenizerError) {
    let config = try TokenizerFiles.readObject("\(folder)/tokenizer_config.json") ?? [:]
    let map = try TokenizerFiles.readObject("\(folder)/special_tokens_map.json") ?? [:]
    func id(_ name: String) -> Int? {
      for object in [config, map] {
        guard let value = object["\(name)_token"], !value.isNull else { continue }
        guard let text = value.stringValue ?? value["content"]?.stringValue else { continue }
        let known = definition.model.vocabulary.id(of: text.utf8)
        if let id = definition.added.id(of: Array(text.utf8)) ?? (known >= 0 ? Int(known) : nil) {
          return id
        }
      }
      return others[name].flatMap { tokens.indices.contains($0) ? $0 : nil }
    }
    let template = SequenceTemplate(definition.templates)
    guard template.before.count <= 1, template.after.count <= 1 else {
      throw reader.at("post_processor").error(
        .unsupported, expected: "at most one token before and after a text",
        found: "\(template.before.count) before and \(template.after.count) after it",
        advice: "a GGUF file can't say it")
    }
    // Where the template has others than the names, it counts: the ids of a text are what matters.
    beginningOfSequence = template.before.first ?? id("bos")
    endOfSequence = template.after.first ?? id("eos")
    unknown = id("unk") ?? unknown
    padding = id("pad")
    separator = id("sep")
    mask = id("mask")
    addsBeginning = !template.before.isEmpty
    addsEnd = !template.after.isEmpty
  }

  // MARK: Checking

  /// Throws if the fields give other ids than the folder's tokenizer: of a text of all its tokens, and one
  /// in which characters of every kind meet.
  private func checkIds(
    _ definition: TokenizerDefinition, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    let own = TokenizerPipeline(definition)
    let written = try TokenizerPipeline(self)
    let normal = (types ?? []).enumerated().filter { $0.element == 1 }.map(\.offset)
    let texts = stride(from: 0, to: normal.count, by: 4096).map { start in
      own.decode(Array(normal[start..<min(start + 4096, normal.count)]))
    }
    for text in [WordCutting.probe] + texts {
      let (expected, found) = (own.encode(text), written.encode(text))
      guard expected != found else { continue }
      let place = zip(expected, found).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      let (start, end) = (place ?? min(expected.count, found.count), 6)
      throw reader.error(
        .unsupported,
        expected: "the ids \(expected.dropFirst(start).prefix(end).map { $0 }) of "
          + "'\(own.decode(expected.dropFirst(start).prefix(end).map { $0 }))'",
        found: "\(found.dropFirst(start).prefix(end).map { $0 }) by the rules that llama.cpp has",
        advice: "no GGUF file can hold this tokenizer")
    }
  }
}
