extension Architecture {
  /// RoBERTa: BERT whose positions begin behind the padding token's row, with a classifier of two layers,
  /// or of one for each token.
  ///
  /// Source: Liu et al., *RoBERTa: a robustly optimized BERT pretraining approach*, 2019; names and
  /// options are those of transformers.
  public static let roberta = robertaLike("roberta", "RobertaForSequenceClassification")

  /// XLM-RoBERTa: RoBERTa of a hundred languages, Japanese models among them.
  ///
  /// Source: Conneau et al., *Unsupervised cross-lingual representation learning at scale*, 2020.
  public static let xlmRoberta = robertaLike("xlm-roberta", "XLMRobertaForSequenceClassification")

  private static func robertaLike(_ modelType: String, _ className: String) -> Architecture {
    @Sendable func unused(_ configuration: ModelConfiguration) -> Int {
      (configuration.padTokenID ?? 1) + 1
    }
    let bertTensors = bert.tensors.filter { !["cls", "cls.output"].contains($0.role) }
    return Architecture(
      modelType, className: className,
      keys: [
        .size(\.hiddenSize, "hidden_size", default: 768),
        .size(\.headCount, "num_attention_heads", default: 12),
        .size(\.layerCount, "num_hidden_layers", default: 12),
        .size(\.intermediateSize, "intermediate_size", default: 3072),
        .positions("max_position_embeddings", default: 512, unused: unused),
        .size(\.vocabularySize, "vocab_size", default: modelType == "roberta" ? 50265 : 30522),
        .count("type_vocab_size", default: 2),
        .positive(\.normEpsilon, "layer_norm_eps", default: 1e-12),
        .activation("hidden_act", default: "gelu"),
        .expected("position_embedding_type", "absolute"),
        .refused(
          "is_decoder", "the model sees only what precedes a token",
          remedy: "it is supported as an encoder"),
        .constant("attention_probs_dropout_prob", 0.0), .constant("hidden_dropout_prob", 0.0),
      ] + ConfigurationKey.labels + ConfigurationKey.tokens(bos: 0, eos: [2]),
      tensors: bertTensors.map {
        TensorName($0.path.replacing("bert.", with: "roberta."), $0.name, $0.kind)
      } + [
        TensorName("classifier.dense", "cls"),
        TensorName("classifier.out_proj", "cls.output", .head),
        TensorName("classifier", "cls.output", .head, role: "cls.tokens"),
      ],
      derivedTensors: bert.derivedTensors, otherHeads: ["lm_head.", "roberta.pooler."],
      formerNames: bert.formerNames
    ) { c in
      TransformerStructure(
        c,
        embedding: .init(
          learnsPositions: true, positionOffset: unused(c),
          typeCount: c[number: "type_vocab_size"].map { Int($0) }, norm: .layer),
        norm: nil,
        head: c.encoderHead(
          sequences: .init(pooling: .first, activation: "tanh"),
          tokens: .init(outputRole: "cls.tokens"))
      ) { _ in
        .init(
          attention: .init(bias: true, outputBias: true, isCausal: false),
          feedForward: .plain(c.hiddenActivation, bias: true), norm: .layer, norms: .ofSums)
      }
    }
  }
}
