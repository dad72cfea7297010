extension Architecture {
  /// Llama 1 to 3 and what shares their layout: SmolLM2, TinyLlama, Yi. RMS norms before
  /// attention and a gated feed-forward network, rotary positions.
  ///
  /// Source: Touvron et al., *LLaMA: open and efficient foundation language models*, 2023; names
  /// and options are those of transformers.
  public static let llama = Architecture(
    "llama", className: "LlamaForCausalLM", ggufName: "llama",
    keys: ConfigurationKey.decoder() + [
      .flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: false),
      .flag(
        "attention_output_bias", follows: "attention_bias",
        ifGGUFHas: "blk.0.attn_output.bias"),
      .flag("mlp_bias", ifGGUFHas: "blk.0.ffn_up.bias", default: false),
      .constant("pretraining_tp", 1),
    ],
    tensors: .decoder(queries: .queryHeads, keys: .keyHeads),
    derivedTensors: [".rotary_emb.inv_freq"],
    tokenHead: "score"
  ) { c in
    TransformerStructure(c) { layer in
      .init(
        attention: .init(
          bias: c[flag: "attention_bias"], outputBias: c[flag: "attention_output_bias"],
          rotary: c.rotary, window: c.slidingWindows[layer]),
        feedForward: .gated(c.hiddenActivation, bias: c[flag: "mlp_bias"]))
    }
  }
}

extension ConfigurationKey {
  /// The keys that transformers' decoders share, with Llama's defaults.
  public static func decoder(
    hiddenSize: Int = 4096, headCount: Int = 32, layerCount: Int = 32,
    intermediateSize: Int = 11008, maximumPositions: Int = 2048, keyValueHeadCount: Int? = nil,
    vocabularySize: Int = 32000, headSize: Int? = nil, normEpsilon: Double = 1e-6,
    normEpsilonKey: String = "rms_norm_eps",
    activationKey: String = "hidden_act", activation: String = "silu",
    activationMeaning: [String: String] = [:], tiesWordEmbeddings: Bool = false,
    rotary: ConfigurationKey = .rotary(), bos: Int? = 1, eos: [Int] = [2]
  ) -> [ConfigurationKey] {
    [
      .size(\.hiddenSize, "hidden_size", gguf: "embedding_length", default: hiddenSize),
      .size(\.headCount, "num_attention_heads", default: headCount),
      .size(\.layerCount, "num_hidden_layers", gguf: "block_count", default: layerCount),
      .size(
        \.maximumPositions, "max_position_embeddings", gguf: "context_length",
        default: maximumPositions),
      // A null means "as many as query heads"; an absent key the architecture's default.
      .size(\.keyValueHeadCount, "num_key_value_heads", null: { $0.headCount }) {
        keyValueHeadCount ?? $0.headCount
      },
      .headSize("head_dim", default: headSize),
      .size(
        \.intermediateSize, "intermediate_size", gguf: "feed_forward_length",
        default: intermediateSize),
      .size(\.vocabularySize, "vocab_size", default: vocabularySize),
      .positive(
        \.normEpsilon, normEpsilonKey,
        gguf: normEpsilonKey == "rms_norm_eps"
          ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
        default: normEpsilon),
      .flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: tiesWordEmbeddings),
      rotary,
      .activation(activationKey, default: activation, meaning: activationMeaning),
      .constant("attention_dropout", 0.0),
    ] + tokens(bos: bos, eos: eos)
  }
}

extension [TensorName] {
  /// The modules of Llama and its relatives.
  ///
  /// - Parameters:
  ///   - queries: the order of the queries' rows in GGUF files.
  ///   - keys: the same of the keys'.
  ///   - addsOne: whether GGUF files have the norms' weights plus one (Gemma).
  public static func decoder(
    queries: TensorName.RowOrder = .same, keys: TensorName.RowOrder = .same, addsOne: Bool = false
  ) -> [TensorName] {
    [
      TensorName("model.embed_tokens", "token_embd", .embedding),
      TensorName("model.layers.{}.input_layernorm", "blk.{}.attn_norm", addsOne: addsOne),
      TensorName("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", .projection, order: queries),
      TensorName("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", .projection, order: keys),
      TensorName("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v", .projection),
      TensorName("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output", .projection),
      TensorName("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm", addsOne: addsOne),
      TensorName("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate", .projection),
      TensorName("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up", .projection),
      TensorName("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down", .projection),
      TensorName("model.norm", "output_norm", addsOne: addsOne),
      TensorName("lm_head", "output", .head),
    ]
  }

  /// The same modules, those of some roles at other paths.
  ///
  /// - Parameters:
  ///   - paths: the paths by role, as in "ffn_up"; within a block behind its number.
  ///   - roles: the roles of modules that there are not.
  public func renaming(
    _ paths: KeyValuePairs<String, String> = [:], without roles: Set<String> = []
  ) -> [TensorName] {
    let paths = Dictionary(paths.map { ($0.key, $0.value) }) { first, _ in first }
    return filter { !roles.contains($0.role) }.map { entry in
      guard let path = paths[entry.role] else { return entry }
      let list = entry.pathInBlock.map { "\($0.list).{}." } ?? ""
      return entry.at(list + path)
    }
  }
}
