import LoRAFiles

extension Architecture {
  /// GPT-J: attention and network side by side behind one layer norm, rotary positions of neighbours in a
  /// part of each head.
  ///
  /// Source: Wang and Komatsuzaki, *GPT-J-6B: a 6 billion parameter autoregressive language model*, 2021;
  /// names and options are those of transformers.
  public static let gptJ = Architecture(
    "gptj", className: "GPTJForCausalLM",
    keys: [
      .size(\.hiddenSize, "n_embd", or: "hidden_size", default: 4096),
      .size(\.headCount, "n_head", or: "num_attention_heads", default: 16),
      .size(\.layerCount, "n_layer", or: "num_hidden_layers", default: 28),
      .size(\.maximumPositions, "n_positions", or: "max_position_embeddings", default: 2048),
      .size(\.intermediateSize, "n_inner") { 4 * $0.hiddenSize },
      .size(\.vocabularySize, "vocab_size", default: 50400),
      .positive(\.normEpsilon, "layer_norm_epsilon", default: 1e-5),
      .flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: false),
      .activation("activation_function", default: "gelu_new"),
      .number("rotary_dim", default: 64),
      .constant("attn_pdrop", 0.0), .constant("embd_pdrop", 0.0), .constant("resid_pdrop", 0.0),
    ] + ConfigurationKey.tokens(bos: 50256, eos: [50256]),
    tensors: [
      TensorName("transformer.wte", "token_embd", .embedding),
      TensorName("transformer.h.{}.ln_1", "blk.{}.attn_norm"),
      TensorName("transformer.h.{}.attn.q_proj", "blk.{}.attn_q", .projection),
      TensorName("transformer.h.{}.attn.k_proj", "blk.{}.attn_k", .projection),
      TensorName("transformer.h.{}.attn.v_proj", "blk.{}.attn_v", .projection),
      TensorName("transformer.h.{}.attn.out_proj", "blk.{}.attn_output", .projection),
      TensorName("transformer.h.{}.mlp.fc_in", "blk.{}.ffn_up", .projection),
      TensorName("transformer.h.{}.mlp.fc_out", "blk.{}.ffn_down", .projection),
      TensorName("transformer.ln_f", "output_norm"),
      TensorName("lm_head", "output", .head),
    ], derivedTensors: [".attn.bias", ".attn.masked_bias", ".attn.embed_positions"]
  ) { (c) throws(FormatError) in
    let rotated = c[number: "rotary_dim"].map { Int($0) } ?? c.headSize
    guard rotated > 0, rotated <= c.headSize, rotated % 2 == 0 else {
      throw FormatError(
        .invalidValue, file: "config.json", key: "rotary_dim",
        "\(rotated) is no even number up to a head's \(c.headSize) elements")
    }
    return TransformerStructure(c, norm: .layer, headBias: true) { _ in
      .init(
        attention: .init(
          rotary: RotaryConfiguration(fraction: Double(rotated) / Double(c.headSize)),
          rotatesNeighbours: true),
        feedForward: .plain(c.hiddenActivation, bias: true), norm: .layer,
        arrangement: .parallelBehindOneNorm)
    }
  }
}
