import LoRAFiles
import LoRAJSON

extension Architecture {
  /// T5: an encoder that reads a source and a decoder that writes a target, which sees the encoder's
  /// hidden states by cross attention. RMS norms, no biases, no positions but a bias of scores by distance,
  /// scores that nothing scales; version 1.0 has networks without gates and scales what its head reads,
  /// version 1.1 (and FLAN) has gates and a head of its own. An encoder alone is supported too.
  ///
  /// Source: Raffel et al., *Exploring the limits of transfer learning with a unified text-to-text
  /// transformer*, 2020; Shazeer, *GLU variants improve transformer*, 2020; names and options are those of
  /// transformers.
  public static let t5 = Architecture(
    "t5", className: "T5ForConditionalGeneration", ggufName: "t5",
    keys: ConfigurationKey.t5(vocabularySize: 32128, feedForward: 2048, layers: 6, heads: 8, "relu")
      + scaledHead,
    tensors: .t5, derivedTensors: t5Unused, embeddingCopies: t5Copies, isHeadFoundInFile: true
  ) { (c) throws(FormatError) in
    try t5Structure(c, logitScale: c[flag: "scale_decoder_outputs"])
  }

  /// mT5: T5 1.1 with the vocabulary of a hundred languages, whose head reads what nothing scales, tied or
  /// not.
  ///
  /// Source: Xue et al., *mT5: a massively multilingual pre-trained text-to-text transformer*, 2021; names
  /// and options are those of transformers.
  public static let mt5 = Architecture(
    "mt5", className: "MT5ForConditionalGeneration", ggufName: "t5",
    keys: ConfigurationKey.t5(
      vocabularySize: 250_112, feedForward: 1024, layers: 8, heads: 6, "gated-gelu")
      + [.flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: true)],
    tensors: .t5, derivedTensors: t5Unused, embeddingCopies: t5Copies, isHeadFoundInFile: true
  ) { (c) throws(FormatError) in try t5Structure(c, logitScale: false) }

  /// A bias of cross attention that the first T5's files have and that is never added.
  private static let t5Unused = [
    "EncDecAttention.relative_attention_bias.weight", "cross_attn_rel_b.weight",
  ]
  private static let t5Copies = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]

  /// `scale_decoder_outputs`, and where files lack it `tie_word_embeddings`: whether hidden states are
  /// scaled before the head. Whether the head is the embedding is seen in the weights.
  private static let scaledHead: [ConfigurationKey] = {
    let name = "scale_decoder_outputs"
    var key = ConfigurationKey(
      name: "tie_word_embeddings",
      read: { (configuration, fields) throws(FormatError) in
        let ties = try fields.bool("tie_word_embeddings") ?? true
        configuration.tiesWordEmbeddings = ties
        configuration[flag: name] = try fields.bool(name) ?? ties
      }, write: { .bool($0.tiesWordEmbeddings || $0[flag: name]) })
    key.field = \ModelConfiguration.tiesWordEmbeddings
    key.setDefault = { $0[flag: name] = $0.tiesWordEmbeddings }
    // Files do not say it; models with a head of their own are of version 1.1.
    key.readGGUF = { (configuration, _) throws(FormatError) in
      configuration[flag: name] = configuration.tiesWordEmbeddings
    }
    let scale = ConfigurationKey(
      name: name, read: { (_, _) throws(FormatError) in }, write: { .bool($0[flag: name]) })
    return [key, scale]
  }()

  private static func t5Structure(
    _ c: ModelConfiguration, logitScale: Bool
  ) throws(FormatError) -> TransformerStructure {
    let (buckets, distance) = ("relative_attention_num_buckets", "relative_attention_max_distance")
    let bias = TransformerStructure.Attention.DistanceBias(
      buckets: Int(c[number: buckets] ?? 32), maximumDistance: Int(c[number: distance] ?? 128))
    guard bias.buckets >= 4, bias.buckets % 4 == 0, bias.maximumDistance > bias.buckets / 2 else {
      throw FormatError(
        .invalidValue, file: "config.json", key: buckets,
        "\(bias.buckets) buckets for distances up to \(bias.maximumDistance)",
        remedy:
          "the buckets of either side must be halves, and '\(distance)' more than half of them")
    }
    func block(isCausal: Bool) -> TransformerStructure.Block {
      let isGated = c[flag: "is_gated_act"]
      var network = TransformerStructure.FeedForward.plain(c.hiddenActivation)
      if isGated {
        network = .gated(c.hiddenActivation)
      } else {
        network.upRole = TensorName.ungatedRole
      }
      return .init(
        attention: .init(isCausal: isCausal, scale: 1, distanceBias: bias),
        crossAttention: isCausal ? .init(scale: 1) : nil, feedForward: network)
    }
    let encoder = TransformerStructure.Encoder(
      blocks: (0..<c.layerCount).map { _ in block(isCausal: false) })
    if c.isEncoderAlone { return TransformerStructure(encoder: encoder, blocks: [], head: .none) }
    let count = Int(c[number: "num_decoder_layers"] ?? Double(c.layerCount))
    return TransformerStructure(
      encoder: encoder, blocks: (0..<count).map { _ in block(isCausal: true) },
      logitScale: logitScale ? 1 / Float(c.hiddenSize).squareRoot() : nil)
  }
}

