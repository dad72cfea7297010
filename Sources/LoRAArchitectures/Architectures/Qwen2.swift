extension Architecture {
  /// Qwen2 and Qwen2.5: Llama with biases on the query, key and value projections; single layers
  /// may have a window.
  ///
  /// Source: Yang et al., *Qwen2 technical report*, 2024; names and options are those of
  /// transformers.
  public static let qwen2 = Architecture(
    "qwen2", className: "Qwen2ForCausalLM", ggufName: "qwen2",
    keys: ConfigurationKey.decoder(
      intermediateSize: 22016, maximumPositions: 32768, keyValueHeadCount: 32,
      vocabularySize: 151_936, bos: nil, eos: []) + ConfigurationKey.windowsByLayerType,
    tensors: .decoder(), derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(c) { layer in
      .init(
        attention: .init(bias: true, rotary: c.rotary, window: c.slidingWindows[layer]),
        feedForward: .gated(c.hiddenActivation))
    }
  }
}
