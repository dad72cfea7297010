extension Architecture {
  /// Qwen3: Llama with an RMS norm on each query and key head; single layers may have a window.
  ///
  /// Source: Yang et al., *Qwen3 technical report*, 2025; names and options are those of
  /// transformers.
  public static let qwen3 = Architecture(
    "qwen3", className: "Qwen3ForCausalLM", ggufName: "qwen3",
    keys: ConfigurationKey.decoder(
      intermediateSize: 22016, maximumPositions: 32768, keyValueHeadCount: 32,
      vocabularySize: 151_936, headSize: 128, bos: nil, eos: [])
      + ConfigurationKey.windowsByLayerType
      + [.flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false)],
    tensors: .decoder() + [
      TensorName("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
      TensorName("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
    ], derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(c) { layer in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"], rotary: c.rotary,
          window: c.slidingWindows[layer], headNorm: .perHead(.rms)),
        feedForward: .gated(c.hiddenActivation))
    }
  }
}
