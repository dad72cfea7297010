package import LoRAJSON
public import LoRATensor

/// The sizes and switches of a decoder-only language model, as a `config.json` gives them.
///
/// Both generations are read: `torch_dtype`, `rope_theta`, `rope_scaling` (transformers 4) and
/// `dtype`, `rope_parameters`, `layer_types` (transformers 5). What is absent is what transformers
/// takes for the architecture.
public struct ModelConfiguration: Sendable, Hashable {
  /// The architectures whose configuration can be read.
  public enum Architecture: String, Sendable, Hashable, CaseIterable {
    /// Llama 1 to 3 and what shares their layout.
    case llama
    /// Qwen2 and 2.5: biases on the query, key and value projections.
    case qwen2
    /// Mistral: every layer may have a sliding window.
    case mistral
    /// GPT-2: learned positions, biases everywhere, one projection for queries, keys and values.
    case gpt2
  }

  /// The architecture, `model_type`.
  public var architecture: Architecture
  /// The classes that the checkpoint was saved from, as in "LlamaForCausalLM"; may be empty.
  public var classNames: [String] = []
  /// The extent of the residual stream.
  public var hiddenSize: Int
  /// The extent between the feed-forward projections.
  public var intermediateSize: Int
  /// The number of blocks.
  public var layerCount: Int
  /// The number of query heads.
  public var headCount: Int
  /// The number of key and value heads; divides `headCount`.
  public var keyValueHeadCount: Int
  /// The extent of one head; even.
  public var headSize: Int
  /// The number of token ids, which is the rows of the embedding.
  public var vocabularySize: Int
  /// What is added to the mean square, or to GPT-2's variance, under a norm's root.
  public var normEpsilon: Double
  /// Whether the output head is the embedding.
  public var tiesWordEmbeddings: Bool
  /// Whether the query, key and value projections have biases.
  public var attentionBias: Bool
  /// Whether the attention's output projection has a bias.
  public var attentionOutputBias: Bool
  /// Whether the feed-forward projections have biases.
  public var mlpBias: Bool
  /// The gate's activation by its name in files, as in "silu".
  public var hiddenActivation: String
  /// The longest sequence that the model was made for.
  public var maximumPositions: Int
  /// The rotary position embedding; without meaning for GPT-2, which learns its positions.
  public var rotary: RotaryConfiguration
  /// How attention scores are scaled: GPT-2's options.
  public var attentionScaling = AttentionScaling()
  /// How many positions each layer sees, itself included, in the order of the layers; nil: all.
  public var slidingWindows: [Int?]
  /// The type that the weights are said to be stored in; nil if the file does not say.
  public var storedType: DType?
  /// The token that begins a text.
  public var bosTokenID: Int?
  /// The tokens that end a text.
  public var eosTokenIDs: [Int]
  /// The token that fills batches up.
  public var padTokenID: Int?

  /// Creates a configuration without windows, untied, with the biases and the activation that are the
  /// architecture's rule.
  public init(
    architecture: Architecture = .llama, hiddenSize: Int, intermediateSize: Int, layerCount: Int,
    headCount: Int, keyValueHeadCount: Int? = nil, headSize: Int? = nil, vocabularySize: Int,
    normEpsilon: Double = 1e-6, tiesWordEmbeddings: Bool = false, maximumPositions: Int = 2048,
    rotary: RotaryConfiguration = RotaryConfiguration(), storedType: DType? = .float32,
    bosTokenID: Int? = nil, eosTokenIDs: [Int] = []
  ) {
    self.architecture = architecture
    self.hiddenSize = hiddenSize
    self.intermediateSize = intermediateSize
    self.layerCount = layerCount
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount ?? headCount
    self.headSize = headSize ?? hiddenSize / max(headCount, 1)
    self.vocabularySize = vocabularySize
    self.normEpsilon = normEpsilon
    self.tiesWordEmbeddings = tiesWordEmbeddings
    let isGPT2 = architecture == .gpt2
    attentionBias = architecture == .qwen2 || isGPT2
    attentionOutputBias = isGPT2
    mlpBias = isGPT2
    hiddenActivation = isGPT2 ? "gelu_new" : "silu"
    self.maximumPositions = maximumPositions
    self.rotary = rotary
    slidingWindows = Array(repeating: nil, count: layerCount)
    self.storedType = storedType
    self.bosTokenID = bosTokenID
    self.eosTokenIDs = eosTokenIDs
  }
}

extension ModelConfiguration {
  /// Reads the text of a `config.json`; `file` is for errors.
  public init(parsing bytes: [UInt8], file: String = "config.json") throws(FormatError) {
    try self.init(try FileSystem.object(parsing: bytes, file: file), file: file)
  }

