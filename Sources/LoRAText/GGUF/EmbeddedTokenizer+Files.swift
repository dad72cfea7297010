import LoRAJSON

// The tokenizer of a GGUF file as Hugging Face's libraries read it: the same steps as
// ``TokenizerDefinition`` makes of the fields, in the terms of `tokenizers`.

extension EmbeddedTokenizer {
  /// The files `tokenizer.json` and `tokenizer_config.json` that give the same ids.
  ///
  /// `chatTemplate` goes into the second. Throws ``TokenizerError`` for a tokenizer that is not
  /// supported, and for one that a list of merges can't say.
  package func files(
    chatTemplate: String? = nil
  ) throws(TokenizerError) -> [(name: String, content: [UInt8])] {
    // Whatever is wrong with the fields is told as where they are used.
    _ = try TokenizerDefinition(self)
    let reader = DefinitionReader(.null, file: file, place: "tokenizer.ggml")
    func text(_ object: JSONObject) -> String {
      JSONValue.object(object).encoded(pretty: true) + "\n"
    }
    guard ["llama", "gpt2", "gemma4"].contains(model) else {
      throw reader.at("model").error(
        .unsupported, expected: "a tokenizer of the model 'llama', 'gpt2' or 'gemma4'",
        found: "'\(model)'", advice: "take the tokenizer's files from the original model")
    }
    let definition = text(
      model == "llama"
        ? try scored(reader) : model == "gemma4" ? merged() : try byteLevel(reader))
    if model == "llama" { try checkEqualScores(definition, reader) }
    return [
      ("tokenizer.json", Array(definition.utf8)),
      ("tokenizer_config.json", Array(text(configuration(chatTemplate)).utf8)),
    ]
  }

  private func configuration(_ chatTemplate: String?) -> JSONObject {
    var config: JSONObject = [
      "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false,
    ]
    for (name, id) in [
      ("bos_token", beginningOfSequence), ("eos_token", endOfSequence), ("unk_token", unknown),
      ("pad_token", padding),
    ] {
      if let id { config[name] = .string(tokens[id]) }
    }
    if let chatTemplate { config["chat_template"] = .string(chatTemplate) }
    return config
  }

  // MARK: The kinds

  /// SentencePiece's tokenizer: merges in the order of the scores.
  private func scored(_ reader: DefinitionReader) throws(TokenizerError) -> JSONObject {
    let space = JSONValue.string("\u{2581}")
    let replaces: JSONValue = [
      "type": "Replace", "pattern": ["String": " "], "content": space,
    ]
    let hasPrefix = addsSpacePrefix ?? true
    var decoders: [JSONValue] = [
      ["type": "Replace", "pattern": ["String": space], "content": " "],
      ["type": "ByteFallback"], ["type": "Fuse"],
    ]
    if hasPrefix { decoders.append(["type": "Strip", "content": " ", "start": 1, "stop": 0]) }
    let merges = try mergesByScore(reader).map { left, right -> JSONValue in
      [.string(left), .string(right)]
    }
    return definition(
      normalizer: hasPrefix
        ? ["type": "Sequence", "normalizers": [["type": "Prepend", "prepend": space], replaces]]
        : replaces,
      preTokenizer: .null, decoder: ["type": "Sequence", "decoders": .array(decoders)],
      addsBeginning: addsBeginning ?? true,
      model: model(merges, ignoresMerges: false, fallsBackToBytes: true))
  }

  /// SentencePiece's with merges (Gemma 4).
  private func merged() -> JSONObject {
    let space = JSONValue.string("\u{2581}")
    let decoders: JSONValue = [
      ["type": "Replace", "pattern": ["String": space], "content": " "], ["type": "ByteFallback"],
      ["type": "Fuse"],
    ]
    return definition(
      normalizer: ["type": "Replace", "pattern": ["String": " "], "content": space],
      preTokenizer: [
        "type": "Split", "pattern": ["Regex": .string(TokenizerDefinition.lines)],
        "behavior": "Isolated", "invert": false,
      ],
      decoder: ["type": "Sequence", "decoders": decoders], addsBeginning: true,
      model: model(
        (merges ?? []).map { .string($0) }, ignoresMerges: false, fallsBackToBytes: true))
  }

  /// A tokenizer of bytes, GPT-2's and its successors'.
  private func byteLevel(_ reader: DefinitionReader) throws(TokenizerError) -> JSONObject {
    let cutting = try WordCutting(named: preTokenizer, reader)
    func bytes(prefix: Bool) -> JSONValue {
      [
        "type": "ByteLevel", "add_prefix_space": .bool(prefix), "trim_offsets": true,
        "use_regex": false,
      ]
    }
    var steps: [JSONValue] =
      cutting.cutsDigits ? [["type": "Digits", "individual_digits": true]] : []
    for pattern in cutting.patterns {
      steps.append([
        "type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated",
        "invert": false,
      ])
    }
    steps.append(bytes(prefix: addsSpacePrefix ?? false))
    return definition(
      normalizer: cutting.composes ? ["type": "NFC"] : .null,
      preTokenizer: ["type": "Sequence", "pretokenizers": .array(steps)],
      decoder: bytes(prefix: false), addsBeginning: addsBeginning ?? cutting.addsBeginning,
      model: model(
        (merges ?? []).map { .string($0) }, ignoresMerges: cutting.ignoresMerges,
        fallsBackToBytes: false))
  }

  // MARK: Parts

  private func definition(
    normalizer: JSONValue, preTokenizer: JSONValue, decoder: JSONValue, addsBeginning: Bool,
    model: JSONValue
  ) -> JSONObject {
    [
      "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": .array(addedTokens),
      "normalizer": normalizer, "pre_tokenizer": preTokenizer,
      "post_processor": template(addsBeginning: addsBeginning), "decoder": decoder,
      "model": model,
    ]
  }

