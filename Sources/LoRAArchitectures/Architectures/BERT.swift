extension Architecture {
  /// BERT: an encoder with layer norms after the sums, learned positions, types of tokens and biases
  /// everywhere; with a classifier of sequences or of tokens, or without a head.
  ///
  /// Source: Devlin et al., *BERT: pre-training of deep bidirectional transformers for language
  /// understanding*, 2019; names and options are those of transformers.
  public static let bert = Architecture(
    "bert", className: "BertForSequenceClassification",
    keys: [
      .size(\.hiddenSize, "hidden_size", default: 768),
      .size(\.headCount, "num_attention_heads", default: 12),
      .size(\.layerCount, "num_hidden_layers", default: 12),
      .size(\.intermediateSize, "intermediate_size", default: 3072),
      .size(\.maximumPositions, "max_position_embeddings", default: 512),
      .size(\.vocabularySize, "vocab_size", default: 30522),
      .count("type_vocab_size", default: 2),
      .positive(\.normEpsilon, "layer_norm_eps", default: 1e-12),
      .activation("hidden_act", default: "gelu"),
      .expected("position_embedding_type", "absolute"),
      .refused(
        "is_decoder", "the model sees only what precedes a token",
        remedy: "BERT is supported as an encoder"),
      .constant("attention_probs_dropout_prob", 0.0), .constant("hidden_dropout_prob", 0.0),
    ] + ConfigurationKey.labels + ConfigurationKey.tokens(bos: nil, eos: []),
    tensors: [
      TensorName("bert.embeddings.word_embeddings", "token_embd", .embedding),
      TensorName("bert.embeddings.position_embeddings", "position_embd"),
      TensorName("bert.embeddings.token_type_embeddings", "token_types"),
      TensorName("bert.embeddings.LayerNorm", "token_embd_norm"),
      TensorName(
        "bert.encoder.layer.{}.attention.self.query", "blk.{}.attn_q", .projection),
      TensorName("bert.encoder.layer.{}.attention.self.key", "blk.{}.attn_k", .projection),
      TensorName("bert.encoder.layer.{}.attention.self.value", "blk.{}.attn_v", .projection),
      TensorName(
        "bert.encoder.layer.{}.attention.output.dense", "blk.{}.attn_output", .projection),
      TensorName(
        "bert.encoder.layer.{}.attention.output.LayerNorm", "blk.{}.attn_output_norm"),
      TensorName("bert.encoder.layer.{}.intermediate.dense", "blk.{}.ffn_up", .projection),
      TensorName("bert.encoder.layer.{}.output.dense", "blk.{}.ffn_down", .projection),
      TensorName("bert.encoder.layer.{}.output.LayerNorm", "blk.{}.layer_output_norm"),
      TensorName("bert.pooler.dense", "cls"),
      TensorName("classifier", "cls.output", .head),
    ],
    derivedTensors: [".position_ids"], otherHeads: ["cls.", "bert.pooler."],
    formerNames: [".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"]
  ) { c in
    TransformerStructure(
      c,
      embedding: .init(
        learnsPositions: true, typeCount: c[number: "type_vocab_size"].map { Int($0) }, norm: .layer
      ),
      norm: nil,
      head: c.encoderHead(
        sequences: .init(pooling: .first, activation: "tanh"), tokens: .init())
    ) { _ in
      .init(
        attention: .init(bias: true, outputBias: true, isCausal: false),
        feedForward: .plain(c.hiddenActivation, bias: true), norm: .layer, norms: .ofSums)
    }
  }
}
