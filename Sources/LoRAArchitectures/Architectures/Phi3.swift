extension Architecture {
  /// Phi-3 and Phi-4: Llama with one projection for queries, keys and values and one for gate and
  /// network; Phi-4-mini rotates a part of each head.
  ///
  /// Source: Abdin et al., *Phi-3 technical report*, 2024; names and options are those of
  /// transformers.
  public static let phi3 = Architecture(
    "phi3", className: "Phi3ForCausalLM", ggufName: "phi3",
    keys: ConfigurationKey.decoder(
      hiddenSize: 3072, intermediateSize: 8192, maximumPositions: 4096, vocabularySize: 32064,
      normEpsilon: 1e-5, rotary: .rotary(fraction: 1), eos: [32000])
      + [
        .windowInGGUF("sliding_window", default: nil), .constant("embd_pdrop", 0.0),
        .constant("resid_pdrop", 0.0),
      ],
    tensors: [
      TensorName("model.embed_tokens", "token_embd", .embedding),
      TensorName("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
      TensorName("model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv", .projection),
      TensorName("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output", .projection),
      TensorName("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
      TensorName("model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up", .projection),
      TensorName("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down", .projection),
      TensorName("model.norm", "output_norm"),
      TensorName("lm_head", "output", .head),
    ], derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(c) { layer in
      .init(
        attention: .init(
          projections: .fused, rotary: c.rotary, window: c.slidingWindows[layer]),
        feedForward: .gated(c.hiddenActivation, isFused: true))
    }
  }
}
