import LoRAFiles

extension Architecture {
  /// OLMoE: Llama with experts in the place of each feed-forward network, an RMS norm on all query heads
  /// together and one on all key heads.
  ///
  /// Source: Muennighoff et al., *OLMoE: open mixture-of-experts language models*, 2024; names and
  /// options are those of transformers.
  public static let olmoe = Architecture(
    "olmoe", className: "OlmoeForCausalLM", ggufName: "olmoe",
    keys: ConfigurationKey.decoder(
      hiddenSize: 2048, headCount: 16, layerCount: 16, intermediateSize: 2048,
      maximumPositions: 4096, vocabularySize: 50304, normEpsilon: 1e-5, bos: nil, eos: [50279])
      + [
        .flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false),
        .refusedNumber(
          "clip_qkv", "queries, keys and values would have to be clipped",
          remedy: "supported is null: models that were trained without"),
      ]
      + ConfigurationKey.experts(
        count: "num_experts", or: "num_local_experts", 64, active: 8, lossFactor: 0.01)
      + [.flag("norm_topk_prob", default: false)],
    tensors: qwen3.tensors.renaming(without: ["ffn_gate", "ffn_up", "ffn_down"])
      + .experts("model.layers.{}.mlp"),
    derivedTensors: llama.derivedTensors
  ) { (c) throws(FormatError) in
    let experts = try c.experts(
      size: c.intermediateSize, countKey: "num_experts",
      weighting: c[flag: "norm_topk_prob"] ? .softmaxOfAllNormalized : .softmaxOfAll)
    return TransformerStructure(c) { _ in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"], rotary: c.rotary,
          headNorm: .ofAllHeads(.rms)),
        feedForward: .mixture(c.hiddenActivation, of: experts))
    }
  }
}
