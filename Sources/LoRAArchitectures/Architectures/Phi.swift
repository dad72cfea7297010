extension Architecture {
  /// Phi-1 to Phi-2: attention and network side by side behind one layer norm, rotary positions in half
  /// of each head, biases everywhere.
  ///
  /// Source: Li et al., *Textbooks are all you need II: phi-1.5 technical report*, 2023; names and
  /// options are those of transformers.
  public static let phi = Architecture(
    "phi", className: "PhiForCausalLM", ggufName: "phi2",
    keys: ConfigurationKey.decoder(
      hiddenSize: 2048, layerCount: 24, intermediateSize: 8192, vocabularySize: 51200,
      normEpsilon: 1e-5, normEpsilonKey: "layer_norm_eps", activation: "gelu_new",
      rotary: .rotary(fraction: 0.5))
      + [
        .flag("qk_layernorm", default: false),
        .constant("embd_pdrop", 0.0), .constant("resid_pdrop", 0.0),
      ],
    tensors: [TensorName].decoder().renaming(
      [
        "attn_output": "self_attn.dense", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2",
        "output_norm": "model.final_layernorm",
      ], without: ["ffn_gate", "ffn_norm"]) + [
        TensorName("model.layers.{}.self_attn.q_layernorm", "blk.{}.attn_q_norm"),
        TensorName("model.layers.{}.self_attn.k_layernorm", "blk.{}.attn_k_norm"),
      ], derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(c, norm: .layer, headBias: true) { _ in
      .init(
        attention: .init(
          bias: true, outputBias: true, rotary: c.rotary,
          headNorm: c[flag: "qk_layernorm"] ? .perHead(.layer) : nil),
        feedForward: .plain(c.hiddenActivation, bias: true), norm: .layer,
        arrangement: .parallelBehindOneNorm)
    }
  }
}
