import LoRAFiles

extension Architecture {
  /// OPT: layer norms before attention and network (after them in the 350M model, whose tokens have smaller vectors), learned positions that
  /// begin at the table's third row, biases everywhere.
  ///
  /// Source: Zhang et al., *OPT: open pre-trained transformer language models*, 2022; names and options
  /// are those of transformers.
  public static let opt = Architecture(
    "opt", className: "OPTForCausalLM",
    keys: [
      .size(\.hiddenSize, "hidden_size", default: 768),
      .size(\.headCount, "num_attention_heads", default: 12),
      .size(\.layerCount, "num_hidden_layers", default: 12),
      .size(\.intermediateSize, "ffn_dim", default: 3072),
      .size(\.maximumPositions, "max_position_embeddings", default: 2048),
      .size(\.vocabularySize, "vocab_size", default: 50272),
      .flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: true),
      .positive(\.normEpsilon, "layer_norm_eps", default: 1e-5),
      .activation("activation_function", default: "relu"),
      .flag("do_layer_norm_before", default: true), .flag("enable_bias", default: true),
      .flag("_remove_final_layer_norm", default: false),
      .flag("layer_norm_elementwise_affine", default: true),
      .number("word_embed_proj_dim", default: nil),
      .constant("attention_dropout", 0.0), .constant("dropout", 0.0),
    ] + ConfigurationKey.tokens(bos: 2, eos: [2]),
    tensors: [
      TensorName("model.decoder.embed_tokens", "token_embd", .embedding),
      TensorName("model.decoder.embed_positions", "position_embd"),
      TensorName("model.decoder.project_out", "project_out", .projection),
      TensorName("model.decoder.project_in", "project_in", .projection),
      TensorName("model.decoder.layers.{}.self_attn.k_proj", "blk.{}.attn_k", .projection),
      TensorName("model.decoder.layers.{}.self_attn.v_proj", "blk.{}.attn_v", .projection),
      TensorName("model.decoder.layers.{}.self_attn.q_proj", "blk.{}.attn_q", .projection),
      TensorName("model.decoder.layers.{}.self_attn.out_proj", "blk.{}.attn_output", .projection),
      TensorName("model.decoder.layers.{}.self_attn_layer_norm", "blk.{}.attn_norm"),
      TensorName("model.decoder.layers.{}.self_attn_layer_norm", "blk.{}.attn_output_norm"),
      TensorName("model.decoder.layers.{}.fc1", "blk.{}.ffn_up", .projection),
      TensorName("model.decoder.layers.{}.fc2", "blk.{}.ffn_down", .projection),
      TensorName("model.decoder.layers.{}.final_layer_norm", "blk.{}.ffn_norm"),
      TensorName("model.decoder.layers.{}.final_layer_norm", "blk.{}.layer_output_norm"),
      TensorName("model.decoder.final_layer_norm", "output_norm"),
      TensorName("lm_head", "output", .head),
    ]
  ) { (c) throws(FormatError) in
    let size = c[number: "word_embed_proj_dim"] ?? Double(c.hiddenSize)
    guard let size = Int(exactly: size), (1...1 << 24).contains(size) else {
      throw FormatError(
        .invalidValue, file: "config.json", key: "word_embed_proj_dim",
        "\(size) is no size of a token's vector")
    }
    guard c[flag: "layer_norm_elementwise_affine"] else {
      throw FormatError(
        .unsupported, file: "config.json", key: "layer_norm_elementwise_affine",
        "norms without weights")
    }
    let (isBefore, bias) = (c[flag: "do_layer_norm_before"], c[flag: "enable_bias"])
    return TransformerStructure(
      c,
      embedding: .init(
        learnsPositions: true, positionOffset: 2, size: size == c.hiddenSize ? nil : size),
      norm: isBefore && !c[flag: "_remove_final_layer_norm"] ? .layer : nil
    ) { _ in
      .init(
        attention: .init(bias: bias, outputBias: bias),
        feedForward: .plain(c.hiddenActivation, bias: bias), norm: .layer,
        norms: isBefore ? .before : .ofSums)
    }
  }
}
