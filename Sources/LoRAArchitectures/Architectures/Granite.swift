extension Architecture {
  /// Granite: Llama with factors for embeddings, scores, sums and logits.
  ///
  /// Source: Granite Team, IBM, *Granite 3.0 language models*, 2024; names and options are those of
  /// transformers.
  public static let granite = Architecture(
    "granite", className: "GraniteForCausalLM", ggufName: "granite",
    keys: ConfigurationKey.decoder() + [
      .flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false),
      .flag("mlp_bias", ifGGUFHas: "blk.0.ffn_up.bias", default: false),
      .number("embedding_multiplier", gguf: "embedding_scale", default: 1),
      .number("attention_multiplier", gguf: "attention.scale", default: 1),
      .number("residual_multiplier", gguf: "residual_scale", default: 1),
      .number("logits_scaling", gguf: "logit_scale", default: 1),
    ],
    tensors: llama.tensors, derivedTensors: llama.derivedTensors
  ) { c in
    TransformerStructure(
      c, embedding: .init(scale: Float(c[number: "embedding_multiplier"] ?? 1)),
      logitScale: 1 / Float(c[number: "logits_scaling"] ?? 1)
    ) { _ in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"], rotary: c.rotary,
          scale: Float(c[number: "attention_multiplier"] ?? 1)),
        feedForward: .gated(c.hiddenActivation, bias: c[flag: "mlp_bias"]),
        residualScale: Float(c[number: "residual_multiplier"] ?? 1))
    }
  }
}