  private func model(
    _ merges: [JSONValue], ignoresMerges: Bool, fallsBackToBytes: Bool
  ) -> JSONValue {
    var vocabulary = JSONObject()
    for (id, token) in tokens.enumerated() { vocabulary[token] = .integer(Int64(id)) }
    let unknown = fallsBackToBytes ? unknown.map { JSONValue.string(tokens[$0]) } : nil
    return [
      "type": "BPE", "dropout": .null, "unk_token": unknown ?? .null,
      "continuing_subword_prefix": .null, "end_of_word_suffix": .null, "fuse_unk": false,
      "byte_fallback": .bool(fallsBackToBytes), "ignore_merges": .bool(ignoresMerges),
      "vocab": .object(vocabulary), "merges": .array(merges),
    ]
  }

  private var addedTokens: [JSONValue] {
    zip(tokens, types ?? []).enumerated().compactMap { id, entry in
      let (token, type) = entry
      guard !token.isEmpty, Self.addedTypes.contains(type) else { return nil }
      return [
        "id": .integer(Int64(id)), "content": .string(token), "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false,
        "special": .bool(type != Self.userDefinedType),
      ]
    }
  }

  private func template(addsBeginning: Bool) -> JSONValue {
    let first = addsBeginning ? beginningOfSequence : nil
    let last = addsEnd ?? false ? endOfSequence : nil
    guard first != nil || last != nil else { return .null }
    func special(_ id: Int?, _ type: Int64) -> [JSONValue] {
      id.map { [["SpecialToken": ["id": .string(tokens[$0]), "type_id": .integer(type)]]] } ?? []
    }
    func whole(_ name: JSONValue, _ type: Int64) -> [JSONValue] {
      special(first, type) + [["Sequence": ["id": name, "type_id": .integer(type)]]]
        + special(last, type)
    }
    var specials = JSONObject()
    for id in [first, last].compactMap({ $0 }) {
      let token = JSONValue.string(tokens[id])
      specials[tokens[id]] = ["id": token, "ids": [.integer(Int64(id))], "tokens": [token]]
    }
    return [
      "type": "TemplateProcessing", "single": .array(whole("A", 0)),
      "pair": .array(whole("A", 0) + whole("B", 1)), "special_tokens": .object(specials),
    ]
  }

  // MARK: Scores

  /// The pairs that join, those that spell the token of the highest score first; of equal ones those
  /// with the longest left side, as transformers orders them.
  private func mergesByScore(
    _ reader: DefinitionReader
  ) throws(TokenizerError) -> [(left: String, right: String)] {
    let scores = scores ?? []
    let ids = Dictionary(
      zip(tokens.map { Array($0.unicodeScalars) }, tokens.indices), uniquingKeysWith: { a, _ in a })
    var pairs: [(score: Double, cut: Int, rest: Int, left: Int, right: Int)] = []
    for (id, token) in tokens.enumerated() {
      let scalars = Array(token.unicodeScalars)
      for cut in scalars.indices.dropFirst() {
        let rest = scalars.count - cut
        let (left, right) = (ids[Array(scalars[..<cut])], ids[Array(scalars[cut...])])
        if let left, let right {
          pairs.append((scores[id], cut, rest, left, right))
        } else if isNormal(id), left != nil || cut == 1, right != nil || rest == 1 {
          throw reader.at("tokens").error(
            .unsupported, expected: "a token for each character of '\(token)'",
            found: "none for one",
            advice: "a tokenizer.json can't say that it is joined all the same")
        }
      }
    }
    pairs.sort {
      ($1.score, $1.cut, $1.rest, $0.left, $0.right) < (
        $0.score, $0.cut, $0.rest, $1.left, $1.right
      )
    }
    return pairs.map { (tokens[$0.left], tokens[$0.right]) }
  }

  private func isNormal(_ id: Int) -> Bool { types.map { $0[id] == 1 } ?? true }

  /// Throws where tokens of one score are joined in another order than here: of these the leftmost is
  /// first, whichever it is, which a list of merges says for none or one of them. Texts of such
  /// tokens tell.
  private func checkEqualScores(
    _ definition: String, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    let spelled = tokens.indices.filter { isNormal($0) && tokens[$0].unicodeScalars.count > 1 }
    let groups = Dictionary(grouping: spelled) { scores?[$0] ?? 0 }.values.filter { $0.count > 1 }
    if groups.isEmpty { return }
    let (own, written) = (
      try TokenizerPipeline(self), TokenizerPipeline(try TokenizerDefinition(json: definition))
    )
    func check(_ text: String) throws(TokenizerError) {
      let text = text.replacing("\u{2581}", with: " ")
      let (expected, found) = (own.encode(text), written.encode(text))
      guard expected != found else { return }
      throw reader.at("scores").error(
        .unsupported, expected: "the ids \(expected) of '\(text)', whose parts have equal scores",
        found: "\(found) by a tokenizer.json",
        advice: "it can't say that the leftmost part is joined first")
    }
    var left = 20_000
    for group in groups.sorted(by: { $0[0] < $1[0] }) {
      let ends = Set(group.flatMap { [tokens[$0].first, tokens[$0].last] }.compactMap { $0 })
      for first in group {
        for second in group where left > 0 {
          left -= 1
          let (a, b) = (tokens[first], tokens[second])
          try check(a + b)
          for end in ends { try check("\(end)\(a)\(b)\(end)") }
        }
      }
    }
  }
}
