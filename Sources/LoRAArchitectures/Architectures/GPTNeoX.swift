extension Architecture {
  /// GPT-NeoX and Pythia: attention and network side by side, each behind its layer norm, rotary positions
  /// in a quarter of each head, one projection for queries, keys and values, head by head.
  ///
  /// Source: Black et al., *GPT-NeoX-20B: an open-source autoregressive language model*, 2022; names and
  /// options are those of transformers.
  public static let gptNeoX = Architecture(
    "gpt_neox", className: "GPTNeoXForCausalLM", ggufName: "gptneox",
    keys: [
      .size(\.hiddenSize, "hidden_size", gguf: "embedding_length", default: 6144),
      .size(\.headCount, "num_attention_heads", default: 64),
      .size(\.layerCount, "num_hidden_layers", gguf: "block_count", default: 44),
      .size(
        \.intermediateSize, "intermediate_size", gguf: "feed_forward_length", default: 24576),
      .size(
        \.maximumPositions, "max_position_embeddings", gguf: "context_length", default: 2048),
      .size(\.vocabularySize, "vocab_size", default: 50432),
      .positive(
        \.normEpsilon, "layer_norm_eps", gguf: "attention.layer_norm_epsilon", default: 1e-5),
      .flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: false),
      .rotary(or: "rotary_emb_base", fraction: 0.25, fractionKey: "rotary_pct"),
      .activation("hidden_act", default: "gelu"),
      .flag("use_parallel_residual", gguf: "use_parallel_residual", default: true),
      .flag("attention_bias", ifGGUFHas: "blk.0.attn_qkv.bias", default: true),
      .constant("attention_dropout", 0.0), .constant("hidden_dropout", 0.0),
    ] + ConfigurationKey.tokens(bos: 0, eos: [2]),
    tensors: [
      TensorName("gpt_neox.embed_in", "token_embd", .embedding),
      TensorName("gpt_neox.layers.{}.input_layernorm", "blk.{}.attn_norm"),
      TensorName(
        "gpt_neox.layers.{}.attention.query_key_value", "blk.{}.attn_qkv", .projection,
        order: .fusedHeads),
      TensorName("gpt_neox.layers.{}.attention.dense", "blk.{}.attn_output", .projection),
      TensorName("gpt_neox.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
      TensorName("gpt_neox.layers.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up", .projection),
      TensorName("gpt_neox.layers.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down", .projection),
      TensorName("gpt_neox.final_layer_norm", "output_norm"),
      TensorName("embed_out", "output", .head),
    ],
    derivedTensors: [
      ".attention.bias", ".attention.masked_bias", ".attention.rotary_emb.inv_freq",
    ],
    tokenHead: "classifier"
  ) { c in
    TransformerStructure(c, norm: .layer) { _ in
      .init(
        attention: .init(
          projections: .fusedByHead, bias: c[flag: "attention_bias"],
          outputBias: c[flag: "attention_bias"], rotary: c.rotary),
        feedForward: .plain(c.hiddenActivation, bias: true), norm: .layer,
        arrangement: c[flag: "use_parallel_residual"] ? .parallel : .sequential)
    }
  }
}
