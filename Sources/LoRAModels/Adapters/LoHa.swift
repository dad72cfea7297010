public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// Low-rank Hadamard products: `y = x (W + (alpha / rank) (B₁ A₁) ⊙ (B₂ A₂))ᵀ`, a change of rank up
/// to `rank²`.
///
/// ```swift
/// try model.inject(LoHa(rank: 4, alpha: 8), named: "support", into: .allLinear)
/// ```
///
/// Trains `2 rank * (inputSize + outputSize)` numbers a layer. A₂ starts at zero, so a fresh adapter
/// changes nothing. The change has no shorter form: it is computed at the size of W in each pass, so
/// a step costs about twice one of ``LoRA``.
///
/// Source: Hyeon-Woo et al., *FedPara: low-rank Hadamard product for communication-efficient
/// federated learning*, 2022.
public struct LoHa: AdapterMethod, Sendable, Hashable, Codable {
  /// The rank r of both products.
  public var rank: Int
  /// The change is scaled by `alpha / rank`.
  public var alpha: Float

  /// Creates a recipe. Values are checked when it is used.
  public init(rank: Int = 8, alpha: Float = 8) {
    self.rank = rank
    self.alpha = alpha
  }

  /// Reads a recipe; what it does not name is as the initializer has it.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&rank, .rank)
    try values.read(&alpha, .alpha)
  }

  /// Throws as ``LoRA/check()`` does.
  public func check() throws(AdapterError) { try LoRA(rank: rank, alpha: alpha).check() }

  /// The rank of both pairs of factors.
  public var factorRanks: [Int] { [rank, rank] }

  /// A fresh adapter with PEFT's initial values: each factor but A₂ uniform within
  /// `1 / sqrt(columns)`.
  public func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> LoHaAdapter {
    try check()
    let (inputs, outputs) = (layer.inputSize, layer.outputSize)
    return LoHaAdapter(
      b1: Parameter(random.kaiming([outputs, rank])),
      a1: Parameter(random.kaiming([rank, inputs])),
      b2: Parameter(random.kaiming([outputs, rank])), a2: Parameter(.zeros([rank, inputs])),
      scale: alpha / Float(rank))
  }
}

/// The four factors of ``LoHa`` on one layer.
public final class LoHaAdapter: LinearAdapter {
  /// B₁, `[outputSize, rank]`.
  public let b1: Parameter
  /// A₁, `[rank, inputSize]`.
  public let a1: Parameter
  /// B₂, `[outputSize, rank]`.
  public let b2: Parameter
  /// A₂, `[rank, inputSize]`.
  public let a2: Parameter
  /// What the product is multiplied by.
  public let scale: Float

  /// Creates an adapter from its factors. Traps unless they fit each other.
  public init(b1: Parameter, a1: Parameter, b2: Parameter, a2: Parameter, scale: Float) {
    require(
      Self.fit(b1.shape, a1.shape, b2.shape, a2.shape),
      "Hadamard factors of shapes \(b1.shape), \(a1.shape), \(b2.shape) and \(a2.shape)")
    self.b1 = b1
    self.a1 = a1
    self.b2 = b2
    self.a2 = a2
    self.scale = scale
  }

  /// Whether factors of these shapes make two matrices of the same extents.
  static func fit(_ b1: Shape, _ a1: Shape, _ b2: Shape, _ a2: Shape) -> Bool {
    [b1, a1, b2, a2].allSatisfy { $0.count == 2 } && b1[1] == a1[0] && b2[1] == a2[0]
      && b1[0] == b2[0] && a1[1] == a2[1]
  }

  /// The factors, under the names that PEFT gives them.
  public var parameters: Named<Parameter> {
    ["hada_w1_a": b1, "hada_w1_b": a1, "hada_w2_a": b2, "hada_w2_b": a2]
  }

  /// Those of the factors.
  public var extents: (inputSize: Int?, outputSize: Int?) { (a1.shape[1], b1.shape[0]) }

  /// Factors and scale.
  public var change: (any LayerChange)? {
    HadamardChange(
      b1: b1.value, a1: a1.value, b2: b2.value, a2: a2.value,
      alpha: scale.alpha(rank: a1.shape[0]), scale: Double(scale))
  }

  private func product(scale: Float) -> Variable {
    .hadamardProduct(Variable(b1), Variable(a1), Variable(b2), Variable(a2), scale: scale)
  }

  /// `strength x Δᵀ` is added, with Δ the scaled product.
  public var effect: AdapterEffect {
    .computed(
      ComputedEffect { [self] x, _, strength in
        x.linear(weight: product(scale: scale * strength))
      } delta: { [self] _ in
        LinearWeights(weight: withoutGradients { product(scale: scale).value })
      })
  }

  /// The change, its gradient, and the products that they come from.
  public var memory: AdapterMemory {
    AdapterMemory(rank: 2 * a1.shape[0], scratch: 4 * a1.shape[1] * b1.shape[0])
  }
}

// MARK: - From and to data

extension HadamardChange: AttachableChange {
  /// The four factors as an adapter.
  package func makeAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter {
    guard t1 == nil, t2 == nil, magnitude == nil else {
      throw .unsupported(
        layer: place.layer,
        reason: "LoHa with \(magnitude == nil ? "the cores of a convolution" : "dora_scale") can't "
          + "be attached to a linear layer")
    }
    guard LoHaAdapter.fit(b1.shape, a1.shape, b2.shape, a2.shape) else {
      throw .shapeMismatch(
        layer: place.layer, expected: "factors [out, rank], [rank, in], [out, rank], [rank, in]",
        found: "\(b1.shape), \(a1.shape), \(b2.shape), \(a2.shape)")
    }
    func parameter(_ value: Tensor) -> Parameter {
      Parameter(value, isTrainable: place.isTrainable)
    }
    return LoHaAdapter(
      b1: parameter(b1), a1: parameter(a1), b2: parameter(b2), a2: parameter(a2),
      scale: Float(scale))
  }
}

extension PEFTAdapterConfiguration.LoHa: TrainableMethod {
  package static let recipes = [
    TrainingRecipe(
      name: "loha", hyperparameters: [.rank, .alpha], alpha: 8, options: { _ in .loha(.init()) })
  ]
  package var factorPairs: Int? { 2 }

  package func checkTrainable(
    _ configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) {
    try configuration.demandPlainTraining(rankDropout: rankDropout, moduleDropout: moduleDropout)
  }

  package func recipe(
    forPath path: String, of configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) -> any AdapterMethod {
    try configuration.checkScale(forPath: path)
    return LoRAModels.LoHa(
      rank: configuration.rank(forPath: path), alpha: Float(configuration.alpha(forPath: path)))
  }
}

extension SeededRandom {
  /// A matrix that is uniform within `1 / sqrt(columns)`: PyTorch's `kaiming_uniform_` with
  /// `a = sqrt(5)`.
  mutating func kaiming(_ shape: Shape) -> Tensor {
    let bound = 1 / Float(max(shape.innermost, 1)).squareRoot()
    return uniform(shape, in: -bound..<bound)
  }
}
