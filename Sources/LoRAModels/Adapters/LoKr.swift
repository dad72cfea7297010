public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// Low-rank Kronecker products: `y = x (W + (alpha / rank) C₁ ⊗ C₂)ᵀ`, C₂ of low rank where that is
/// smaller, and C₁ too if asked.
///
/// ```swift
/// try model.inject(LoKr(rank: 8, alpha: 8), named: "support", into: .allLinear)
/// ```
///
/// C₁ is `[o₁, i₁]`, C₂ `[o₂, i₂]` with `o₁ o₂ = outputSize` and `i₁ i₂ = inputSize`, o₁ and i₁ the
/// smaller ones. C₁ starts at zero, so a fresh adapter changes nothing. The change is never formed:
/// both factors act on the input in turn.
///
/// Source: Yeh et al., *Navigating text-to-image customization: from LyCORIS fine-tuning to model
/// evaluation*, 2024; factors and scale as PEFT has them.
public struct LoKr: AdapterMethod, Sendable, Hashable, Codable {
  /// The rank of the factors that are products.
  public var rank: Int
  /// The change is scaled by `alpha / rank`.
  public var alpha: Float
  /// Whether C₁ is a product too, where its longer side is above twice the rank.
  public var decomposesBoth: Bool
  /// The size of o₁ and i₁ where it divides the layer's; otherwise, and by default (-1), the divisors
  /// nearest to the square root.
  public var factor: Int

  /// Creates a recipe. Values are checked when it is used.
  public init(rank: Int = 8, alpha: Float = 8, decomposesBoth: Bool = false, factor: Int = -1) {
    self.rank = rank
    self.alpha = alpha
    self.decomposesBoth = decomposesBoth
    self.factor = factor
  }

  /// Reads a recipe; what it does not name is as the initializer has it.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&rank, .rank)
    try values.read(&alpha, .alpha)
    try values.read(&decomposesBoth, .decomposesBoth)
    try values.read(&factor, .factor)
  }

  /// Throws as ``LoRA/check()`` does, and for a factor that is none.
  public func check() throws(AdapterError) {
    try LoRA(rank: rank, alpha: alpha).check()
    // Above half of a factor's size the rank means nothing, and takes no memory; a configuration file
    // may say no more.
    guard rank <= 1 << 20 else {
      throw .invalidValue(parameter: "rank", value: "\(rank)", expected: "1 to 1048576")
    }
    guard factor == -1 || factor >= 1 else {
      throw .invalidValue(parameter: "factor", value: "\(factor)", expected: "-1 or at least 1")
    }
  }

  /// A fresh adapter with PEFT's initial values.
  public func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> LoKrAdapter {
    try check()
    let (i1, i2) = Self.factors(of: layer.inputSize, near: factor)
    let (o1, o2) = Self.factors(of: layer.outputSize, near: factor)
    let first: LoKrAdapter.Factor =
      decomposesBoth && rank <= (max(o1, i1) - 1) / 2
      ? .product(Parameter(.zeros([o1, rank])), Parameter(random.kaiming([rank, i1])))
      : .whole(Parameter(.zeros([o1, i1])))
    let second: LoKrAdapter.Factor =
      rank <= (max(o2, i2) - 1) / 2
      ? .product(
        Parameter(random.kaiming([o2, rank])), Parameter(random.kaiming([rank, i2])))
      : .whole(Parameter(random.kaiming([o2, i2])))
    return LoKrAdapter(first: first, second: second, rank: rank, scale: alpha / Float(rank))
  }

  /// Two numbers whose product is `size`, the first not above the second: `factor` and the quotient
  /// if it divides, else the most nearly equal ones of which the first is at most `factor` (-1: any).
  static func factors(of size: Int, near factor: Int) -> (Int, Int) {
    // As it is found in PEFT: not put in order.
    if factor > 0, size % factor == 0 { return (factor, size / factor) }
    let limit = factor == -1 ? size : factor
    var (m, n) = (1, size)
    let length = m + n
    while m < n {
      var next = m + 1
      while size % next != 0 { next += 1 }
      if next + size / next > length || next > limit { break }
      (m, n) = (next, size / next)
    }
    return m > n ? (n, m) : (m, n)
  }
}

/// The two factors of ``LoKr`` on one layer.
public final class LoKrAdapter: LinearAdapter {
  /// A factor, as it is or as a product of `[m, r]` and `[r, n]`.
  public enum Factor: Sendable {
    /// `[m, n]`.
    case whole(Parameter)
    /// `[m, r]` and `[r, n]`.
    case product(Parameter, Parameter)

    /// m and n.
    public var extents: (outputs: Int, inputs: Int) {
      switch self {
      case .whole(let c): (c.shape[0], c.shape[1])
      case .product(let a, let b): (a.shape[0], b.shape[1])
      }
    }

    /// Whether the parts are matrices that fit each other.
    var isValid: Bool {
      switch self {
      case .whole(let c): c.shape.count == 2
      case .product(let a, let b):
        a.shape.count == 2 && b.shape.count == 2 && a.shape[1] == b.shape[0]
      }
    }

    func parameters(_ name: String) -> Named<Parameter> {
      switch self {
      case .whole(let c): [name: c]
      case .product(let a, let b): ["\(name)_a": a, "\(name)_b": b]
      }
    }

    /// The rows of `x`, `[..., n]`, times the transpose.
    func callAsFunction(_ x: Variable) -> Variable {
      switch self {
      case .whole(let c): x.linear(weight: Variable(c))
      case .product(let a, let b): x.linear(weight: Variable(b)).linear(weight: Variable(a))
      }
    }

