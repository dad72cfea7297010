extension Architecture {
  /// StableLM: Llama with layer norms and rotary positions in a quarter of each head; attention and
  /// network side by side in some.
  ///
  /// Source: Bellagente et al., *Stable LM 2 1.6B technical report*, 2024; names and options are those of
  /// transformers.
  public static let stableLM = Architecture(
    "stablelm", className: "StableLmForCausalLM", ggufName: "stablelm",
    keys: ConfigurationKey.decoder(
      hiddenSize: 2560, intermediateSize: 6912, maximumPositions: 4096, keyValueHeadCount: 32,
      vocabularySize: 50304, normEpsilon: 1e-5, normEpsilonKey: "layer_norm_eps",
      rotary: .rotary(fraction: 0.25), bos: 0, eos: [0])
      + [
        .flag("use_qkv_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false),
        .flag("use_parallel_residual", gguf: "use_parallel_residual", default: false),
        .flag("qk_layernorm", default: false),
        .constant("hidden_dropout", 0.0),
      ],
    tensors: .decoder() + [
      TensorName("model.layers.{}.self_attn.q_layernorm", "blk.{}.attn_q_norm"),
      TensorName("model.layers.{}.self_attn.k_layernorm", "blk.{}.attn_k_norm"),
    ], derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(c, norm: .layer) { _ in
      .init(
        attention: .init(
          bias: c[flag: "use_qkv_bias"], rotary: c.rotary,
          headNorm: c[flag: "qk_layernorm"] ? .modulePerHead : nil),
        feedForward: .gated(c.hiddenActivation), norm: .layer,
        arrangement: c[flag: "use_parallel_residual"] ? .parallelBehindOneNorm : .sequential)
    }
  }
}
