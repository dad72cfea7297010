extension Architecture {
  /// DistilBERT: half of BERT's layers, no types of tokens, names of its own.
  ///
  /// Source: Sanh et al., *DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter*,
  /// 2019; names and options are those of transformers.
  public static let distilBERT = Architecture(
    "distilbert", className: "DistilBertForSequenceClassification",
    keys: [
      .size(\.hiddenSize, "dim", or: "hidden_size", default: 768),
      .size(\.headCount, "n_heads", or: "num_attention_heads", default: 12),
      .size(\.layerCount, "n_layers", or: "num_hidden_layers", default: 6),
      .size(\.intermediateSize, "hidden_dim", default: 3072),
      .size(\.maximumPositions, "max_position_embeddings", default: 512),
      .size(\.vocabularySize, "vocab_size", default: 30522),
      // Files do not say it.
      .positive(\.normEpsilon, "layer_norm_eps", default: 1e-12),
      .activation("activation", default: "gelu"),
      .constant("attention_dropout", 0.0), .constant("dropout", 0.0), .constant("qa_dropout", 0.0),
      .constant("seq_classif_dropout", 0.0),
    ] + ConfigurationKey.labels + ConfigurationKey.tokens(bos: nil, eos: []),
    tensors: [
      TensorName("distilbert.embeddings.word_embeddings", "token_embd", .embedding),
      TensorName("distilbert.embeddings.position_embeddings", "position_embd"),
      TensorName("distilbert.embeddings.LayerNorm", "token_embd_norm"),
      TensorName("distilbert.transformer.layer.{}.attention.q_lin", "blk.{}.attn_q", .projection),
      TensorName("distilbert.transformer.layer.{}.attention.k_lin", "blk.{}.attn_k", .projection),
      TensorName("distilbert.transformer.layer.{}.attention.v_lin", "blk.{}.attn_v", .projection),
      TensorName(
        "distilbert.transformer.layer.{}.attention.out_lin", "blk.{}.attn_output", .projection),
      TensorName("distilbert.transformer.layer.{}.sa_layer_norm", "blk.{}.attn_output_norm"),
      TensorName("distilbert.transformer.layer.{}.ffn.lin1", "blk.{}.ffn_up", .projection),
      TensorName("distilbert.transformer.layer.{}.ffn.lin2", "blk.{}.ffn_down", .projection),
      TensorName("distilbert.transformer.layer.{}.output_layer_norm", "blk.{}.layer_output_norm"),
      TensorName("pre_classifier", "cls"),
      TensorName("classifier", "cls.output", .head),
    ],
    derivedTensors: [".position_ids"], otherHeads: ["vocab_"],
    formerNames: bert.formerNames
  ) { c in
    TransformerStructure(
      c, embedding: .init(learnsPositions: true, norm: .layer), norm: nil,
      head: c.encoderHead(
        sequences: .init(pooling: .first, activation: "relu"), tokens: .init())
    ) { _ in
      .init(
        attention: .init(bias: true, outputBias: true, isCausal: false),
        feedForward: .plain(c.hiddenActivation, bias: true), norm: .layer, norms: .ofSums)
    }
  }
}