    var dense: Tensor {
      switch self {
      case .whole(let c): c.value
      case .product(let a, let b): a.value.matrixProduct(with: b.value)
      }
    }

    var change: KroneckerChange.Factor {
      switch self {
      case .whole(let c): .whole(c.value)
      case .product(let a, let b): .product(a.value, b.value)
      }
    }
  }

  /// C₁, `[o₁, i₁]`.
  public let first: Factor
  /// C₂, `[o₂, i₂]`.
  public let second: Factor
  /// The rank that the recipe names; nil where it is not known.
  public let rank: Int?
  /// What the product is multiplied by.
  public let scale: Float

  /// Creates an adapter from its factors. Traps if the parts of one do not fit each other.
  public init(first: Factor, second: Factor, rank: Int?, scale: Float) {
    require(
      first.isValid && second.isValid, "Kronecker factors of \(first.extents), \(second.extents)")
    self.first = first
    self.second = second
    self.rank = rank
    self.scale = scale
  }

  /// The factors, under the names that PEFT gives them.
  public var parameters: Named<Parameter> {
    first.parameters("lokr_w1") + second.parameters("lokr_w2")
  }

  /// The products of the factors' sizes.
  public var extents: (inputSize: Int?, outputSize: Int?) {
    let (a, b) = (first.extents, second.extents)
    return (a.inputs * b.inputs, a.outputs * b.outputs)
  }

  /// Factors, rank and scale.
  public var change: (any LayerChange)? {
    KroneckerChange(
      first: first.change, second: second.change, rank: rank,
      alpha: scale.alpha(rank: rank ?? 1), scale: Double(scale))
  }

  /// `strength scale x (C₁ ⊗ C₂)ᵀ` is added, C₂ applied to the columns of each row of `x` seen as
  /// `[i₁, i₂]`, C₁ to what is left of its rows.
  public var effect: AdapterEffect {
    .computed(
      ComputedEffect { [self] x, _, strength in
        product(x).scaled(by: scale * strength)
      } delta: { [self] _ in
        LinearWeights(weight: dense.scaled(by: scale))
      })
  }

  /// The products of both factors, and of each step where one is itself a product.
  public var memory: AdapterMemory {
    let ((o1, i1), (o2, i2)) = (first.extents, second.extents)
    let count = parameters.reduce(0) { $0 + $1.value.shape.elementCount }
    var kept = o2 * i1
    if case .product(_, let b) = second { kept += i1 * b.shape[0] }
    if case .product(_, let b) = first { kept += o2 * b.shape[0] }
    return AdapterMemory(rank: max(1, count / max(1, i1 * i2 + o1 * o2)), keptWidth: kept)
  }

  /// `x (C₁ ⊗ C₂)ᵀ`.
  private func product(_ x: Variable) -> Variable {
    let ((o1, i1), (o2, i2)) = (first.extents, second.extents)
    require(x.shape.innermost == i1 * i2, "Kronecker factors \(extents) for an input \(x.shape)")
    let inner = second(x.reshaped(to: [x.shape.rowCount, i1, i2])).permuted([0, 2, 1])
    return first(inner).permuted([0, 2, 1])
      .reshaped(to: x.shape.replacingInnermost(with: o1 * o2))
  }

  /// `C₁ ⊗ C₂`.
  private var dense: Tensor {
    let ((o1, i1), (o2, i2)) = (first.extents, second.extents)
    let blocks =
      first.dense.reshaped(to: [o1, 1, i1, 1]) * second.dense.reshaped(to: [1, o2, 1, i2])
    return blocks.reshaped(to: [o1 * o2, i1 * i2])
  }
}

// MARK: - From and to data

extension KroneckerChange: AttachableChange {
  /// The two factors as an adapter.
  package func makeAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter {
    if magnitude != nil {
      throw .unsupported(
        layer: place.layer, reason: "LoKr with dora_scale can't be attached to a linear layer")
    }
    return LoKrAdapter(
      first: try first.parameters("C₁", place), second: try second.parameters("C₂", place),
      rank: rank, scale: Float(scale))
  }
}

extension KroneckerChange.Factor {
  fileprivate func parameters(
    _ name: String, _ place: AdapterPlace
  ) throws(AdapterError) -> LoKrAdapter.Factor {
    let factor: LoKrAdapter.Factor
    switch self {
    case .whole(let c):
      factor = .whole(Parameter(c, isTrainable: place.isTrainable))
    case .product(let a, let b):
      factor = .product(
        Parameter(a, isTrainable: place.isTrainable), Parameter(b, isTrainable: place.isTrainable))
    case .tucker:
      throw .unsupported(
        layer: place.layer,
        reason: "LoKr with the core of a convolution can't be attached to a linear layer")
    }
    guard factor.isValid else {
      throw .shapeMismatch(
        layer: place.layer, expected: "a matrix \(name), or two that fit each other",
        found: factor.parameters(name).map { "\($0.value.shape)" }.joined(separator: ", "))
    }
    return factor
  }
}

extension PEFTAdapterConfiguration.LoKr: TrainableMethod {
  package static let recipes = [
    TrainingRecipe(
      name: "lokr", hyperparameters: [.rank, .alpha], alpha: 8, options: { _ in .lokr(.init()) })
  ]

  package func checkTrainable(
    _ configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) {
    try configuration.demandPlainTraining(rankDropout: rankDropout, moduleDropout: moduleDropout)
  }

  package func recipe(
    forPath path: String, of configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) -> any AdapterMethod {
    try configuration.checkScale(forPath: path)
    return LoRAModels.LoKr(
      rank: configuration.rank(forPath: path), alpha: Float(configuration.alpha(forPath: path)),
      decomposesBoth: decomposesBoth, factor: factor)
  }
}
