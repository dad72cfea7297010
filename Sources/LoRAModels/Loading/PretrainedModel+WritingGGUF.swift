import LoRAArchitectures
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATemplates
import LoRATensor
import LoRAText

// A GGUF file of a model that was opened from a folder.

extension PretrainedModel {
  func writeGGUF(of directory: ModelDirectory, to path: String, type: DType?) throws -> [String] {
    let wanted = type ?? storedType
    guard let number = Self.fileTypes[wanted] else {
      throw FormatError(
        .unsupported, file: path, problem: "a model as \(wanted)",
        remedy: "supported are float32, float16, bfloat16 and q8_0")
    }
    guard model is any LanguageModel else {
      throw FormatError(
        .unsupported, file: directory.path, subject: "the model",
        problem: "it predicts no next token, and GGUF files are written of language models",
        remedy: "write a folder")
    }
    let shape = try configuration.ggufKeyValues()
    let weights = try GGUFWeights(self, type: wanted, file: path)
    var values = try general(directory, weights, fileType: number)
    values += shape + (try sections(of: directory))
    values.append(.init(key: "general.file_type", value: .uint32(UInt32(number))))
    values.append(.init(key: "general.quantization_version", value: .uint32(2)))
    var warnings: [String] = []
    if directory.hasTokenizer {
      values += try tokenizerKeyValues(directory)
    } else {
      values.append(.init(key: "tokenizer.ggml.model", value: .string("no_vocab")))
      warnings.append(
        "\(path): it has no tokenizer, as '\(directory.path)' has none: programs that take text can't "
          + "use it")
    }
    let part = try GGUFWriter.part(values, tensors: weights.items, path: path)
    try AtomicFile.writeAll([part]) { drafts in
      for draft in drafts {
        warnings += try GGUFDraft(path: draft, of: path).differences(from: self)
      }
    }
    return warnings
  }

  /// How many pairs of a head turn by each of an image's positions (Qwen2-VL), which llama.cpp asks for
  /// although those of texts are all the same.
  private func sections(of directory: ModelDirectory) throws -> [GGUFFile.KeyValue] {
    guard configuration.architecture.ggufName == "qwen2vl" else { return [] }
    let top = JSONValue.object(directory.configurationObject)
    let sections = [top["text_config"] ?? top, top].lazy.compactMap { fields in
      (fields["rope_parameters"] ?? fields["rope_scaling"])?["mrope_section"]?.arrayValue
    }.first?.compactMap(\.intValue)
    guard let sections, (1...4).contains(sections.count) else {
      throw FormatError(
        .missingKey, file: FileSystem.join(directory.path, ModelDirectory.configurationFile),
        key: "mrope_section", "llama.cpp asks for it in models of 'qwen2vl'")
    }
    let padded = sections + Array(repeating: 0, count: 4 - sections.count)
    return [
      .init(
        key: "qwen2vl.rope.dimension_sections",
        value: .array(.int32(padded.map { Int32(clamping: $0) })))
    ]
  }

  /// `llama_ftype` of llama.cpp.
  private static let fileTypes: [DType: Int] = [
    .float32: 0, .float16: 1, .q8_0: 7, .bfloat16: 32,
  ]

  /// What the file is.
  private func general(
    _ directory: ModelDirectory, _ weights: GGUFWeights, fileType: Int
  ) throws -> [GGUFFile.KeyValue] {
    let name = FileSystem.absolute(directory.path).split(separator: "/").last.map { String($0) }
    var values: [GGUFFile.KeyValue] = [
      .init(
        key: "general.architecture", value: .string(configuration.architecture.ggufName ?? "")),
      .init(key: "general.type", value: .string("model")),
    ]
    let sampling = "general.sampling."
    if let count = generation.topK {
      values.append(.init(key: sampling + "top_k", value: .int32(Int32(clamping: count))))
    }
    if let share = generation.topP {
      values.append(.init(key: sampling + "top_p", value: .float32(Float(share))))
    }
    if let temperature = generation.temperature {
      values.append(.init(key: sampling + "temp", value: .float32(Float(temperature))))
    }
    values.append(.init(key: "general.name", value: .string(name ?? "model")))
    values.append(.init(key: "general.size_label", value: .string(weights.sizeLabel)))
    return values + (try ModelCard(folder: directory.path)).keyValues
  }

  /// The tokenizer and the chat templates.
  private func tokenizerKeyValues(_ directory: ModelDirectory) throws -> [GGUFFile.KeyValue] {
    var ids: EmbeddedTokenizer.Ids = [:]
    ids["bos"] = configuration.bosTokenID ?? generation.bosTokenID
    ids["eos"] = configuration.eosTokenIDs.first ?? generation.eosTokenIDs.first
    ids["pad"] = configuration.padTokenID
    let tokenizer = try EmbeddedTokenizer(
      folder: directory.path, vocabularySize: configuration.vocabularySize,
      architecture: configuration.architecture.ggufName ?? "", otherIds: ids)
    var values = tokenizer.keyValues
    // llama.cpp finds tokens that end a turn by their names; of others files say one.
    let ends = (generation.eosTokenIDs + configuration.eosTokenIDs).filter {
      $0 != tokenizer.endOfSequence && tokenizer.tokens.indices.contains($0)
    }
    if let end = ends.first {
      values.append(.init(key: "tokenizer.ggml.eot_token_id", value: .uint32(UInt32(end))))
    }
    let templates = try ChatTemplates(specialTokensAt: directory.path).sources
    let key = "tokenizer.chat_template"
    if let template = templates["default"] {
      values.append(.init(key: key, value: .string(template)))
    }
    let others = templates.keys.filter { $0 != "default" }.sorted()
    for name in others {
      values.append(.init(key: "\(key).\(name)", value: .string(templates[name] ?? "")))
    }
    if !others.isEmpty {
      values.append(.init(key: "tokenizer.chat_templates", value: .strings(others)))
    }
    return values
  }
}

extension ModelDirectory {
  /// Whether it has a tokenizer's files, whatever these say.
  fileprivate var hasTokenizer: Bool {
    EmbeddedTokenizer.folderFiles.contains { FileSystem.exists(FileSystem.join(path, $0)) }
  }
}

extension EmbeddedTokenizer {
  /// The fields under their keys.
  var keyValues: [GGUFFile.KeyValue] {
    var values: [GGUFFile.KeyValue] = []
    func add(_ name: String, _ value: GGUFValue?) {
      if let value { values.append(.init(key: "tokenizer.ggml.\(name)", value: value)) }
    }
    func id(_ name: String, _ id: Int?) {
      add("\(name)_token_id", id.map { .uint32(UInt32($0)) })
    }
    add("model", .string(model))
    add("pre", preTokenizer.map { .string($0) })
    add("tokens", .strings(tokens))
    add("scores", scores.map { .array(.float32($0.map { Float($0) })) })
    add("token_type", types.map { .array(.int32($0.map { Int32($0) })) })
    add("merges", merges.map { .strings($0) })
    id("bos", beginningOfSequence)
    id("eos", endOfSequence)
    id("unknown", unknown)
    id("seperator", separator)
    id("padding", padding)
    id("mask", mask)
    add("add_bos_token", addsBeginning.map { .bool($0) })
    add("add_eos_token", addsEnd.map { .bool($0) })
    add("add_sep_token", addsSeparator.map { .bool($0) })
    add("add_space_prefix", addsSpacePrefix.map { .bool($0) })
    add("remove_extra_whitespaces", removesExtraSpaces.map { .bool($0) })
    add("precompiled_charsmap", characterMap.map { .array(.uint8($0)) })
    return values
  }
}
