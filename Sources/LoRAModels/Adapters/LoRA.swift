public import LoRAAutograd
package import LoRAFormats
public import LoRATensor

/// Low-rank adaptation: `y = x Wᵀ + (alpha / rank) (x Aᵀ) Bᵀ`, A and B trained, W untouched.
///
/// ```swift
/// try model.inject(LoRA(rank: 8, alpha: 16), named: "support", into: .allLinear)
/// ```
///
/// Trains `rank * (inputSize + outputSize)` numbers a layer. A starts random and B at zero, so a
/// fresh adapter changes nothing.
///
/// Source: Hu et al., *LoRA: low-rank adaptation of large language models*, 2021; the scale
/// `alpha / sqrt(rank)`: Kalajdzievski, *A rank stabilization scaling factor*, 2023.
public struct LoRA: AdapterMethod, Sendable, Hashable, Codable {
  /// The rank r of the change.
  public var rank: Int
  /// The change is scaled by `alpha / rank`.
  public var alpha: Float
  /// The probability that an element of the adapter's input is dropped while training.
  public var dropout: Float
  /// Whether the scale is `alpha / sqrt(rank)` instead (rsLoRA).
  public var isRankStabilized: Bool
  /// Whether B has a bias, which starts at zero (`lora_bias`).
  public var hasBias: Bool
  /// How A and B start.
  public var initialization: Initialization

  /// Creates a recipe. Values are checked when it is used.
  public init(
    rank: Int = 8, alpha: Float = 16, dropout: Float = 0, isRankStabilized: Bool = false,
    hasBias: Bool = false, initialization: Initialization = .kaiming
  ) {
    self.rank = rank
    self.alpha = alpha
    self.dropout = dropout
    self.isRankStabilized = isRankStabilized
    self.hasBias = hasBias
    self.initialization = initialization
  }

  /// Reads a recipe; what an older one does not name is as the initializer has it.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&rank, .rank)
    try values.read(&alpha, .alpha)
    try values.read(&dropout, .dropout)
    try values.read(&isRankStabilized, .isRankStabilized)
    try values.read(&hasBias, .hasBias)
    try values.read(&initialization, .initialization)
  }

  /// What the low-rank product is multiplied by.
  public var scale: Float {
    isRankStabilized ? alpha / Float(rank).squareRoot() : alpha / Float(rank)
  }

  /// Throws ``AdapterError/invalidValue(parameter:value:expected:)`` for the first value that nothing
  /// can be learned with: at scale 0, for one, all gradients are zero for ever.
  public func check() throws(AdapterError) {
    try Self.check(
      rank: rank, alpha: alpha, dropout: dropout, isRankStabilized: isRankStabilized)
  }

  /// The same of numbers as they were given: errors name these, not what float32 makes of them.
  package static func check<Number: BinaryFloatingPoint>(
    rank: Int, alpha: Number, dropout: Number, isRankStabilized: Bool
  ) throws(AdapterError) {
    guard rank >= 1 else {
      throw .invalidValue(parameter: "rank", value: "\(rank)", expected: "at least 1")
    }
    guard Float(alpha) > 0, Float(alpha).isFinite else {
      throw .invalidValue(
        parameter: "alpha", value: "\(alpha)",
        expected: "a finite number above 0 in float32, such as the rank or twice that")
    }
    let scale = alpha / (isRankStabilized ? Number(rank).squareRoot() : Number(rank))
    guard (Float.leastNormalMagnitude...1e6).contains(Float(scale)) else {
      throw .invalidValue(
        parameter: "the scale of alpha \(alpha) at rank \(rank)", value: "\(scale)",
        expected: "at least \(Float.leastNormalMagnitude), at most 1e6; alpha is about the rank, "
          + "or twice that")
    }
    guard dropout >= 0, Float(dropout) < 1 else {
      throw .invalidValue(
        parameter: "dropout", value: "\(dropout)", expected: "at least 0, below 1 in float32")
    }
  }

  /// The rank of its factors.
  public var factorRanks: [Int] { [rank] }

  /// A fresh adapter: A uniform within `1 / sqrt(inputSize)`, as PEFT draws it, B zero, unless the
  /// initialization says otherwise.
  public func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> LoRAAdapter {
    try makeAdapter(for: layer, at: "", using: &random)
  }

  /// A fresh adapter of the layer at `path`, which errors name.
  public func makeAdapter(
    for layer: any LinearLayer, at path: String, using random: inout SeededRandom
  ) throws(AdapterError) -> LoRAAdapter {
    try check()
    let (a, b, hasEffect) = try initialFactors(for: layer, at: path, using: &random)
    return LoRAAdapter(
      a: Parameter(a), b: Parameter(b),
      outputBias: hasBias ? Parameter(.zeros([layer.outputSize])) : nil,
      origin: hasEffect ? LowRankOrigin(a: a, b: b) : nil, scale: scale, dropoutRate: dropout,
      dropoutStream: random.stream)
  }
}

extension LoRA: ParameterAdapterMethod {
  package var obstacleForParameters: String? {
    dropout > 0 ? "dropout" : hasBias ? "a bias of B" : nil
  }
}

/// The two factors of ``LoRA`` on one layer.
public final class LoRAAdapter: LowRankAdapter {
  /// A, `[rank, inputSize]`.
  public let a: Parameter
  /// B, `[outputSize, rank]`.
  public let b: Parameter
  /// The bias of B, `[outputSize]`, if it has one.
  public let outputBias: Parameter?
  /// What A and B started from, if their product is to be taken off.
  public let origin: LowRankOrigin?
  /// What the product is multiplied by.
  public let scale: Float
  /// The probability that an element of the input is dropped while training.
  public let dropoutRate: Float
  /// What tells this adapter's dropout draws from another's.
  public let dropoutStream: UInt64

