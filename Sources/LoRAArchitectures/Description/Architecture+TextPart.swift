import LoRAFiles
import LoRAJSON

/// The text part of models that also read images: what lies beside it, and what checkpoints call it.
///
/// A model's parameters have the names that transformers 5 gives them, "model.language_model.layers.0..."
/// and "lm_head". Checkpoints, and adapters of older versions, have others for the same.
public struct TextPart: Sendable {
  /// The architecture of the text part on its own, as "gemma3_text".
  package let alone: String
  /// The values of `text_config.model_type` that are read; the first is written.
  let modelTypes: [String]
  /// The keys of text parts that have others than the architecture's, by `text_config.model_type`: of an
  /// architecture whose structure is the same but for what these say.
  let otherKeys: [String: [ConfigurationKey]]
  /// What names begin with in files, and in the model; the first that fits holds.
  package let prefixes: [Prefix]
  /// What the names of everything else begin with, as "model.vision_tower.".
  package let otherParts: [String]

  /// What the same names begin with in a file and in the model.
  package struct Prefix: Sendable, Hashable {
    package let inFile: String
    package let inModel: String
  }

  /// The model's name of what a file calls `name`.
  package func nameInModel(_ name: String) -> String {
    guard let prefix = prefixes.first(where: { name.hasPrefix($0.inFile) }) else { return name }
    return prefix.inModel + name.dropFirst(prefix.inFile.count)
  }

  /// What files may call the model's `name`, the likeliest first.
  func namesInFile(_ name: String) -> [String] {
    prefixes.filter { name.hasPrefix($0.inModel) }
      .map { $0.inFile + name.dropFirst($0.inModel.count) }
      .filter { nameInModel($0) == name }
  }

  /// Whether the architecture of a text part on its own is called `modelType`.
  package func isAlone(_ modelType: String?) -> Bool {
    modelType.map { $0 == alone || otherKeys[$0] != nil } ?? false
  }

  /// The text part of a GGUF file with these keys, where it has others than the architecture's: the one
  /// that reads a key which the file has and the others do not know.
  func type(in architecture: Architecture, _ hasKey: (String) -> Bool) -> String? {
    func all(_ keys: [ConfigurationKey]) -> Set<String> {
      Set(keys.compactMap(\.gguf) + keys.flatMap(\.otherGGUF))
    }
    let known = all(architecture.keys)
    return otherKeys.keys.sorted().first { type in
      all(otherKeys[type] ?? []).subtracting(known).contains(where: hasKey)
    }
  }

  /// What the text part of such a model calls a layer where it stands alone, and the other way round.
  package static func otherNames(of path: String) -> [String] {
    let whole = "model.language_model."
    let plain = path.hasPrefix(whole) ? "model." + path.dropFirst(whole.count) : nil
    let inWhole = path.hasPrefix("model.") ? whole + path.dropFirst("model.".count) : nil
    return [plain ?? inWhole].compactMap { $0 }
  }

  /// The part of a `config.json` that describes the text: `text_config` with what the model as a whole
  /// says, or the file itself where it is older than that.
  func fields(_ top: JSONFields) throws(FormatError) -> JSONFields {
    guard let text = try top.object("text_config") else { return top }
    let known = modelTypes + otherKeys.keys.sorted()
    if let found = try text.string("model_type"), !known.contains(found) {
      throw text.error(
        .unsupported, "model_type", "a text part of the architecture '\(found)' is not supported",
        "supported are \(known.map { "'\($0)'" }.joined(separator: ", "))")
    }
    var object = text.object
    for key in ["architectures", "quantization_config", "dtype", "torch_dtype"] {
      if let value = top[key] { object[key] = value }
    }
    let ties = "tie_word_embeddings"
    if let value = top[ties], text[ties] == nil || value.boolValue == true { object[ties] = value }
    return JSONFields(object: object, file: top.file, prefix: "text_config.")
  }
}

extension Architecture {
  /// The keys, of the text part that `text_config` calls so.
  func keys(ofTextPart type: String?) -> [ConfigurationKey] {
    type.flatMap { textPart?.otherKeys[$0] } ?? keys
  }

  /// This architecture as the text part of a model that also reads images.
  ///
  /// - Parameters:
  ///   - modelType: `model_type` of that model.
  ///   - className: its class in transformers.
  ///   - ggufName: what GGUF files call it; nil: as they call this architecture.
  ///   - modelTypes: what `text_config` may call the text part.
  ///   - keys: the text part's keys, where they are others than this architecture's.
  ///   - otherKeys: those of further text parts of the same structure, by what `text_config` calls them.
  ///   - images: what the names of the other parts begin with in the model, without "model.".
  ///   - areFlat: whether older files call the text part "model." and the others by their names alone,
  ///     not "language_model.model." (Qwen2-VL).
  func textPart(
    of modelType: String, _ className: String, ggufName: String? = nil, modelTypes: [String],
    keys: [ConfigurationKey]? = nil, otherKeys: [String: [ConfigurationKey]] = [:],
    images: [String], areFlat: Bool = false
  ) -> Architecture {
    let inModel = "model.language_model."
    var prefixes = [TextPart.Prefix(inFile: inModel, inModel: inModel)]
    for part in images {
      prefixes.append(.init(inFile: "model.\(part).", inModel: "model.\(part)."))
      prefixes.append(.init(inFile: "\(part).", inModel: "model.\(part)."))
    }
    prefixes += [
      .init(inFile: "language_model.model.", inModel: inModel),
      .init(inFile: "language_model.lm_head.", inModel: "lm_head."),
    ]
    if areFlat { prefixes.append(.init(inFile: "model.", inModel: inModel)) }
    var result = Architecture(
      modelType, className: className, ggufName: ggufName ?? self.ggufName, keys: keys ?? self.keys,
      tensors: tensors.map { entry in
        guard entry.path.hasPrefix("model.") else { return entry }
        return entry.at(inModel + entry.path.dropFirst("model.".count))
      },
      derivedTensors: derivedTensors, otherHeads: images.map { "model.\($0)." },
      structure: structure)
    result.textPart = TextPart(
      alone: self.modelType, modelTypes: modelTypes, otherKeys: otherKeys, prefixes: prefixes,
      otherParts: images.map { "model.\($0)." })
    return result
  }
}
