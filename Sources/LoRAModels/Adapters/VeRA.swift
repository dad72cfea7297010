public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// Vector-based random matrix adaptation: `y = x (W + diag(λ_b) B diag(λ_d) A)ᵀ`, A and B random,
/// frozen and shared by all layers.
///
/// ```swift
/// try model.inject(VeRA(rank: 256), named: "support", into: .allLinear)
/// ```
///
/// Trains `rank + outputSize` numbers a layer. λ_b starts at zero, so a fresh adapter changes nothing.
///
/// Source: Kopiczko et al., *VeRA: vector-based random matrix adaptation*, 2024.
public struct VeRA: AdapterMethod, Sendable, Hashable, Codable {
  /// The rank r of the change.
  public var rank = 256
  /// What λ_d starts as.
  public var initialScale: Float = 0.1
  /// The probability that an element of the adapter's input is dropped while training.
  public var dropout: Float = 0
  /// The seed of the projections, which PyTorch's generator draws.
  public var projectionKey = 0

  /// Creates a recipe with PEFT's defaults. Values are checked when it is used.
  public init(rank: Int = 256) { self.rank = rank }

  /// Reads a recipe; what it does not name is as the initializer has it.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&rank, .rank)
    try values.read(&initialScale, .initialScale)
    try values.read(&dropout, .dropout)
    try values.read(&projectionKey, .projectionKey)
  }

  /// Throws as ``LoRA/check()`` does, and for a start at zero, where all gradients are zero.
  public func check() throws(AdapterError) {
    try LoRA(rank: rank, alpha: Float(max(1, rank)), dropout: dropout).check()
    try AdapterError.demand(
      initialScale.isNormal, "initialScale", initialScale, "a finite number but 0")
  }

  /// Its rank: each layer has its part of the projections.
  public var factorRanks: [Int] { [rank] }

  /// A fresh adapter whose projections are those of this layer alone.
  public func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> VeRAAdapter {
    try makeAdapter(for: layer, at: "", among: AdaptedLayers([layer]), using: &random)
  }

  /// A fresh adapter that shares its projections with the others of `layers`.
  public func makeAdapter(
    for layer: any LinearLayer, at path: String, among layers: AdaptedLayers,
    using random: inout SeededRandom
  ) throws(AdapterError) -> VeRAAdapter {
    try check()
    let scales = Tensor(Array(repeating: initialScale, count: rank))
    return try VeRAAdapter(
      VeRAChange(.zeros([layer.outputSize]), scales, nil, key: projectionKey),
      AdapterPlace(
        layer: path, module: layer, layers: layers, isTrainable: true, dropout: dropout,
        dropoutStream: random.stream))
  }
}

/// The vectors of ``VeRA`` on one layer, and the projections.
public final class VeRAAdapter: LinearAdapter {
  /// λ_b, `[outputSize]`, and λ_d, `[rank]`.
  public let outputScale, rankScale: Parameter
  /// A and B of this layer, `[rank, inputSize]` and `[outputSize, rank]`, frozen.
  public let a, b: Parameter
  private let shared: VeRAChange
  private let dropout: (rate: Float, stream: UInt64)

  fileprivate init(_ change: VeRAChange, _ place: AdapterPlace) throws(AdapterError) {
    let (layer, rank) = (try place.linearLayer(for: "VeRA"), change.rankScale.elementCount)
    let (inputs, outputs) = (layer.inputSize, layer.outputSize)
    let (a, b) = try place.layers.shared(change.projections, rank: rank, change.draw)
    guard a.shape[1] >= inputs, b.shape[0] >= outputs, change.outputScale.shape == [outputs] else {
      throw .shapeMismatch(
        layer: place.layer, expected: "\(inputs) inputs and \(outputs) outputs at most",
        found: "A \(a.shape), B \(b.shape) and λ_b \(change.outputScale.shape)")
    }
    outputScale = Parameter(change.outputScale, isTrainable: place.isTrainable)
    rankScale = Parameter(change.rankScale, isTrainable: place.isTrainable)
    self.a = Parameter(a.sliced(axis: 1, 0..<inputs), isTrainable: false)
    self.b = Parameter(b.sliced(axis: 0, 0..<outputs), isTrainable: false)
    shared = VeRAChange(change.outputScale, change.rankScale, (a, b), key: change.key)
    dropout = (place.dropout, place.dropoutStream)
  }

  /// The vectors under the names that PEFT gives them, and the projections.
  public var parameters: Named<Parameter> {
    ["vera_lambda_b": outputScale, "vera_lambda_d": rankScale, "vera_A": a, "vera_B": b]
  }

  /// The vectors, and the projections of all layers.
  public var change: (any LayerChange)? {
    VeRAChange(outputScale.value, rankScale.value, shared.projections, key: shared.key)
  }

  /// Low-rank factors A and diag(λ_b) B diag(λ_d).
  public var effect: AdapterEffect {
    let scaled = Variable(b).scaledColumns(by: Variable(rankScale))
    let factors = [(Variable(a), scaled * Variable(outputScale).reshaped(to: [b.shape[0], 1]))]
    return .lowRank(
      LowRankEffect(
        factors: factors, scale: 1, dropoutRate: dropout.rate, dropoutStream: dropout.stream))
  }
}

extension VeRAChange: AttachableChange {
  package func makeAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter {
    try VeRAAdapter(self, place)
  }
}

extension PEFTAdapterConfiguration.VeRA: TrainableMethod {
  package static let recipes = [
    TrainingRecipe(name: "vera", hyperparameters: [.rank, .dropout], rank: 256) {
      .vera(Self(dropout: $0.dropout))
    }
  ]
  package var factorPairs: Int? { 1 }

  package func recipe(
    forPath path: String, of configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) -> any AdapterMethod {
    var recipe = LoRAModels.VeRA(rank: configuration.rank)
    (recipe.initialScale, recipe.dropout) = (Float(initialScale), Float(dropout))
    recipe.projectionKey = projectionKey
    return recipe
  }
}
