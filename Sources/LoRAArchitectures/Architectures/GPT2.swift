extension Architecture {
  /// GPT-2: layer norms before attention and feed-forward network, learned positions, biases
  /// everywhere, one projection for queries, keys and values, linear layers stored transposed.
  ///
  /// Source: Radford et al., *Language models are unsupervised multitask learners*, 2019; names
  /// and options are those of transformers.
  public static let gpt2 = Architecture(
    "gpt2", className: "GPT2LMHeadModel", ggufName: "gpt2",
    keys: [
      .size(\.hiddenSize, "n_embd", or: "hidden_size", gguf: "embedding_length", default: 768),
      .size(\.headCount, "n_head", or: "num_attention_heads", default: 12),
      .size(\.layerCount, "n_layer", or: "num_hidden_layers", gguf: "block_count", default: 12),
      .size(
        \.maximumPositions, "n_positions", or: "max_position_embeddings", gguf: "context_length",
        default: 1024),
      .size(\.intermediateSize, "n_inner", gguf: "feed_forward_length") { 4 * $0.hiddenSize },
      .size(\.vocabularySize, "vocab_size", default: 50257),
      .positive(
        \.normEpsilon, "layer_norm_epsilon", gguf: "attention.layer_norm_epsilon", default: 1e-5),
      .flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: true),
      .activation("activation_function", default: "gelu_new"),
      .flag("scale_attn_weights", default: true),
      .flag("scale_attn_by_inverse_layer_idx", default: false),
      // Scores are float32 here whatever the model's type.
      .flag("reorder_and_upcast_attn", default: false),
      .refused(
        "add_cross_attention", "the model attends to an encoder",
        remedy: "decoders alone are supported"),
      .constant("attn_pdrop", 0.0), .constant("embd_pdrop", 0.0), .constant("resid_pdrop", 0.0),
    ] + ConfigurationKey.tokens(bos: 50256, eos: [50256]),
    tensors: [
      TensorName("transformer.wte", "token_embd", .embedding),
      TensorName("transformer.wpe", "position_embd"),
      TensorName("transformer.h.{}.ln_1", "blk.{}.attn_norm"),
      TensorName(
        "transformer.h.{}.attn.c_attn", "blk.{}.attn_qkv", .projection, isTransposed: true),
      TensorName(
        "transformer.h.{}.attn.c_proj", "blk.{}.attn_output", .projection, isTransposed: true),
      TensorName("transformer.h.{}.ln_2", "blk.{}.ffn_norm"),
      TensorName("transformer.h.{}.mlp.c_fc", "blk.{}.ffn_up", .projection, isTransposed: true),
      TensorName("transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down", .projection, isTransposed: true),
      TensorName("transformer.ln_f", "output_norm"),
      TensorName("lm_head", "output", .head),
    ],
    // The causal mask, [1, 1, positions, positions], and the number that it put in place of scores.
    derivedTensors: [".attn.bias", ".attn.masked_bias"],
    isPublishedWithoutHead: true,
    tokenHead: "classifier"
  ) { c in
    TransformerStructure(c, embedding: .init(learnsPositions: true), norm: .layer) { layer in
      let scale = c[flag: "scale_attn_weights"] ? 1 / Float(c.headSize).squareRoot() : 1
      let isDivided = c[flag: "scale_attn_by_inverse_layer_idx"]
      return .init(
        attention: .init(
          projections: .fused, bias: true, outputBias: true,
          scale: isDivided ? scale / Float(layer + 1) : scale),
        feedForward: .plain(c.hiddenActivation, bias: true), norm: .layer)
    }
  }
}
