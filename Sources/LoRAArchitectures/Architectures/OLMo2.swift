extension Architecture {
  /// OLMo 2: Llama with RMS norms after attention and network instead of before them, and one on all
  /// query heads together and one on all key heads.
  ///
  /// Source: Team OLMo, *2 OLMo 2 Furious*, 2024; names and options are those of transformers.
  public static let olmo2 = Architecture(
    "olmo2", className: "Olmo2ForCausalLM", ggufName: "olmo2",
    keys: ConfigurationKey.decoder(
      vocabularySize: 50304, normEpsilon: 1e-5, bos: nil, eos: [50279])
      + [.flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false)],
    tensors: [
      TensorName("model.embed_tokens", "token_embd", .embedding),
      TensorName("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", .projection),
      TensorName("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", .projection),
      TensorName("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v", .projection),
      TensorName("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output", .projection),
      TensorName("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
      TensorName("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
      TensorName("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
      TensorName("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate", .projection),
      TensorName("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up", .projection),
      TensorName("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down", .projection),
      TensorName("model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"),
      TensorName("model.norm", "output_norm"),
      TensorName("lm_head", "output", .head),
    ]
  ) { c in
    TransformerStructure(c) { _ in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"], rotary: c.rotary,
          headNorm: .ofAllHeads(.rms)),
        feedForward: .gated(c.hiddenActivation), norms: .after)
    }
  }
}
