extension Architecture {
  /// Gemma 3's text model: Gemma 2 with norms on queries and keys instead of capped scores, and a window
  /// in five of six layers, whose rotary embedding is another.
  ///
  /// Source: Gemma Team, *Gemma 3 technical report*, 2025; names and options are those of transformers.
  public static let gemma3 = Architecture(
    "gemma3_text", className: "Gemma3ForCausalLM", ggufName: "gemma3",
    keys: ConfigurationKey.decoder(
      hiddenSize: 2304, headCount: 8, layerCount: 26, intermediateSize: 9216,
      maximumPositions: 131_072, keyValueHeadCount: 4, vocabularySize: 262_208, headSize: 256,
      activationKey: "hidden_activation", activation: "gelu_pytorch_tanh",
      tiesWordEmbeddings: true,
      rotary: .rotary(
        base: 1_000_000, windowBase: 10_000, windowBaseKey: "rope_local_base_freq"),
      bos: 2, eos: [1])
      + ConfigurationKey.windows(default: 4096) { ($0 + 1) % 6 != 0 }
      + [
        .windowRotaryBase, .flag("attention_bias", default: false),
        // llama.cpp knows the 27B model by its 62 layers.
        .number(
          "query_pre_attn_scalar",
          inGGUF: { Double($0.layerCount == 62 ? $0.hiddenSize / $0.headCount : $0.headSize) },
          default: 256),
        .number("attn_logit_softcapping", default: nil),
        .number("final_logit_softcapping", gguf: "final_logit_softcapping", default: nil),
        .refused(
          "use_bidirectional_attention", "a position sees those that follow it",
          remedy: "Gemma 3 is supported as a language model"),
      ],
    tensors: gemma2.tensors.withHeadInGGUF(isTied: false) + [
      TensorName("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm", addsOne: true),
      TensorName("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm", addsOne: true),
    ], derivedTensors: llama.derivedTensors
  ) { c in
    TransformerStructure(
      c, embedding: .init(scale: Float(c.hiddenSize).squareRoot()), norm: .rmsPlusOne,
      logitSoftCap: c[number: "final_logit_softcapping"].map { Float($0) }
    ) { layer in
      let window = c.slidingWindows[layer]
      return .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"],
          rotary: window == nil ? c.rotary : c.windowRotary ?? c.rotary, window: window,
          scale: 1 / Float(c[number: "query_pre_attn_scalar"] ?? 256).squareRoot(),
          softCap: c[number: "attn_logit_softcapping"].map { Float($0) },
          headNorm: .perHead(.rmsPlusOne)),
        feedForward: .gated(c.hiddenActivation), norm: .rmsPlusOne, norms: .beforeAndAfter)
    }
  }
}
