extension Architecture {
  /// Cohere's Command R: attention and gated network side by side behind one layer norm without bias,
  /// rotary positions of neighbours, scaled logits.
  ///
  /// Source: Cohere, *Command R*, 2024; names and options are those of transformers.
  public static let cohere = Architecture(
    "cohere", className: "CohereForCausalLM", ggufName: "command-r",
    keys: ConfigurationKey.decoder(
      hiddenSize: 8192, headCount: 64, layerCount: 40, intermediateSize: 22528,
      maximumPositions: 8192, vocabularySize: 256_000, normEpsilon: 1e-5,
      normEpsilonKey: "layer_norm_eps", tiesWordEmbeddings: true,
      rotary: .rotary(base: 500_000), bos: 5, eos: [255_001])
      + [
        .flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false),
        .number("logit_scale", gguf: "logit_scale", default: 0.0625),
        .flag("use_qk_norm", ifGGUFHas: "blk.0.attn_q_norm.weight", default: false),
      ],
    tensors: [TensorName].decoder().withHeadInGGUF(isTied: true).renaming(without: ["ffn_norm"]) + [
      TensorName("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
      TensorName("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
    ],
    derivedTensors: llama.derivedTensors
  ) { c in
    TransformerStructure(
      c, norm: .layerWithoutBias, logitScale: c[number: "logit_scale"].map { Float($0) }
    ) { _ in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"], rotary: c.rotary,
          rotatesNeighbours: true, headNorm: c[flag: "use_qk_norm"] ? .rowPerHead : nil),
        feedForward: .gated(c.hiddenActivation), norm: .layerWithoutBias,
        arrangement: .parallelBehindOneNorm)
    }
  }
}
