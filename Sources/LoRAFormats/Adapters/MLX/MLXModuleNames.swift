/// What mlx-lm calls the modules of a Hugging Face model.
///
/// ```swift
/// let names = MLXModuleNames(modelType: "gpt2")
/// names.name(ofPath: "transformer.h.0.attn.c_attn")  // "model.h.0.attn.c_attn"
/// ```
///
/// Most models, Llama, Qwen2 and Mistral among them, have the same names in both. The others are a
/// table here; which of them a name belongs to follows from the layers inside of its blocks.
///
/// Source: `mlx_lm/models` of 0.19 to 0.32, `sanitize` and the modules' attributes.
struct MLXModuleNames: Sendable, Hashable {
  /// A model whose modules have other names in mlx-lm.
  private struct Family: Sendable, Hashable {
    /// `model_type`.
    var modelType: String
    /// What precedes the numbers of blocks in Hugging Face's names.
    var hfBlocks: String
    /// The same in mlx-lm.
    var mlxBlocks: String
    /// The layers of a block.
    var layers: Set<String>
    /// What lies outside of the blocks, Hugging Face's names first.
    var others: [String: String]
    /// Whether mlx-lm's model has a head of its own, called as Hugging Face's.
    var hasHead = true
    /// Whether another model, whose names are the same in both, has these layers too.
    var sharesLayers = false

    /// What paths in the body alone lack, as "transformer.".
    var bodyPrefix: String { hfBlocks.split(separator: ".")[0] + "." }
  }

  private static let families = [
    Family(
      modelType: "gpt2", hfBlocks: "transformer.h", mlxBlocks: "model.h",
      layers: ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"],
      others: ["transformer.wte": "model.wte", "transformer.wpe": "model.wpe"],
      hasHead: false, sharesLayers: true),
    Family(
      modelType: "gptj", hfBlocks: "transformer.h", mlxBlocks: "model.h",
      layers: [
        "attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj", "mlp.fc_in", "mlp.fc_out",
      ],
      others: ["transformer.wte": "model.wte"]),
    Family(
      modelType: "gpt_neox", hfBlocks: "gpt_neox.layers", mlxBlocks: "model.h",
      layers: [
        "attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h",
      ],
      others: ["gpt_neox.embed_in": "model.embed_in", "embed_out": "model.embed_out"]),
  ]

  private let family: Family?
  /// Whether the names rest on a guess that a base would settle.
  let isGuess: Bool

  /// The names of the models that `config.json` calls `modelType`. Of nil, the same as Hugging
  /// Face's.
  init(modelType: String?) {
    self.init(family: Self.families.first { $0.modelType == modelType }, isGuess: false)
  }

  private init(family: Family?, isGuess: Bool) {
    self.family = family
    self.isGuess = isGuess
  }

  /// The names of the layers of an adapter, which are in Hugging Face's.
  ///
  /// Without a base the layers tell. StarCoder (`gpt_bigcode`) has the layers of GPT-2, and in mlx-lm
  /// keeps Hugging Face's names: there all heads share one of keys and values, so that `c_attn` is
  /// narrower than three times its inputs.
  init(layers: [AdapterDescription.Layer], modelType: String?) {
    if let modelType {
      self.init(modelType: modelType)
      return
    }
    let inBlocks = layers.compactMap { BlockPath($0.path) }
    let isStarCoder = layers.contains { layer in
      guard layer.path.hasSuffix(".attn.c_attn"), let change = layer.lowRank else { return false }
      return change.outputSize != 3 * change.inputSize
    }
    let family = Self.families.first { family in
      !inBlocks.isEmpty && !isStarCoder
        && inBlocks.allSatisfy { block in
          family.layers.contains(block.rest)
            && [block.stem, family.bodyPrefix + block.stem].contains(family.hfBlocks)
        }
    }
    self.init(family: family, isGuess: family?.sharesLayers ?? false)
  }

  /// Whether mlx-lm's model has no output head that an adapter could be on.
  var lacksHead: Bool { family.map { !$0.hasHead } ?? false }

  /// The name in mlx-lm of the module at `path`.
  func name(ofPath path: String) -> String {
    guard let family else { return path }
    // Adapters of the body alone leave the outermost module out.
    for whole in [path, family.bodyPrefix + path] {
      if let name = family.others[whole] { return name }
      if var block = BlockPath(whole), block.stem == family.hfBlocks {
        block.stem = family.mlxBlocks
        return block.path
      }
    }
    return path
  }

  /// The path in Hugging Face's names of what mlx-lm calls `name`.
  ///
  /// Blocks called `model.h` are those of the table alone, and no two of it have a layer in common:
  /// no base is needed to tell. `siblings` are the other names in the file, for what lies outside of
  /// the blocks.
  static func path(ofName name: String, among siblings: some Sequence<String>) -> String {
    if var block = BlockPath(name) {
      guard let family = family(of: block) else { return name }
      block.stem = family.hfBlocks
      return block.path
    }
    guard families.contains(where: { $0.others.values.contains(name) }) else { return name }
    let known = siblings.lazy.compactMap { BlockPath($0) }.compactMap { Self.family(of: $0) }.first
    let candidates = known.map { [$0] } ?? families
    for family in candidates {
      if let entry = family.others.first(where: { $0.value == name }) { return entry.key }
    }
    return name
  }

  private static func family(of block: BlockPath) -> Family? {
    families.first { $0.mlxBlocks == block.stem && $0.layers.contains(block.rest) }
  }
}