  /// Reads the object in a `config.json`.
  package init(_ object: JSONObject, file: String) throws(FormatError) {
    let fields = JSONFields(object: object, file: file)
    let architecture = try Self.architecture(fields)
    if architecture == .gpt2 {
      try self.init(gpt2: fields)
      return
    }
    let defaults = Defaults.of(architecture)
    let hidden = try fields.size("hidden_size", default: 4096)
    let heads = try fields.size("num_attention_heads", default: 32)
    let layers = try fields.size("num_hidden_layers", default: 32)
    guard layers <= 4096 else {
      throw fields.error(.invalidValue, "num_hidden_layers", "\(layers) layers are too many")
    }
    let positions = try fields.size("max_position_embeddings", default: defaults.positions)
    // A null means "as many as query heads"; an absent key the architecture's default.
    let keyValueHeads =
      object["num_key_value_heads"] == nil
      ? defaults.keyValueHeads : try fields.size("num_key_value_heads")
    var headSize = try fields.size("head_dim")
    if headSize == nil { headSize = try Self.headSize(hidden, heads, fields) }
    self.init(
      architecture: architecture, hiddenSize: hidden,
      intermediateSize: try fields.size("intermediate_size", default: defaults.intermediate),
      layerCount: layers, headCount: heads, keyValueHeadCount: keyValueHeads,
      headSize: headSize,
      vocabularySize: try fields.size("vocab_size", default: defaults.vocabulary),
      normEpsilon: try fields.positive("rms_norm_eps") ?? 1e-6,
      tiesWordEmbeddings: try fields.bool("tie_word_embeddings") ?? false,
      maximumPositions: positions,
      rotary: try RotaryConfiguration(fields, maximumPositions: positions),
      storedType: try Self.storedType(fields),
      bosTokenID: object["bos_token_id"] == nil
        ? defaults.bos : try fields.tokenIDs("bos_token_id").first,
      eosTokenIDs: object["eos_token_id"] == nil
        ? defaults.eos : try fields.tokenIDs("eos_token_id"))
    classNames = try fields.strings("architectures") ?? []
    padTokenID = try fields.int("pad_token_id").flatMap { $0 >= 0 ? $0 : nil }
    hiddenActivation = try fields.string("hidden_act") ?? "silu"
    if architecture == .llama {
      attentionBias = try fields.bool("attention_bias") ?? false
      attentionOutputBias = attentionBias
      mlpBias = try fields.bool("mlp_bias") ?? false
    }
    slidingWindows = try windows(object, fields)
    try refuseQuantization(fields)
    try validate(file: file)
  }

  /// What transformers takes for absent keys.
  private struct Defaults {
    var intermediate = 11008
    var positions = 2048
    var keyValueHeads: Int?
    var vocabulary = 32000
    var bos: Int? = 1
    var eos = [2]

    static func of(_ architecture: Architecture) -> Defaults {
      switch architecture {
      case .llama, .gpt2: Defaults()
      case .qwen2:
        Defaults(
          intermediate: 22016, positions: 32768, keyValueHeads: 32, vocabulary: 151_936, bos: nil,
          eos: [])
      case .mistral: Defaults(intermediate: 14336, positions: 131_072, keyValueHeads: 8)
      }
    }
  }

  private static func architecture(_ fields: JSONFields) throws(FormatError) -> Architecture {
    let supported = Architecture.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
    guard let name = try fields.string("model_type") else {
      throw fields.error(
        .missingKey, "model_type", "the file does not say which architecture this is",
        "add it; supported are \(supported)")
    }
    guard let architecture = Architecture(rawValue: name) else {
      throw fields.error(
        .unsupported, "model_type", "the architecture '\(name)' is not supported",
        "supported are \(supported)")
    }
    return architecture
  }

  private static func headSize(
    _ hidden: Int, _ heads: Int, _ fields: JSONFields
  ) throws(FormatError) -> Int {
    guard hidden % heads == 0 else {
      throw fields.error(
        .invalidValue, "num_attention_heads",
        "\(heads) heads do not divide 'hidden_size', \(hidden), and there is no 'head_dim'")
    }
    return hidden / heads
  }

  static func storedType(_ fields: JSONFields) throws(FormatError) -> DType? {
    let key = fields["dtype"] != nil ? "dtype" : "torch_dtype"
    guard var name = try fields.string(key), name != "auto" else { return nil }
    if name.hasPrefix("torch.") { name.removeFirst("torch.".count) }
    guard let type = DType(rawValue: name), type.isFloatingPoint, !type.isQuantized else {
      throw fields.error(
        .unsupported, key, "weights of type '\(name)' are not supported",
        "supported are float32, bfloat16, float16 and float64")
    }
    return type
  }

  private func windows(
    _ object: JSONObject, _ fields: JSONFields
  ) throws(FormatError) -> [Int?] {
    let none = [Int?](repeating: nil, count: layerCount)
    switch architecture {
    case .llama, .gpt2:
      return none
    case .mistral:
      let window = object["sliding_window"] == nil ? 4096 : try fields.size("sliding_window")
      return Array(repeating: window, count: layerCount)
    case .qwen2:
      let isUsed = try fields.bool("use_sliding_window") ?? false
      let window =
        !isUsed ? nil : object["sliding_window"] == nil ? 4096 : try fields.size("sliding_window")
      guard let types = try fields.strings("layer_types") else {
        let first = try fields.int("max_window_layers") ?? 28
        return (0..<layerCount).map { $0 >= first ? window : nil }
      }
      guard types.count == layerCount else {
        throw fields.error(
          .invalidValue, "layer_types", "\(types.count) types for \(layerCount) layers")
      }
      var result = none
      for (layer, type) in types.enumerated() {
        switch type {
        case "full_attention": break
        case "sliding_attention":
          guard let window else {
            throw fields.error(
              .missingKey, "sliding_window",
              "layer \(layer) has the type 'sliding_attention', and no window is in use")
          }
          result[layer] = window
        default:
          throw fields.error(
            .unsupported, "layer_types", "the type '\(type)' of layer \(layer) is not supported",
            "supported are 'full_attention' and 'sliding_attention'")
        }
      }
      return result
    }
  }

  func refuseQuantization(_ fields: JSONFields) throws(FormatError) {
    if let quantization = fields["quantization_config"] {
      throw fields.error(
        .unsupported, "quantization_config",
        "the weights are quantized (\(quantization["quant_method"]?.stringValue ?? "unknown"))",
        "use the model's unquantized weights")
    }
  }
}
