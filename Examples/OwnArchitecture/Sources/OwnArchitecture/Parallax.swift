public import LoRAKit

extension Architecture {
  /// Parallax, an architecture of this package's own invention: attention and feed-forward
  /// network read one norm and are added together, only half of each head is rotated, and the
  /// first block sees eight positions back while the others see all.
  ///
  /// This file is all that the library needs to know of it.
  public static let parallax = Architecture(
    "parallax", className: "ParallaxForCausalLM", ggufName: "parallax",
    keys: [
      .size(\.hiddenSize, "width", gguf: "embedding_length", default: 64),
      .size(\.headCount, "heads", default: 4),
      .size(\.layerCount, "depth", gguf: "block_count", default: 2),
      .size(\.maximumPositions, "positions", gguf: "context_length", default: 256),
      .size(\.intermediateSize, "inner_width", gguf: "feed_forward_length") { 4 * $0.hiddenSize },
      .size(\.vocabularySize, "vocab_size", default: 256),
      .positive(
        \.normEpsilon, "norm_eps", gguf: "attention.layer_norm_rms_epsilon", default: 1e-5),
      .flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: true),
      .rotary(),
      .activation("activation", default: "gelu"),
      .flag("bias", ifGGUFHas: "blk.0.attn_q.bias", default: false),
    ] + ConfigurationKey.tokens(bos: nil, eos: [0]),
    tensors: [
      TensorName("tokens", "token_embd", .embedding),
      TensorName("blocks.{}.norm", "blk.{}.attn_norm"),
      TensorName("blocks.{}.query", "blk.{}.attn_q", .projection),
      TensorName("blocks.{}.key", "blk.{}.attn_k", .projection),
      TensorName("blocks.{}.value", "blk.{}.attn_v", .projection),
      TensorName("blocks.{}.mix", "blk.{}.attn_output", .projection),
      TensorName("blocks.{}.up", "blk.{}.ffn_up", .projection),
      TensorName("blocks.{}.down", "blk.{}.ffn_down", .projection),
      TensorName("norm", "output_norm"),
      TensorName("head", "output", .head),
    ]
  ) { c in
    TransformerStructure(c) { layer in
      .init(
        attention: .init(
          bias: c[flag: "bias"], outputBias: c[flag: "bias"], rotary: c.rotary,
          rotaryFraction: 0.5, window: layer == 0 ? 8 : nil),
        feedForward: .plain(c.hiddenActivation, bias: c[flag: "bias"]),
        arrangement: .parallelBehindOneNorm)
    }
  }
}