  /// Creates an adapter from its factors, `[rank, inputSize]` and `[outputSize, rank]`, and perhaps a
  /// bias of the second, `[outputSize]`, and factors of the same shapes that it started from.
  public init(
    a: Parameter, b: Parameter, outputBias: Parameter? = nil, origin: LowRankOrigin? = nil,
    scale: Float,
    dropoutRate: Float = 0, dropoutStream: UInt64 = 0
  ) {
    require(
      a.shape.count == 2 && b.shape.count == 2 && a.shape[0] == b.shape[1]
        && (outputBias == nil || outputBias?.shape == [b.shape[0]])
        && (origin == nil || (origin?.a.shape == a.shape && origin?.b.shape == b.shape)),
      "low-rank factors of shapes \(a.shape) and \(b.shape), bias "
        + "\(outputBias.map { "\($0.shape)" } ?? "none"); a is [rank, inputs], b [outputs, rank], a bias "
        + "[outputs]")
    self.a = a
    self.b = b
    self.outputBias = outputBias
    self.origin = origin
    self.scale = scale
    self.dropoutRate = dropoutRate
    self.dropoutStream = dropoutStream
  }

  /// The rank r.
  public var rank: Int { a.shape[0] }

  /// A, B and the bias, under the names that PEFT gives them; and the origin's, which are frozen.
  public var parameters: Named<Parameter> {
    ["lora_A.weight": a, "lora_B.weight": b] + .optional("lora_B.bias", outputBias)
      + .optional("lora_A.origin", origin?.a) + .optional("lora_B.origin", origin?.b)
  }
}

// MARK: - From and to data

extension LowRankChange: AttachableChange {
  /// LoRA's adapter, or with magnitudes DoRA's.
  package func makeAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter {
    if isEmbedding { return try makeEmbeddingAdapter(at: place) }
    if middle != nil || a.shape.count != 2 {
      throw .unsupported(
        layer: place.layer,
        reason: "factors of a convolution can't be attached to a linear layer")
    }
    if let magnitude { return try makeDecomposed(magnitude, at: place) }
    if let bias, bias.shape != [outputSize] {
      throw .shapeMismatch(
        layer: place.layer, expected: "a bias of B of \(outputSize) elements",
        found: "\(bias.shape)")
    }
    return LoRAAdapter(
      a: Parameter(a, isTrainable: place.isTrainable),
      b: Parameter(b, isTrainable: place.isTrainable),
      outputBias: bias.map { Parameter($0, isTrainable: place.isTrainable) },
      scale: Float(scale), dropoutRate: place.dropout, dropoutStream: place.dropoutStream)
  }

  private func makeEmbeddingAdapter(
    at place: AdapterPlace
  ) throws(AdapterError) -> any LinearAdapter {
    guard place.isInModel else {
      throw .unsupported(
        layer: place.layer, reason: "factors of an embedding can't be attached to a linear layer")
    }
    guard bias == nil, middle == nil, a.shape.count == 2,
      magnitude == nil || magnitude?.shape == [outputSize]
    else {
      throw .unsupported(
        layer: place.layer,
        reason: "only low-rank factors, with or without a magnitude for each element of a vector, "
          + "can be attached to an embedding")
    }
    // An embedding has no input to drop from.
    var place = place
    place.dropout = 0
    place.dropoutStream = 0
    if let magnitude { return try makeDecomposed(magnitude, at: place) }
    return LoRAAdapter(
      a: Parameter(a, isTrainable: place.isTrainable),
      b: Parameter(b, isTrainable: place.isTrainable), scale: Float(scale))
  }
}

extension PEFTAdapterConfiguration.LoRA: TrainableMethod {
  package static let recipes = [
    TrainingRecipe(
      name: "lora",
      hyperparameters: [.rank, .alpha, .dropout, .rankStabilization, .initialization],
      options: { .lora(.init(dropout: $0.dropout, usesRankStabilizedScale: $0.isRankStabilized)) }),
    TrainingRecipe(
      name: "dora", hyperparameters: [.rank, .alpha, .dropout, .rankStabilization],
      options: {
        .lora(
          .init(dropout: $0.dropout, usesRankStabilizedScale: $0.isRankStabilized, isDoRA: true))
      }),
  ]
  package var recipeName: String { isDoRA ? "dora" : "lora" }
  package var factorPairs: Int? { 1 }

  package func checkTrainable(
    _ configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) {
    guard isDoRA else {
      _ = try initialization(of: configuration)
      return
    }
    try AdapterError.refuse(hasFactorBias, "lora_bias", "true with DoRA")
    try configuration.demandStandardInitialization()
  }

  package func recipe(
    forPath path: String, of configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) -> any AdapterMethod {
    try configuration.checkScale(forPath: path)
    let (rank, alpha) = (configuration.rank(forPath: path), configuration.alpha(forPath: path))
    if isDoRA {
      return LoRAModels.DoRA(
        rank: rank, alpha: Float(alpha), dropout: Float(dropout),
        isRankStabilized: usesRankStabilizedScale)
    }
    return LoRAModels.LoRA(
      rank: rank, alpha: Float(alpha), dropout: Float(dropout),
      isRankStabilized: usesRankStabilizedScale, hasBias: hasFactorBias,
      initialization: try initialization(of: configuration))
  }

  /// How A and B start.
  private func initialization(
    of configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) -> LoRAModels.LoRA.Initialization {
    switch configuration.initialization {
    case .standard: return .kaiming
    case .named(let name):
      if let known = LoRAModels.LoRA.Initialization(rawValue: name), known != .kaiming {
        return known
      }
    case .random: break
    }
    throw configuration.unusableInitialization(
      "true, \"gaussian\", \"orthogonal\", \"pissa\" or \"olora\"")
  }
}
