import LoRAFiles
import LoRAJSON
import LoRATensor

// PEFT's `LORA`: LoRA, rsLoRA and DoRA.

extension PEFTAdapterConfiguration {
  /// What only LoRA has.
  package struct LoRA: Sendable, Hashable {
    /// Which of the base's biases were trained along, and are saved (`bias`).
    package enum Biases: String, Sendable, Hashable {
      /// None.
      case none
      /// Those of the layers with an adapter.
      case adapted = "lora_only"
      /// All of the model.
      case all
    }

    /// Tokens whose vectors were trained (`trainable_token_indices`).
    package enum TrainedTokens: Sendable, Hashable {
      /// Of the model's input embedding.
      case ofInput([Int])
      /// By embedding: each key is the end of a module's path.
      case byModule([Override<[Int]>])
    }

    /// The probability of dropping an input of the factors while training.
    package var dropout: Double
    /// Whether the scale is alpha / √rank (`use_rslora`).
    package var usesRankStabilizedScale: Bool
    /// Whether the norms of weights are trained apart (`use_dora`).
    package var isDoRA: Bool
    /// Whether the base keeps its weights as [in, out], as GPT-2 does (`fan_in_fan_out`). The
    /// factors in the file are the same either way.
    package var hasTransposedBase: Bool
    /// Which of the base's biases are saved along.
    package var biases: Biases
    /// Whether B has a bias of its own (`lora_bias`).
    package var hasFactorBias: Bool
    /// The tokens whose embeddings were trained.
    package var trainedTokens: TrainedTokens?
    /// The ends of the paths of parameters that have adapters as parameters, as those of experts
    /// (`target_parameters`).
    package var targetParameters: [String] = []
    /// Whether adapters of layers that share a weight share theirs (`ensure_weight_tying`).
    package var keepsWeightsTied: Bool

    /// Creates LoRA's options.
    package init(
      dropout: Double = 0, usesRankStabilizedScale: Bool = false, isDoRA: Bool = false,
      hasTransposedBase: Bool = false, biases: Biases = .none, hasFactorBias: Bool = false,
      trainedTokens: TrainedTokens? = nil, keepsWeightsTied: Bool = false
    ) {
      self.dropout = dropout
      self.usesRankStabilizedScale = usesRankStabilizedScale
      self.isDoRA = isDoRA
      self.hasTransposedBase = hasTransposedBase
      self.biases = biases
      self.hasFactorBias = hasFactorBias
      self.trainedTokens = trainedTokens
      self.keepsWeightsTied = keepsWeightsTied
    }
  }

  /// What only LoRA has; nil for other methods.
  package var lora: LoRA? { method.options as? LoRA }

  /// Whether the scale is alpha / √rank: rsLoRA.
  package var usesRankStabilizedScale: Bool { lora?.usesRankStabilizedScale ?? false }
}

extension PEFTAdapterConfiguration.Method {
  /// `LORA`: LoRA, rsLoRA and DoRA.
  package static func lora(_ options: PEFTAdapterConfiguration.LoRA) -> Self { Self(options) }
}

