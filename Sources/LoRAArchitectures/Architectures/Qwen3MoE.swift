import LoRAFiles

extension Architecture {
  /// Qwen3's mixtures of experts: Qwen3 with experts in the place of the feed-forward networks of all
  /// layers, or of some.
  ///
  /// Source: Yang et al., *Qwen3 technical report*, 2025; names and options are those of transformers.
  /// llama.cpp divides the weights by their sum whatever the model.
  public static let qwen3MoE = Architecture(
    "qwen3_moe", className: "Qwen3MoeForCausalLM", ggufName: "qwen3moe",
    keys: ConfigurationKey.decoder(
      hiddenSize: 2048, layerCount: 24, intermediateSize: 6144, maximumPositions: 32768,
      keyValueHeadCount: 4, vocabularySize: 151_936, bos: nil, eos: [])
      + [
        .flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false),
        .windowIfUsed,
      ]
      + ConfigurationKey.experts(
        count: "num_experts", or: "num_local_experts", 128, active: 8, lossFactor: 0.001)
      + [
        .count("moe_intermediate_size", gguf: "expert_feed_forward_length", default: 768),
        .flag("norm_topk_prob", default: false, inGGUF: true),
      ] + ConfigurationKey.denseLayers,
    tensors: qwen3.tensors + .experts("model.layers.{}.mlp"),
    derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { (c) throws(FormatError) in
    let experts = try c.experts(
      size: Int(c[number: "moe_intermediate_size"] ?? 0), countKey: "num_experts",
      weighting: c[flag: "norm_topk_prob"] ? .softmaxOfAllNormalized : .softmaxOfAll)
    return TransformerStructure(c) { layer in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"], rotary: c.rotary,
          window: c.slidingWindows[layer], headNorm: .perHead(.rms)),
        feedForward: c.isSparse(layer)
          ? .mixture(c.hiddenActivation, of: experts) : .gated(c.hiddenActivation))
    }
  }
}
