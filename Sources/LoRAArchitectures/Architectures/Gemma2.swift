extension Architecture {
  /// Gemma 2: RMS norms before and after attention and network, whose weights are stored minus
  /// one; capped scores and logits, scaled embeddings, a window in every second layer.
  ///
  /// Source: Gemma Team, *Gemma 2: improving open language models at a practical size*, 2024;
  /// names and options are those of transformers.
  public static let gemma2 = Architecture(
    "gemma2", className: "Gemma2ForCausalLM", ggufName: "gemma2",
    keys: ConfigurationKey.decoder(
      hiddenSize: 2304, headCount: 8, layerCount: 26, intermediateSize: 9216,
      maximumPositions: 8192, keyValueHeadCount: 4, vocabularySize: 256_000, headSize: 256,
      activationKey: "hidden_activation", activation: "gelu_pytorch_tanh",
      tiesWordEmbeddings: true, bos: 2, eos: [1])
      + ConfigurationKey.windows(default: 4096) { $0 % 2 == 0 }
      + [
        .flag("attention_bias", default: false),
        // llama.cpp knows the 27B model by its 46 layers.
        .number(
          "query_pre_attn_scalar",
          inGGUF: { Double($0.layerCount == 46 ? $0.hiddenSize / $0.headCount : $0.headSize) },
          default: 256),
        .number("attn_logit_softcapping", gguf: "attn_logit_softcapping", default: 50),
        .number("final_logit_softcapping", gguf: "final_logit_softcapping", default: 30),
      ],
    tensors: [
      TensorName("model.embed_tokens", "token_embd", .embedding),
      TensorName("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", .projection),
      TensorName("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", .projection),
      TensorName("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v", .projection),
      TensorName("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output", .projection),
      TensorName("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate", .projection),
      TensorName("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up", .projection),
      TensorName("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down", .projection),
      TensorName("model.layers.{}.input_layernorm", "blk.{}.attn_norm", addsOne: true),
      TensorName(
        "model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm", addsOne: true),
      TensorName("model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm", addsOne: true),
      TensorName(
        "model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm", addsOne: true),
      TensorName("model.norm", "output_norm", addsOne: true),
      TensorName("lm_head", "output", .head),
    ].withHeadInGGUF(isTied: true), derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(
      c, embedding: .init(scale: Float(c.hiddenSize).squareRoot()), norm: .rmsPlusOne,
      logitSoftCap: c[number: "final_logit_softcapping"].map { Float($0) }
    ) { layer in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"], rotary: c.rotary,
          window: c.slidingWindows[layer],
          scale: 1 / Float(c[number: "query_pre_attn_scalar"] ?? 256).squareRoot(),
          softCap: c[number: "attn_logit_softcapping"].map { Float($0) }),
        feedForward: .gated(c.hiddenActivation), norm: .rmsPlusOne, norms: .beforeAndAfter)
    }
  }
}
