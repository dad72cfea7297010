extension Architecture {
  /// Ministral: Mistral with a window in the layers that the configuration says.
  ///
  /// Source: Mistral AI, *Un Ministral, des Ministraux*, 2024; names and options are those of
  /// transformers.
  public static let ministral = Architecture(
    "ministral", className: "MinistralForCausalLM",
    keys: ConfigurationKey.decoder(
      intermediateSize: 14336, maximumPositions: 131_072, keyValueHeadCount: 8)
      + ConfigurationKey.windows(default: 4096) { _ in true },
    tensors: .decoder(), derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(c) { layer in
      .init(
        attention: .init(rotary: c.rotary, window: c.slidingWindows[layer]),
        feedForward: .gated(c.hiddenActivation))
    }
  }
}
