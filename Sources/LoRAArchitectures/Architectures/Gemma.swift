extension Architecture {
  /// Gemma: Llama with scaled embeddings and norms whose weights are stored minus one.
  ///
  /// Source: Gemma Team, *Gemma: open models based on Gemini research and technology*, 2024; names and
  /// options are those of transformers.
  public static let gemma = Architecture(
    "gemma", className: "GemmaForCausalLM", ggufName: "gemma",
    keys: ConfigurationKey.decoder(
      hiddenSize: 3072, headCount: 16, layerCount: 28, intermediateSize: 24576,
      maximumPositions: 8192, keyValueHeadCount: 16, vocabularySize: 256_000, headSize: 256,
      activation: "gelu_pytorch_tanh",
      // The first files say the one and mean the other.
      activationMeaning: ["gelu": "gelu_pytorch_tanh"], tiesWordEmbeddings: true, bos: 2, eos: [1])
      + [
        .flag("attention_bias", default: false),
        .refused(
          "use_bidirectional_attention", "a position sees those that follow it",
          remedy: "Gemma is supported as a language model"),
      ],
    tensors: [TensorName].decoder(addsOne: true).withHeadInGGUF(isTied: true),
    derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { c in
    TransformerStructure(
      c, embedding: .init(scale: Float(c.hiddenSize).squareRoot()), norm: .rmsPlusOne
    ) { _ in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_bias"], rotary: c.rotary),
        feedForward: .gated(c.hiddenActivation), norm: .rmsPlusOne)
    }
  }
}
