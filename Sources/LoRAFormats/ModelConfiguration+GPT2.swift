import LoRAJSON
import LoRATensor

// GPT-2's configuration names its sizes by other keys, and has options of its own.

extension ModelConfiguration {
  /// How attention scores are scaled where an architecture lets its configuration say so.
  public struct AttentionScaling: Sendable, Hashable {
    /// Whether scores are divided by the root of the head's size (`scale_attn_weights`).
    public var dividesByRootOfSize = true
    /// Whether those of block i are divided by i + 1 too (`scale_attn_by_inverse_layer_idx`).
    public var dividesByLayer = false
    /// Whether scores are float32 whatever the model's type (`reorder_and_upcast_attn`). Here they
    /// always are; kept for writing.
    public var isUpcast = false

    /// Creates the usual scaling, by the root of the head's size.
    public init() {}

    /// What the scores of block `layer` are multiplied by for heads of `size`.
    public func factor(headSize size: Int, layer: Int) -> Float {
      let scale = dividesByRootOfSize ? 1 / Float(size).squareRoot() : 1
      return dividesByLayer ? scale / Float(layer + 1) : scale
    }
  }

  /// Reads the object in a GPT-2's `config.json`. The sizes also go by the names that other
  /// architectures have for them, as transformers accepts both.
  init(gpt2 fields: JSONFields) throws(FormatError) {
    func size(_ key: String, _ other: String, _ fallback: Int) throws(FormatError) -> Int {
      if let value = try fields.size(key) { return value }
      return try fields.size(other, default: fallback)
    }
    let hidden = try size("n_embd", "hidden_size", 768)
    let heads = try size("n_head", "num_attention_heads", 12)
    let layers = try size("n_layer", "num_hidden_layers", 12)
    guard layers <= 4096 else {
      throw fields.error(.invalidValue, "n_layer", "\(layers) layers are too many")
    }
    guard hidden <= 1 << 24, hidden % heads == 0 else {
      throw fields.error(
        .invalidValue, "n_head", "\(heads) heads do not divide 'n_embd', \(hidden)")
    }
    self.init(
      architecture: .gpt2, hiddenSize: hidden,
      intermediateSize: try fields.size("n_inner") ?? 4 * hidden, layerCount: layers,
      headCount: heads, vocabularySize: try fields.size("vocab_size", default: 50257),
      normEpsilon: try fields.positive("layer_norm_epsilon") ?? 1e-5,
      tiesWordEmbeddings: try fields.bool("tie_word_embeddings") ?? true,
      maximumPositions: try size("n_positions", "max_position_embeddings", 1024),
      storedType: try Self.storedType(fields),
      bosTokenID: fields.object["bos_token_id"] == nil
        ? 50256 : try fields.tokenIDs("bos_token_id").first,
      eosTokenIDs: fields.object["eos_token_id"] == nil
        ? [50256] : try fields.tokenIDs("eos_token_id"))
    classNames = try fields.strings("architectures") ?? []
    padTokenID = try fields.int("pad_token_id").flatMap { $0 >= 0 ? $0 : nil }
    hiddenActivation = try fields.string("activation_function") ?? "gelu_new"
    attentionScaling.dividesByRootOfSize = try fields.bool("scale_attn_weights") ?? true
    attentionScaling.dividesByLayer =
      try fields.bool("scale_attn_by_inverse_layer_idx") ?? false
    attentionScaling.isUpcast = try fields.bool("reorder_and_upcast_attn") ?? false
    if try fields.bool("add_cross_attention") ?? false {
      throw fields.error(
        .unsupported, "add_cross_attention", "the model attends to an encoder",
        "decoders alone are supported")
    }
    try refuseQuantization(fields)
    try validate(file: fields.file)
  }

  /// The object of a GPT-2's `config.json`.
  var gpt2Object: JSONObject {
    var object: JSONObject = [
      "activation_function": .string(hiddenActivation),
      "architectures": .array(
        (classNames.isEmpty ? ["GPT2LMHeadModel"] : classNames).map { .string($0) }),
      "attn_pdrop": 0.0,
      "bos_token_id": json(tokenIDs: bosTokenID.map { [$0] } ?? []),
      "embd_pdrop": 0.0,
      "eos_token_id": json(tokenIDs: eosTokenIDs),
      "initializer_range": 0.02,
      "layer_norm_epsilon": .number(normEpsilon),
      "model_type": "gpt2",
      "n_embd": .integer(Int64(hiddenSize)),
      "n_head": .integer(Int64(headCount)),
      "n_inner": .integer(Int64(intermediateSize)),
      "n_layer": .integer(Int64(layerCount)),
      "n_positions": .integer(Int64(maximumPositions)),
      "pad_token_id": json(tokenIDs: padTokenID.map { [$0] } ?? []),
      "reorder_and_upcast_attn": .bool(attentionScaling.isUpcast),
      "resid_pdrop": 0.0,
      "scale_attn_by_inverse_layer_idx": .bool(attentionScaling.dividesByLayer),
      "scale_attn_weights": .bool(attentionScaling.dividesByRootOfSize),
      "tie_word_embeddings": .bool(tiesWordEmbeddings),
      "use_cache": true,
      "vocab_size": .integer(Int64(vocabularySize)),
    ]
    if let storedType { object["dtype"] = .string(storedType.rawValue) }
    return object
  }
}