extension PEFTAdapterConfiguration.LoRA: PEFTMethod {
  static let peftType = "LORA"
  static let initializationKey = "init_lora_weights"
  static let rankKeys = PEFTRankKeys.rankAndAlpha("lora_alpha")
  static let adaptsEmbeddings = true
  static let keys: [PEFTKey<Self>] = [
    .refused(
      "layer_replication", "layers of the base would have to be stacked anew", written: .null,
      unless: JSONValue.isEmpty),
    PEFTKey("target_parameters") { fields, options throws(FormatError) in
      options.targetParameters = try fields.strings("target_parameters") ?? []
    } written: {
      $0.targetParameters.isEmpty ? .null : .array($0.targetParameters.map { .string($0) })
    },
    .refused("enable_lora", "parts of fused layers have factors of their own (before PEFT 0.3)"),
    .refused(
      "use_qalora", "inputs are pooled in groups (QA-LoRA)", written: false,
      unless: JSONValue.isFalse),
    .refused(
      "alora_invocation_tokens", "it applies from certain tokens on (aLoRA)", written: .null),
    .refused(
      "megatron_config", "it is made for Megatron's parallel layers", written: .null,
      unless: JSONValue.isEmpty),
    .refused("use_bdlora", "factors are block-diagonal (BD-LoRA)", written: .null),
    .refused("arrow_config", "adapters are chosen token by token (Arrow)", written: .null),
    .refused(
      "kasa_config", "the base is truncated and singular values are added (KaSA)", written: .null),
    .refused("monteclora_config", "factors are sampled (MonteCLoRA)", written: .null),
    .probability("lora_dropout", \.dropout),
    .flag("use_rslora", \.usesRankStabilizedScale),
    .flag("use_dora", \.isDoRA),
    .flag("fan_in_fan_out", \.hasTransposedBase),
    .flag("lora_bias", \.hasFactorBias),
    PEFTKey("trainable_token_indices") { fields, options throws(FormatError) in
      options.trainedTokens = try tokens(fields, "trainable_token_indices")
    } written: {
      json($0.trainedTokens)
    },
    .flag("ensure_weight_tying", \.keepsWeightsTied),
    PEFTKey("bias") { fields, options throws(FormatError) in
      guard let text = try fields.string("bias") else { return }
      guard let biases = Biases(rawValue: text) else {
        throw fields.error(
          .invalidValue, "bias", "expected 'none', 'lora_only' or 'all', found '\(text)'")
      }
      options.biases = biases
    } written: {
      .string($0.biases.rawValue)
    },
    .ignored("corda_config", written: .null), .ignored("eva_config", written: .null),
    .ignored("loftq_config", written: [:]), .ignored("lora_ga_config", written: .null),
    .ignored("megatron_core", written: "megatron.core"),
    .ignored("qalora_group_size", written: 16), .ignored("velora_config", written: .null),
    .ignored("merge_weights"),
    // ms-swift's, for training alone.
    .ignored("lora_dtype"), .ignored("lorap_emb_lr"), .ignored("lorap_lr_ratio"),
  ]
  static let parts = [
    PEFTPart("lora_A", .module(hasBias: false)),
    PEFTPart(
      "lora_B", .module(hasBias: true),
      ofBias: "configurations of such adapters say 'lora_bias': true"),
    PEFTPart("lora_embedding_A"), PEFTPart("lora_embedding_B"),
    PEFTPart(
      "lora_magnitude_vector", .formerModule,
      remedy: "DoRA's configurations say 'use_dora': true"),
  ]

  init() { self.init(dropout: 0) }

  func check(_ fields: JSONFields) throws(FormatError) {
    guard !(hasFactorBias && isDoRA) else {
      throw fields.error(
        .invalidValue, "lora_bias", "PEFT knows no bias of factors under 'use_dora'")
    }
    guard targetParameters.isEmpty || !(hasFactorBias || isDoRA) else {
      throw fields.error(
        .unsupported, "target_parameters",
        "PEFT adapts parameters without '\(isDoRA ? "use_dora" : "lora_bias")'",
        "name layers in 'target_modules' instead")
    }
  }

  func scale(alpha: Double, rank: Int) -> Double {
    usesRankStabilizedScale ? alpha / Double(rank).squareRoot() : alpha / Double(rank)
  }

  mutating func save(_ biases: Biases) -> Bool {
    // A configuration may allow for more than there is: layers without a bias.
    if self.biases == .none || biases == .all { self.biases = biases }
    return true
  }

  // MARK: Trained tokens

