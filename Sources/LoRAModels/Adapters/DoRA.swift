public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// Weight-decomposed low-rank adaptation: the rows of `W + s B A`, each at a length that is trained
/// by itself, `y = x (m ⊙ (W + s B A) / ‖W + s B A‖)ᵀ + bias`.
///
/// ```swift
/// try model.inject(DoRA(rank: 8, alpha: 16), named: "support", into: .allLinear)
/// ```
///
/// Trains `rank * (inputSize + outputSize) + outputSize` numbers a layer. The magnitudes m start at
/// the norms of W's rows and B at zero, so a fresh adapter changes nothing. The norms are constants
/// of the backward pass, as the paper suggests and PEFT does.
///
/// Strength k moves the output by k times the adapter's change: `y + k (y' - y)`, y' being the output
/// at strength 1. Changes of several adapters add up, each taken on the base alone.
///
/// Source: Liu et al., *DoRA: weight-decomposed low-rank adaptation*, 2024.
public struct DoRA: AdapterMethod, Sendable, Hashable, Codable {
  /// The rank r of the change.
  public var rank: Int
  /// The change is scaled by `alpha / rank`.
  public var alpha: Float
  /// The probability that an element of the adapter's input is dropped while training. The base is
  /// then computed twice: what magnitudes change acts on the dropped input, as in PEFT.
  public var dropout: Float
  /// Whether the scale is `alpha / sqrt(rank)` instead (rsLoRA).
  public var isRankStabilized: Bool

  /// Creates a recipe. Values are checked when it is used.
  public init(
    rank: Int = 8, alpha: Float = 16, dropout: Float = 0, isRankStabilized: Bool = false
  ) {
    self.rank = rank
    self.alpha = alpha
    self.dropout = dropout
    self.isRankStabilized = isRankStabilized
  }

  /// Reads a recipe; what it does not name is as the initializer has it.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&rank, .rank)
    try values.read(&alpha, .alpha)
    try values.read(&dropout, .dropout)
    try values.read(&isRankStabilized, .isRankStabilized)
  }

  /// Throws as ``LoRA/check()`` does.
  public func check() throws(AdapterError) { try factors.check() }

  private var factors: LoRA {
    LoRA(rank: rank, alpha: alpha, dropout: dropout, isRankStabilized: isRankStabilized)
  }

  /// The rank of its factors.
  public var factorRanks: [Int] { [rank] }

  /// A fresh adapter: the factors of a fresh ``LoRA``, the magnitudes the norms of the base's rows.
  public func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> DoRAAdapter {
    let factors = try factors.makeAdapter(for: layer, using: &random)
    // The same roundings as those of the norms in a pass, so that the ratio is exactly 1.
    let squares = layer.squaredRowNorms().scalars()
    return DoRAAdapter(
      a: factors.a, b: factors.b,
      magnitude: Parameter(Tensor(squares.map { $0.squareRoot() })), scale: factors.scale,
      dropoutRate: dropout, dropoutStream: random.stream)
  }
}

/// The factors and magnitudes of ``DoRA`` on one layer.
public final class DoRAAdapter: LinearAdapter {
  /// A, `[rank, inputSize]`.
  public let a: Parameter
  /// B, `[outputSize, rank]`.
  public let b: Parameter
  /// m, what the norms of the rows become, `[outputSize]`.
  public let magnitude: Parameter
  /// s, what the product of the factors is multiplied by.
  public let scale: Float
  /// The probability that an element of the input is dropped while training.
  public let dropoutRate: Float
  /// What tells this adapter's dropout draws from another's.
  public let dropoutStream: UInt64
  private let norms = RowNorms()

  /// Creates an adapter from its factors, `[rank, inputSize]` and `[outputSize, rank]`, and
  /// magnitudes, `[outputSize]`.
  public init(
    a: Parameter, b: Parameter, magnitude: Parameter, scale: Float, dropoutRate: Float = 0,
    dropoutStream: UInt64 = 0
  ) {
    require(
      a.shape.count == 2 && b.shape.count == 2 && a.shape[0] == b.shape[1]
        && magnitude.shape == [b.shape[0]],
      "low-rank factors of shapes \(a.shape) and \(b.shape), magnitudes \(magnitude.shape)")
    self.a = a
    self.b = b
    self.magnitude = magnitude
    self.scale = scale
    self.dropoutRate = dropoutRate
    self.dropoutStream = dropoutStream
  }

  /// The rank r.
  public var rank: Int { a.shape[0] }

  /// A, B and the magnitudes, under the names that PEFT gives them.
  public var parameters: Named<Parameter> {
    ["lora_A.weight": a, "lora_B.weight": b, "lora_magnitude_vector": magnitude]
  }

  /// Factors, magnitudes and scale.
  public var change: (any LayerChange)? {
    LowRankChange(
      a: a.value, b: b.value, alpha: scale.alpha(rank: rank), scale: Double(scale),
      magnitude: magnitude.value)
  }

  /// Products and magnitudes.
  public var effect: AdapterEffect {
    .normalized(
      NormalizedEffect(
        lowRank: LowRankEffect(
          factors: [(Variable(a), Variable(b))], scale: scale, dropoutRate: dropoutRate,
          dropoutStream: dropoutStream),
        magnitude: Variable(magnitude), norms: norms))
  }
}

extension LowRankChange {
  func makeDecomposed(
    _ magnitude: Tensor, at place: AdapterPlace
  ) throws(AdapterError) -> DoRAAdapter {
    guard bias == nil else {
      throw .unsupported(layer: place.layer, reason: "DoRA with a bias of B can't be attached")
    }
    guard magnitude.shape == [outputSize] else {
      throw .unsupported(
        layer: place.layer,
        reason: "magnitudes \(magnitude.shape) can't be attached, only one for each output, "
          + "[\(outputSize)]")
    }
    return DoRAAdapter(
      a: Parameter(a, isTrainable: place.isTrainable),
      b: Parameter(b, isTrainable: place.isTrainable),
      magnitude: Parameter(magnitude, isTrainable: place.isTrainable), scale: Float(scale),
      dropoutRate: place.dropout, dropoutStream: place.dropoutStream)
  }
}
