extension Architecture {
  /// Cohere's Command R7B: Command R with a window in three of four layers, which alone have rotary
  /// positions.
  ///
  /// Source: Cohere, *Command R7B*, 2024; names and options are those of transformers.
  public static let cohere2 = Architecture(
    "cohere2", className: "Cohere2ForCausalLM", ggufName: "cohere2",
    keys: ConfigurationKey.decoder(
      hiddenSize: 8192, headCount: 64, layerCount: 40, intermediateSize: 22528,
      maximumPositions: 8192, vocabularySize: 256_000, normEpsilon: 1e-5,
      normEpsilonKey: "layer_norm_eps", tiesWordEmbeddings: true, bos: 5, eos: [255_001])
      + ConfigurationKey.windows(default: 4096) { ($0 + 1) % 4 != 0 }
      + [
        .flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false),
        .number("logit_scale", gguf: "logit_scale", default: 0.0625),
      ],
    tensors: cohere.tensors.filter { !["attn_q_norm", "attn_k_norm"].contains($0.role) },
    derivedTensors: llama.derivedTensors
  ) { c in
    TransformerStructure(
      c, norm: .layerWithoutBias, logitScale: c[number: "logit_scale"].map { Float($0) }
    ) { layer in
      let window = c.slidingWindows[layer]
      return .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"],
          rotary: window == nil ? nil : c.rotary, rotatesNeighbours: true, window: window),
        feedForward: .gated(c.hiddenActivation), norm: .layerWithoutBias,
        arrangement: .parallelBehindOneNorm)
    }
  }
}
