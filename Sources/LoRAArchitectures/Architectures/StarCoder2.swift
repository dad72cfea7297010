extension Architecture {
  /// StarCoder 2: Llama with layer norms, a plain network and biases; a window in some.
  ///
  /// Source: Lozhkov et al., *StarCoder 2 and The Stack v2: the next generation*, 2024; names and options
  /// are those of transformers.
  public static let starCoder2 = Architecture(
    "starcoder2", className: "Starcoder2ForCausalLM", ggufName: "starcoder2",
    keys: ConfigurationKey.decoder(
      hiddenSize: 3072, headCount: 24, layerCount: 30, intermediateSize: 12288,
      maximumPositions: 4096, keyValueHeadCount: 2, vocabularySize: 49152, normEpsilon: 1e-5,
      normEpsilonKey: "norm_epsilon", activation: "gelu_pytorch_tanh", tiesWordEmbeddings: true,
      bos: 50256, eos: [50256])
      + [
        .window("sliding_window", default: nil),
        .flag("use_bias", ifGGUFHas: "blk.0.attn_q.bias", default: true),
        .constant("embedding_dropout", 0.0), .constant("residual_dropout", 0.0),
      ],
    tensors: [TensorName].decoder().renaming(
      ["ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"], without: ["ffn_gate"]),
    derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    let bias = c[flag: "use_bias"]
    return TransformerStructure(c, norm: .layer) { layer in
      .init(
        attention: .init(
          bias: bias, outputBias: bias, rotary: c.rotary, window: c.slidingWindows[layer]),
        feedForward: .plain(c.hiddenActivation, bias: bias), norm: .layer)
    }
  }
}
