import LoRAFiles
import LoRAJSON

extension Architecture {
  /// Falcon: attention and network side by side behind one layer norm (7B) or each behind its own (40B,
  /// 11B), or one after the other with ALiBi (RW); one projection for queries, keys and values, by key head.
  ///
  /// Source: Almazrouei et al., *The Falcon series of open language models*, 2023; names and options are
  /// those of transformers.
  public static let falcon = Architecture(
    "falcon", className: "FalconForCausalLM", ggufName: "falcon",
    keys: [
      .size(
        \.hiddenSize, "hidden_size", or: "n_embed", gguf: "embedding_length", default: 4544),
      .size(\.headCount, "num_attention_heads", or: "n_head", default: 71),
      .size(
        \.layerCount, "num_hidden_layers", or: "n_layer", gguf: "block_count", default: 32),
      .flag("new_decoder_architecture", ifGGUFHas: "blk.0.attn_norm_2.weight", default: false),
      .flag("multi_query", default: true), keyHeads,
      .flag("parallel_attn", default: true), .flag("alibi", default: false),
      .flag("bias", ifGGUFHas: "blk.0.attn_qkv.bias", default: false),
      .number("num_ln_in_parallel_attn", default: nil),
      .size(
        \.maximumPositions, "max_position_embeddings", gguf: "context_length", default: 2048),
      .size(\.intermediateSize, "ffn_hidden_size", gguf: "feed_forward_length") {
        4 * $0.hiddenSize
      },
      .size(\.vocabularySize, "vocab_size", default: 65024),
      .positive(
        \.normEpsilon, "layer_norm_epsilon", gguf: "attention.layer_norm_epsilon", default: 1e-5),
      .flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: true), .rotary(),
      .activation("activation", default: "gelu"),
      .constant("attention_dropout", 0.0), .constant("hidden_dropout", 0.0),
    ] + ConfigurationKey.tokens(bos: 11, eos: [11]),
    tensors: [
      TensorName("transformer.word_embeddings", "token_embd", .embedding),
      TensorName("transformer.h.{}.input_layernorm", "blk.{}.attn_norm"),
      TensorName("transformer.h.{}.ln_attn", "blk.{}.attn_norm_2"),
      TensorName("transformer.h.{}.ln_mlp", "blk.{}.attn_norm", role: "ln_mlp"),
      TensorName(
        "transformer.h.{}.self_attention.query_key_value", "blk.{}.attn_qkv", .projection,
        order: .fusedHeads),
      TensorName("transformer.h.{}.self_attention.dense", "blk.{}.attn_output", .projection),
      TensorName("transformer.h.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
      TensorName("transformer.h.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up", .projection),
      TensorName("transformer.h.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down", .projection),
      TensorName("transformer.ln_f", "output_norm"),
      TensorName("lm_head", "output", .head),
    ], derivedTensors: [".self_attention.rotary_emb.inv_freq"],
    tokenHead: "classifier"
  ) { (c) throws(FormatError) in
    let (isNew, isParallel) = (c[flag: "new_decoder_architecture"], c[flag: "parallel_attn"])
    let norms = c[number: "num_ln_in_parallel_attn"] ?? (isNew ? 2 : 1)
    guard isParallel || !isNew, norms == 1 || norms == 2 && isNew else {
      throw FormatError(
        .unsupported, file: "config.json", key: "num_ln_in_parallel_attn",
        "\(norms) norms with 'new_decoder_architecture' \(isNew) and 'parallel_attn' \(isParallel)",
        remedy: "supported are 1, and 2 where both are true")
    }
    let hasTwo = isNew && norms == 2
    // transformers adds ALiBi before it scales, with slopes in bfloat16. (Its attention by "eager" adds
    // it twice, in 5.23; that by "sdpa", which is the standard one, once.)
    let scale = 1 / Float(c.headSize).squareRoot()
    let slopes = TransformerStructure.Attention.alibiSlopes(heads: c.headCount).map {
      Float(bitPattern: ($0.bitPattern + 0x7FFF + ($0.bitPattern >> 16 & 1)) & 0xFFFF_0000) * scale
    }
    return TransformerStructure(c, norm: .layer) { _ in
      .init(
        attention: .init(
          projections: .fusedByHead, bias: c[flag: "bias"], outputBias: c[flag: "bias"],
          rotary: c[flag: "alibi"] ? nil : c.rotary, slopes: c[flag: "alibi"] ? slopes : []),
        feedForward: .plain(c.hiddenActivation, bias: c[flag: "bias"]), norm: .layer,
        arrangement: !isParallel ? .sequential : hasTwo ? .parallel : .parallelBehindOneNorm,
        attentionNormRole: hasTwo ? "attn_norm_2" : "attn_norm",
        feedForwardNormRole: hasTwo ? "ln_mlp" : "ffn_norm")
    }
  }

  /// `num_kv_heads`, which counts in the new architecture; before, there is one, or one a query head.
  private static let keyHeads: ConfigurationKey = {
    var key = ConfigurationKey(
      name: "num_kv_heads",
      read: { (configuration, fields) throws(FormatError) in
        let heads = configuration.headCount
        let isNew = configuration[flag: "new_decoder_architecture"]
        var named = try fields.size("num_kv_heads")
        if named == nil { named = try fields.size("n_head_kv") }
        configuration.keyValueHeadCount =
          isNew ? named ?? heads : configuration[flag: "multi_query"] ? 1 : heads
      }, write: { .integer(Int64($0.keyValueHeadCount)) })
    key.field = \ModelConfiguration.keyValueHeadCount
    key.setDefault = { if !$0[flag: "new_decoder_architecture"] { $0.keyValueHeadCount = 1 } }
    return key
  }()
}