extension ModelConfiguration {
  /// Whether the checkpoint is that of T5's encoder alone.
  fileprivate var isEncoderAlone: Bool { classNames.contains { $0.hasSuffix("T5EncoderModel") } }
}

extension ConfigurationKey {
  /// The keys that T5 and mT5 share.
  fileprivate static func t5(
    vocabularySize: Int, feedForward: Int, layers: Int, heads: Int, _ network: String
  ) -> [ConfigurationKey] {
    [
      .size(
        \.hiddenSize, "d_model", or: "hidden_size", gguf: "embedding_length", default: 512),
      .size(\.headCount, "num_heads", or: "num_attention_heads", default: heads),
      .headSize("d_kv", default: 64),
      .size(
        \.layerCount, "num_layers", or: "num_hidden_layers", gguf: "block_count", default: layers),
      decoderLayers,
      .size(\.intermediateSize, "d_ff", gguf: "feed_forward_length", default: feedForward),
      .size(\.vocabularySize, "vocab_size", default: vocabularySize),
      .count(
        "relative_attention_num_buckets", gguf: "attention.relative_buckets_count", default: 32),
      .count("relative_attention_max_distance", default: 128),
      .positive(
        \.normEpsilon, "layer_norm_epsilon", gguf: "attention.layer_norm_rms_epsilon",
        default: 1e-6),
      feedForwardNetwork(network), noLongestSequence, encoderAndDecoder,
      ConfigurationKey(
        name: "decoder_start_token_id",
        read: { (configuration, fields) throws(FormatError) in
          configuration.decoderStartTokenID =
            try fields.tokenIDs("decoder_start_token_id").first ?? 0
        }, write: { $0.decoderStartTokenID.map { .integer(Int64($0)) } }
      ).starting,
      .refused(
        "is_decoder", "a decoder alone has no source to read",
        remedy: "T5 is supported as encoder and decoder, and as an encoder alone"),
      .constant("dropout_rate", 0.0), .constant("classifier_dropout", 0.0),
      .constant("initializer_factor", 1.0),
    ] + tokens(bos: nil, eos: [1])
  }

