import LoRAFiles
import LoRAJSON

extension Architecture {
  /// GPT-Neo: GPT-2 with linear layers, scores that nothing scales, and a window in every second layer.
  ///
  /// Source: Black et al., *GPT-Neo: large scale autoregressive language modeling with Mesh-TensorFlow*,
  /// 2021; names and options are those of transformers.
  public static let gptNeo = Architecture(
    "gpt_neo", className: "GPTNeoForCausalLM",
    keys: [
      .size(\.hiddenSize, "hidden_size", default: 2048),
      .size(\.headCount, "num_heads", or: "num_attention_heads", default: 16),
      .size(\.layerCount, "num_layers", or: "num_hidden_layers", default: 24),
      .size(\.maximumPositions, "max_position_embeddings", default: 2048),
      .size(\.intermediateSize, "intermediate_size") { 4 * $0.hiddenSize },
      .size(\.vocabularySize, "vocab_size", default: 50257),
      .positive(\.normEpsilon, "layer_norm_epsilon", default: 1e-5),
      .flag(\.tiesWordEmbeddings, "tie_word_embeddings", default: true),
      .activation("activation_function", default: "gelu_new"), windowSize, attentionTypes,
      .constant("attention_dropout", 0.0), .constant("embed_dropout", 0.0),
      .constant("resid_dropout", 0.0),
    ] + ConfigurationKey.tokens(bos: 50256, eos: [50256]),
    tensors: [
      TensorName("transformer.wte", "token_embd", .embedding),
      TensorName("transformer.wpe", "position_embd"),
      TensorName("transformer.h.{}.ln_1", "blk.{}.attn_norm"),
      TensorName("transformer.h.{}.attn.attention.k_proj", "blk.{}.attn_k", .projection),
      TensorName("transformer.h.{}.attn.attention.v_proj", "blk.{}.attn_v", .projection),
      TensorName("transformer.h.{}.attn.attention.q_proj", "blk.{}.attn_q", .projection),
      TensorName("transformer.h.{}.attn.attention.out_proj", "blk.{}.attn_output", .projection),
      TensorName("transformer.h.{}.ln_2", "blk.{}.ffn_norm"),
      TensorName("transformer.h.{}.mlp.c_fc", "blk.{}.ffn_up", .projection),
      TensorName("transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down", .projection),
      TensorName("transformer.ln_f", "output_norm"),
      TensorName("lm_head", "output", .head),
    ], derivedTensors: [".attn.attention.bias", ".attn.attention.masked_bias"],
    isPublishedWithoutHead: false,
    tokenHead: "classifier"
  ) { c in
    TransformerStructure(c, embedding: .init(learnsPositions: true), norm: .layer) { layer in
      .init(
        attention: .init(outputBias: true, window: c.slidingWindows[layer], scale: 1),
        feedForward: .plain(c.hiddenActivation, bias: true), norm: .layer)
    }
  }

  /// How many positions the layers see that are "local".
  private static let windowSize = ConfigurationKey(
    name: "window_size", read: { (_, _) throws(FormatError) in },
    write: { .integer(Int64($0.slidingWindows.compactMap { $0 }.first ?? 256)) })

  /// `attention_types`: pairs of a pattern of types and how often it comes.
  private static let attentionTypes: ConfigurationKey = {
    let name = "attention_types"
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let count = configuration.layerCount
        let window = try fields.size("window_size", default: 256)
        let pairs =
          fields[name]?.arrayValue ?? [[["global", "local"], .integer(Int64(count / 2))]]
        var windows: [Int?] = []
        for pair in pairs {
          guard let parts = pair.arrayValue, parts.count == 2,
            let types = parts[0].arrayValue?.compactMap(\.stringValue),
            let times = parts[1].intValue, (0...count).contains(times),
            types.allSatisfy({ ["global", "local"].contains($0) })
          else {
            throw fields.error(
              .invalidValue, name, "\(pair.encoded()) is no list of types and a number of times",
              "types are 'global' and 'local', as in [[[\"global\", \"local\"], 12]]")
          }
          windows += Array(repeating: types.map { $0 == "local" ? window : nil }, count: times)
            .joined()
        }
        guard windows.count == count else {
          throw fields.error(.invalidValue, name, "\(windows.count) types for \(count) layers")
        }
        configuration.slidingWindows = windows
      },
      write: { configuration in
        .array(
          configuration.slidingWindows.map { [[$0 == nil ? "global" : "local"], 1] })
      })
    key.field = \ModelConfiguration.slidingWindows
    return key
  }()
}
