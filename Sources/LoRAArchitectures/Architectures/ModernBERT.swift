extension Architecture {
  /// ModernBERT: an encoder with layer norms without biases before attention and network, gated networks,
  /// rotary positions, and windows of another base in two of three layers.
  ///
  /// Source: Warner et al., *Smarter, better, faster, longer: a modern bidirectional encoder*, 2024; names
  /// and options are those of transformers.
  public static let modernBERT = Architecture(
    "modernbert", className: "ModernBertForSequenceClassification",
    keys: [
      .size(\.hiddenSize, "hidden_size", default: 768),
      .size(\.headCount, "num_attention_heads", default: 12),
      .size(\.layerCount, "num_hidden_layers", default: 22),
      .size(\.intermediateSize, "intermediate_size", default: 1152),
      .size(\.maximumPositions, "max_position_embeddings", default: 8192),
      .size(\.vocabularySize, "vocab_size", default: 50368),
      .positive(\.normEpsilon, "norm_eps", default: 1e-5),
      .activation("hidden_activation", default: "gelu"),
      .rotary(
        base: 160_000, or: "global_rope_theta", windowBase: 10_000,
        windowBaseKey: "local_rope_theta"),
      .flag("norm_bias", default: false), .flag("attention_bias", default: false),
      .flag("mlp_bias", default: false), .flag("classifier_bias", default: false),
      .word("classifier_activation", default: "gelu"),
      .word("classifier_pooling", among: ["cls", "mean"], default: "cls"),
      .constant("attention_dropout", 0.0), .constant("embedding_dropout", 0.0),
      .constant("mlp_dropout", 0.0), .constant("classifier_dropout", 0.0),
    ] + ConfigurationKey.windowsAround + ConfigurationKey.labels
      + ConfigurationKey.tokens(bos: 50281, eos: [50282]),
    tensors: [
      TensorName("model.embeddings.tok_embeddings", "token_embd", .embedding),
      TensorName("model.embeddings.norm", "token_embd_norm"),
      TensorName("model.layers.{}.attn_norm", "blk.{}.attn_norm"),
      TensorName("model.layers.{}.attn.Wqkv", "blk.{}.attn_qkv", .projection),
      TensorName("model.layers.{}.attn.Wo", "blk.{}.attn_output", .projection),
      TensorName("model.layers.{}.mlp_norm", "blk.{}.ffn_norm"),
      TensorName("model.layers.{}.mlp.Wi", "blk.{}.ffn_up", .projection),
      TensorName("model.layers.{}.mlp.Wo", "blk.{}.ffn_down", .projection),
      TensorName("model.final_norm", "output_norm"),
      TensorName("head.dense", "cls"),
      TensorName("head.norm", "cls.norm"),
      TensorName("classifier", "cls.output", .head),
    ], otherHeads: ["head.", "decoder."]
  ) { c in
    let norm: TransformerStructure.Norm = c[flag: "norm_bias"] ? .layer : .layerWithoutBias
    func head(_ pooling: TransformerStructure.Classification.Pooling?)
      -> TransformerStructure.Classification
    {
      .init(
        pooling: pooling, activation: c[text: "classifier_activation"],
        denseBias: c[flag: "classifier_bias"], norm: norm)
    }
    return TransformerStructure(
      c, embedding: .init(norm: norm), norm: norm,
      head: c.encoderHead(
        sequences: head(c[text: "classifier_pooling"] == "mean" ? .mean : .first),
        tokens: head(nil))
    ) { layer in
      let (bias, window) = (c[flag: "attention_bias"], c.slidingWindows[layer])
      return .init(
        attention: .init(
          projections: .fused, bias: bias, outputBias: bias,
          rotary: window == nil ? c.rotary : c.windowRotary ?? c.rotary, isCausal: false,
          window: window),
        feedForward: .gated(c.hiddenActivation, bias: c[flag: "mlp_bias"], isFused: true),
        norm: norm, normsAttention: layer > 0)
    }
  }
}