  private static func tokens(
    _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> TrainedTokens? {
    guard let value = fields[key] else { return nil }
    guard value.objectValue != nil else {
      let ids = try distinctIDs(fields, key)
      return ids.isEmpty ? nil : .ofInput(ids)
    }
    guard let modules = try fields.object(key) else { return nil }
    var result: [PEFTAdapterConfiguration.Override<[Int]>] = []
    for name in modules.object.keys {
      guard !name.isEmpty else { throw fields.error(.invalidValue, key, "'' is no module's name") }
      result.append(.init(key: name, value: try distinctIDs(modules, name)))
    }
    return result.isEmpty ? nil : .byModule(result)
  }

  private static func distinctIDs(
    _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> [Int] {
    let ids = try fields.tokenIDs(key)
    var seen: Set<Int> = []
    if let twice = ids.first(where: { !seen.insert($0).inserted }) {
      throw fields.error(.duplicate, key, "the token \(twice) is listed twice")
    }
    return ids
  }

  private static func json(_ tokens: TrainedTokens?) -> JSONValue {
    func list(_ ids: [Int]) -> JSONValue { .array(ids.map { .integer(Int64($0)) }) }
    switch tokens {
    case nil: return .null
    case .ofInput(let ids): return list(ids)
    case .byModule(let modules):
      return .object(JSONObject(modules.map { ($0.key, list($0.value)) }))
    }
  }

  // MARK: Reading

  func has(_ part: String) -> Bool {
    switch part {
    case "lora_magnitude_vector": isDoRA
    case "lora_B.bias": hasFactorBias
    default: true
    }
  }

  func change(_ layer: inout PEFTLayerReader) throws(FormatError) -> LowRankChange {
    let isEmbedding = layer.names.keys.contains { $0.hasPrefix("lora_embedding") }
    let prefix = isEmbedding ? "lora_embedding_" : "lora_"
    let (a, b) = (try layer.require(prefix + "A"), try layer.require(prefix + "B"))
    try checkFactors(a, b, layer, isEmbedding: isEmbedding)
    let outputs = b.tensor.shape[0]
    var change = LowRankChange(
      a: a.tensor, b: b.tensor, alpha: layer.alpha, scale: layer.scale, isEmbedding: isEmbedding)
    if hasFactorBias, !isEmbedding {
      let bias = try layer.require("lora_B.bias")
      guard bias.tensor.shape == [outputs] else {
        throw layer.mismatch(bias, "expected [\(outputs)], one number for each row of B")
      }
      change.bias = bias.tensor
    }
    if isDoRA {
      let magnitude = try layer.require("lora_magnitude_vector")
      // Of a convolution's it is [1, out, 1, 1].
      let rest = Array(repeating: 1, count: a.tensor.shape.count - 2)
      let isConvolution = !rest.isEmpty
      guard
        magnitude.tensor.shape == [outputs]
          || isConvolution && Array(magnitude.tensor.shape) == [1, outputs] + rest
      else {
        throw layer.mismatch(
          magnitude, "expected [\(outputs)], one norm for each row of B",
          remedy: magnitude.tensor.elementCount == outputs
            ? "reshape it: LyCORIS keeps [\(outputs), 1], PEFT [\(outputs)]"
            : "the magnitudes belong to another layer or adapter")
      }
      change.magnitude = magnitude.tensor.reshaped(to: [outputs])
    }
    return change
  }

  /// A is [rank, inputs], B [outputs, rank]; of convolutions [rank, inputs, height, width] and
  /// [outputs, rank, 1, 1].
  private func checkFactors(
    _ a: PEFTLayerReader.Part, _ b: PEFTLayerReader.Part, _ layer: PEFTLayerReader,
    isEmbedding: Bool
  ) throws(FormatError) {
    let rank = layer.rank
    let (shapeA, shapeB) = (a.tensor.shape, b.tensor.shape)
    let expectedA = "expected [\(rank), inputs] for the configured rank \(rank)"
    let expectedB = "expected [outputs, \(rank)] for the configured rank \(rank)"
    let dimensions = isEmbedding ? 2...2 : 2...5
    guard dimensions.contains(shapeA.count) else { throw layer.mismatch(a, expectedA) }
    guard shapeB.count == shapeA.count else {
      // Most adapters are of matrices: of a pair with one matrix the other one is wrong.
      throw shapeB.count == 2
        ? layer.mismatch(a, expectedA + ", as '\(b.name)' is \(shapeB)")
        : layer.mismatch(b, expectedB)
    }
    guard shapeB.dropFirst(2).allSatisfy({ $0 == 1 }) else {
      let ones = shapeB.dropFirst(2).map { _ in ", 1" }.joined()
      throw layer.mismatch(b, "expected [outputs, \(rank)\(ones)] for the configured rank \(rank)")
    }
    if shapeA[0] == rank, shapeB[1] == rank { return }
    let isTransposed =
      shapeA.count == 2 && shapeA[1] == shapeB[0] && shapeA[0] != rank && shapeB[1] != rank
      && (shapeA[1] == rank || shapeA[0] != shapeB[1])
    if isTransposed {
      throw layer.mismatch(
        a, "both factors lie transposed: \(expectedA)",
        remedy: "MLX keeps them so: transpose them, or read the file as what it is")
    }
    guard shapeA[0] == shapeB[1] else {
      let wrong = shapeA[0] == rank ? b : a
      let isFlipped =
        wrong.tensor.shape.count == 2 && wrong.tensor.shape[shapeA[0] == rank ? 0 : 1] == rank
      throw layer.mismatch(
        wrong, shapeA[0] == rank ? expectedB : expectedA,
        remedy: isFlipped
          ? "it lies transposed: transpose it"
          : "'\(a.name)' and '\(b.name)' have different ranks: they are not of one adapter")
    }
    throw layer.mismatch(
      a, expectedA,
      remedy: "both factors have rank \(shapeA[0]): set 'r', or 'rank_pattern' for this layer; the "
        + "scale depends on it")
  }

  // MARK: Writing

  func tensors(
    of change: LowRankChange, _ layer: PEFTLayerWriter
  ) throws(FormatError) -> [(part: String, tensor: Tensor)] {
    try layer.check(rank: change.rank, scale: change.scale)
    guard change.middle == nil else { throw layer.inexpressible("middle factor (LoCon)") }
    var result: [(part: String, tensor: Tensor)] =
      change.isEmbedding
      ? [("lora_embedding_A", change.a), ("lora_embedding_B", change.b)]
      : [("lora_A.weight", change.a), ("lora_B.weight", change.b)]
    guard (change.magnitude != nil) == isDoRA else {
      throw layer.mismatch(
        "it has \(change.magnitude == nil ? "no " : "")magnitudes, which 'use_dora' does not say")
    }
    if let magnitude = change.magnitude {
      guard magnitude.shape == [change.outputSize] else {
        throw layer.inexpressible("magnitudes \(magnitude.shape), but one an output")
      }
      let rest = Array(repeating: 1, count: change.a.shape.count - 2)
      let shape = rest.isEmpty ? [change.outputSize] : [1, change.outputSize] + rest
      result.append(("lora_magnitude_vector", magnitude.reshaped(to: Shape(shape))))
    }
    if let bias = change.bias {
      guard hasFactorBias else {
        throw layer.mismatch("it has a bias of B, which 'lora_bias' does not say")
      }
      guard !change.isEmbedding else { throw layer.inexpressible("bias of an embedding's B") }
      result.append(("lora_B.bias", bias))
    } else if hasFactorBias, !change.isEmbedding {
      // PEFT gives all layers one: of zeros it changes nothing.
      result.append(("lora_B.bias", Tensor.zeros([change.outputSize])))
    }
    return result
  }

  // MARK: Describing

  static func describing(
    _ changes: [(path: String, change: LowRankChange)], of description: AdapterDescription,
    keeping kept: Self?
  ) throws(FormatError) -> Self {
    var options = kept ?? Self()
    options.isDoRA = changes.contains { $0.change.magnitude != nil }
    options.hasFactorBias = changes.contains { $0.change.bias != nil }
    for (path, change) in changes where options.isDoRA && change.magnitude == nil {
      throw PEFTAdapterConfiguration.inexpressible(
        "layer '\(path)'", "it has no magnitudes, other layers do: PEFT's 'use_dora' holds for all")
    }
    if options.isDoRA, options.hasFactorBias {
      throw PEFTAdapterConfiguration.inexpressible(
        "", "PEFT knows no bias of factors ('lora_bias') under 'use_dora'")
    }
    let tokens = description.replacedTokens
    if case .ofInput(let ids)? = options.trainedTokens, tokens.count == 1, tokens[0].ids == ids {
      return options
    }
    options.trainedTokens =
      tokens.isEmpty ? nil : .byModule(tokens.map { .init(key: $0.path, value: $0.ids) })
    return options
  }
}
