extension Architecture {
  /// BLOOM: layer norms before attention and network and behind the embedding, no positions but ALiBi's,
  /// biases everywhere, one projection for queries, keys and values, head by head.
  ///
  /// Source: BigScience Workshop, *BLOOM: a 176B-parameter open-access multilingual language model*, 2022;
  /// names and options are those of transformers.
  public static let bloom = Architecture(
    "bloom", className: "BloomForCausalLM", ggufName: "bloom",
    keys: [
      .size(\.hiddenSize, "hidden_size", or: "n_embed", gguf: "embedding_length", default: 64),
      .size(\.headCount, "n_head", or: "num_attention_heads", default: 8),
      .size(\.layerCount, "n_layer", or: "num_hidden_layers", gguf: "block_count", default: 2),
      // ALiBi has no longest sequence: what the model was trained with.
      .size(\.maximumPositions, "seq_length", gguf: "context_length", default: 2048),
      .size(\.intermediateSize, "n_inner", gguf: "feed_forward_length") { 4 * $0.hiddenSize },
      .size(\.vocabularySize, "vocab_size", default: 250_880),
      .positive(
        \.normEpsilon, "layer_norm_epsilon", gguf: "attention.layer_norm_epsilon", default: 1e-5),
      .flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: true),
      .refused(
        "apply_residual_connection_post_layernorm", "norms are added, not what they read",
        remedy: "BLOOM is supported without"),
      .constant("attention_dropout", 0.0), .constant("hidden_dropout", 0.0),
    ] + ConfigurationKey.tokens(bos: 1, eos: [2]),
    tensors: [
      TensorName("transformer.word_embeddings", "token_embd", .embedding),
      TensorName("transformer.word_embeddings_layernorm", "token_embd_norm"),
      TensorName("transformer.h.{}.input_layernorm", "blk.{}.attn_norm"),
      TensorName(
        "transformer.h.{}.self_attention.query_key_value", "blk.{}.attn_qkv", .projection,
        order: .fusedHeads),
      TensorName("transformer.h.{}.self_attention.dense", "blk.{}.attn_output", .projection),
      TensorName("transformer.h.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
      TensorName("transformer.h.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up", .projection),
      TensorName("transformer.h.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down", .projection),
      TensorName("transformer.ln_f", "output_norm"),
      TensorName("lm_head", "output", .head),
    ], isPublishedWithoutHead: true,
    tokenHead: "classifier"
  ) { c in
    TransformerStructure(c, embedding: .init(norm: .layer), norm: .layer) { _ in
      .init(
        attention: .init(
          projections: .fusedByHead, bias: true, outputBias: true,
          slopes: TransformerStructure.Attention.alibiSlopes(heads: c.headCount)),
        feedForward: .plain("gelu_new", bias: true), norm: .layer)
    }
  }
}
