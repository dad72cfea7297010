extension Architecture {
  /// Mistral: Llama with a sliding window in every layer. llama.cpp converts it to its "llama".
  ///
  /// Source: Jiang et al., *Mistral 7B*, 2023; names and options are those of transformers.
  public static let mistral = Architecture(
    "mistral", className: "MistralForCausalLM", ggufName: "llama",
    keys: ConfigurationKey.decoder(
      intermediateSize: 14336, maximumPositions: 131_072, keyValueHeadCount: 8)
      + [.window("sliding_window", default: 4096)],
    tensors: llama.tensors, derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(c) { layer in
      .init(
        attention: .init(rotary: c.rotary, window: c.slidingWindows[layer]),
        feedForward: .gated(c.hiddenActivation))
    }
  }
}