  /// The same key of a model whose targets begin with token 0 where nothing is said.
  private var starting: ConfigurationKey {
    var key = self
    key.setDefault = { $0.decoderStartTokenID = 0 }
    key.gguf = "decoder_start_token_id"
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      configuration.decoderStartTokenID =
        try keys.file.int(keys.prefix + "decoder_start_token_id") ?? 0
    }
    key.writeGGUF = { $1.set("decoder_start_token_id", whole: $0.decoderStartTokenID ?? 0) }
    return key
  }

  /// `num_decoder_layers`: as many as the encoder has where the key is absent or null.
  private static let decoderLayers: ConfigurationKey = {
    let name = "num_decoder_layers"
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let count = try fields.size(name) ?? configuration.layerCount
        guard count <= ModelConfiguration.mostLayers else {
          throw fields.error(.invalidValue, name, "\(count) layers are too many")
        }
        configuration[number: name] = Double(count)
      }, write: { $0[number: name].map { .integer(Int64($0)) } })
    key.setDefault = { $0[number: name] = Double($0.layerCount) }
    let count = "decoder_block_count"
    key.gguf = count
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      configuration[number: name] = Double(try keys.optionalSize(count) ?? configuration.layerCount)
      guard configuration[number: name] ?? 0 <= Double(ModelConfiguration.mostLayers) else {
        throw keys.error(.invalidValue, count, "there are too many layers")
      }
    }
    key.writeGGUF = { $1.set(count, Int($0[number: name] ?? Double($0.layerCount))) }
    return key
  }()

  /// `feed_forward_proj`: an activation, or "gated-" and one. "gated-gelu" is GELU by tanh.
  private static func feedForwardNetwork(_ fallback: String) -> ConfigurationKey {
    let (name, gated) = ("feed_forward_proj", "gated-")
    @Sendable func set(_ text: String, _ configuration: inout ModelConfiguration) {
      let isGated = text.hasPrefix(gated)
      let activation = isGated ? String(text.dropFirst(gated.count)) : text
      configuration[flag: "is_gated_act"] = isGated
      configuration.hiddenActivation = isGated && activation == "gelu" ? "gelu_new" : activation
    }
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        set(try fields.string(name) ?? fallback, &configuration)
      },
      write: { configuration in
        let activation = configuration.hiddenActivation
        guard configuration[flag: "is_gated_act"] else { return .string(activation) }
        return .string(gated + (activation == "gelu_new" ? "gelu" : activation))
      })
    key.field = \ModelConfiguration.hiddenActivation
    key.setDefault = { set(fallback, &$0) }
    // Files do not say it; llama.cpp knows these two.
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      let isGated = keys.file.entry(named: "enc.blk.0.ffn_gate.weight") != nil
      set(isGated ? gated + "gelu" : "relu", &configuration)
    }
    return key
  }

  /// Distances beyond the last bucket share it: no sequence is too long. `n_positions`, which old files
  /// have, is what training cut texts to.
  private static let noLongestSequence: ConfigurationKey = {
    var key = ConfigurationKey(
      name: "n_positions",
      read: { (configuration, _) throws(FormatError) in configuration.maximumPositions = 1 << 20 },
      write: { _ in nil })
    key.field = \ModelConfiguration.maximumPositions
    key.setDefault = { $0.maximumPositions = 1 << 20 }
    key.gguf = "context_length"
    key.readGGUF = { (configuration, _) throws(FormatError) in
      configuration.maximumPositions = 1 << 20
    }
    // What the first T5's files have as n_positions.
    key.writeGGUF = { $1.set("context_length", 512) }
    return key
  }()

  /// Written alone: the model's class says what it is.
  private static let encoderAndDecoder: ConfigurationKey = {
    var key = ConfigurationKey(
      name: "is_encoder_decoder", read: { (_, _) throws(FormatError) in },
      write: { .bool(!$0.isEncoderAlone) })
    // GGUF files give the norms' epsilon twice, once under this name.
    key.gguf = "attention.layer_norm_epsilon"
    key.writeGGUF = { $1.set("attention.layer_norm_epsilon", $0.normEpsilon) }
    return key
  }()
}

extension [TensorName] {
  /// T5's modules, those of the encoder first.
  fileprivate static let t5: [TensorName] =
    [TensorName("shared", "token_embd", .embedding)] + stack("encoder", "enc", network: 1)
    + stack("decoder", "dec", network: 2) + [TensorName("lm_head", "output", .head)]

  /// The modules of one stack; `network` is the place of the network in a block.
  private static func stack(_ path: String, _ name: String, network: Int) -> [TensorName] {
    let (layer, block) = ("\(path).block.{}.layer", "\(name).blk.{}")
    let role = name == "enc" ? "enc." : ""
    func attention(_ place: Int, _ module: String, _ prefix: String, output: String) -> [TensorName]
    {
      ["q", "k", "v"].map {
        TensorName("\(layer).\(place).\(module).\($0)", "\(block).\(prefix)attn_\($0)", .projection)
      } + [
        TensorName(
          "\(layer).\(place).\(module).o", "\(block).\(prefix)attn_o", .projection,
          role: role + output)
      ]
    }
    var names = attention(0, "SelfAttention", "", output: "attn_output")
    names += [
      TensorName("\(layer).0.SelfAttention.relative_attention_bias", "\(block).attn_rel_b"),
      TensorName("\(layer).0.layer_norm", "\(block).attn_norm"),
    ]
    if network == 2 {
      names += attention(1, "EncDecAttention", "cross_", output: "cross_attn_o")
      names.append(TensorName("\(layer).1.layer_norm", "\(block).cross_attn_norm"))
    }
    let dense = "\(layer).\(network).DenseReluDense"
    return names + [
      TensorName(
        "\(dense).wi", "\(block).ffn_up", .projection, role: role + TensorName.ungatedRole),
      TensorName("\(dense).wi_0", "\(block).ffn_gate", .projection),
      TensorName("\(dense).wi_1", "\(block).ffn_up", .projection),
      TensorName("\(dense).wo", "\(block).ffn_down", .projection),
      TensorName("\(layer).\(network).layer_norm", "\(block).ffn_norm"),
      TensorName("\(path).final_layer_norm", "\(name).output_norm"),
    ]
  }
}
