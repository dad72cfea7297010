public import LoRAArchitectures
public import LoRAModels
public import LoRATensor

/// Transformers with a few thousand random parameters, for tests that need a whole model without a
/// file.
///
/// ```swift
/// let model = try TinyModels.make(.llama)
/// try model.inject(LoRA(rank: 2, alpha: 6))
/// let logits = model(TinyModels.tokens([2, 7]))
/// ```
///
/// The same seed gives the same model on every machine. Weights are ten times larger than in an
/// untrained real model, so that mistakes show in the logits.
public enum TinyModels {
  /// The architectures of language models that continue a text; ``make(_:seed:)`` accepts those of
  /// encoder-decoders too.
  public static var languageModels: [Architecture] {
    Architecture.all.filter {
      let model = try? configuration($0).randomModel()
      return model is any PretrainedLanguageModel && model?.targetStart == nil
    }
  }

  /// The vocabulary size of every tiny model.
  public static let vocabularySize = 24

  /// The configuration: two layers; four experts, of which two are active, where there are any, in
  /// Qwen3-MoE's first layer alone; four heads of size 4, or 8 where a quarter of each is rotated, which share two key heads if the
  /// architecture allows it; tied embeddings except for Llama; three labels for classifiers.
  public static func configuration(
    _ architecture: Architecture = .llama
  ) -> ModelConfiguration {
    var configuration = ModelConfiguration(
      architecture: architecture, hiddenSize: 16, intermediateSize: 24, layerCount: 2,
      headCount: 4, keyValueHeadCount: architecture.hasKey(of: \.keyValueHeadCount) ? 2 : 4,
      vocabularySize: vocabularySize,
      tiesWordEmbeddings: architecture != .llama && architecture.hasKey(of: \.tiesWordEmbeddings),
      maximumPositions: 64, eosTokenIDs: [1])
    // A part of each head that is at least a pair.
    if configuration.rotary.fraction < 0.5 {
      configuration.hiddenSize *= 2
      configuration.headSize *= 2
    }
    if configuration[number: "rotary_dim"] != nil { configuration[number: "rotary_dim"] = 2 }
    for key in ["num_experts", "num_local_experts"] where configuration[number: key] != nil {
      configuration[number: key] = 4
      configuration[number: "num_experts_per_tok"] = 2
    }
    if configuration[number: "moe_intermediate_size"] != nil {
      configuration[number: "moe_intermediate_size"] = 12
      configuration[numbers: "mlp_only_layers"] = [1]
    }
    if configuration[number: "hidden_size_per_layer_input"] != nil {
      configuration[number: "hidden_size_per_layer_input"] = 6
      configuration[number: "vocab_size_per_layer_input"] = Double(vocabularySize)
      configuration[number: "num_kv_shared_layers"] = 1
    }
    // Its key heads count only there.
    if architecture == .falcon {
      configuration[flag: "new_decoder_architecture"] = true
      configuration.keyValueHeadCount = 2
    }
    if configuration.classifierKind != nil { configuration.labels = ["no", "perhaps", "yes"] }
    return configuration
  }

  /// A language model with ``configuration(_:)`` and random weights, all trainable. Throws for an
  /// encoder architecture: make those with `randomModel(standardDeviation:seed:)`.
  public static func make(
    _ architecture: Architecture = .llama, seed: UInt64 = 0
  ) throws -> any PretrainedLanguageModel {
    try configuration(architecture).randomLanguageModel(standardDeviation: 0.2, seed: seed)
  }

  /// Random token ids in the vocabulary of every tiny model, int64.
  public static func tokens(_ shape: Shape, seed: UInt64 = 0) -> Tensor {
    var random = SeededRandom(seed: seed, path: "TinyModels.tokens")
    let ids = (0..<shape.elementCount).map { _ in
      Int64.random(in: 0..<Int64(vocabularySize), using: &random)
    }
    return Tensor(ids, shape: shape)
  }
}
