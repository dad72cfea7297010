extension Architecture {
  /// SmolLM3: Llama with tied embeddings, in which every fourth layer has no positions.
  ///
  /// Source: Hugging Face, *SmolLM3: smol, multilingual, long-context reasoner*, 2025; names and
  /// options are those of transformers.
  public static let smolLM3 = Architecture(
    "smollm3", className: "SmolLM3ForCausalLM", ggufName: "smollm3",
    keys: ConfigurationKey.decoder(
      hiddenSize: 2048, headCount: 16, layerCount: 36, maximumPositions: 32768,
      keyValueHeadCount: 4, vocabularySize: 128_256, tiesWordEmbeddings: true,
      rotary: .rotary(base: 2_000_000), bos: 128_000, eos: [128_001])
      + [
        .flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false),
        .flag("mlp_bias", ifGGUFHas: "blk.0.ffn_up.bias", default: false),
        .refused(
          "use_sliding_window", "layers without positions see a window",
          remedy: "SmolLM3 is supported without"),
        .numbers("no_rope_layers") { ($0 + 1) % 4 == 0 ? 0 : 1 },
      ],
    tensors: .decoder(queries: .queryHeads, keys: .keyHeads), derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(c) { layer in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"],
          rotary: c[numbers: "no_rope_layers"][layer] == 0 ? nil : c.rotary),
        feedForward: .gated(c.hiddenActivation, bias: c[flag: "mlp_bias"]))
    }
  }
}
