public import LoRAAutograd
import LoRATensor

/// Products of low rank that are added to a layer's output: `scale (Σ (x aᵀ) bᵀ + bias)`.
public struct LowRankEffect: Sendable {
  /// The pairs of factors whose products add up, `[rank, inputSize]` and `[outputSize, rank]`.
  package let factors: [(a: Variable, b: Variable)]
  /// What the sum is multiplied by, `alpha / rank` for LoRA.
  package let scale: Float
  /// What is added to the products, `[outputSize]`.
  package let bias: Variable?
  /// The probability that an element of the input is dropped while training.
  package let dropoutRate: Float
  /// What tells this adapter's dropout draws from another's.
  package let dropoutStream: UInt64

  /// Creates an effect. Traps if there is no pair, or if shapes do not fit each other.
  public init(
    factors: [(a: Variable, b: Variable)], scale: Float, bias: Variable? = nil,
    dropoutRate: Float = 0, dropoutStream: UInt64 = 0
  ) {
    require(
      Self.fit(factors, bias),
      "low-rank factors of shapes \(factors.map { "\($0.a.shape) and \($0.b.shape)" }), bias "
        + "\(bias.map { "\($0.shape)" } ?? "none"); pairs of [rank, inputs] and [outputs, rank] are "
        + "wanted, and a bias [outputs]")
    self.factors = factors
    self.scale = scale
    self.bias = bias
    self.dropoutRate = dropoutRate
    self.dropoutStream = dropoutStream
  }

  private static func fit(_ factors: [(a: Variable, b: Variable)], _ bias: Variable?) -> Bool {
    guard let first = factors.first else { return false }
    let (inputs, outputs) = (first.a.shape.dimensions.last, first.b.shape.dimensions.first)
    for (a, b) in factors {
      let (a, b) = (a.shape.dimensions, b.shape.dimensions)
      guard a.count == 2, b.count == 2, a[0] == b[1], a[1] == inputs, b[0] == outputs else {
        return false
      }
    }
    guard let bias = bias?.shape.dimensions else { return true }
    return bias.count == 1 && bias[0] == outputs
  }
}

extension LowRankEffect {
  var extents: (inputSize: Int?, outputSize: Int?) {
    (factors[0].a.shape[1], factors[0].b.shape[0])
  }

  /// The down-projected input of each pair.
  var memory: AdapterMemory { AdapterMemory(rank: factors.reduce(0) { $0 + $1.a.shape[0] }) }

  /// Whether elements of the input are dropped in the step that runs now.
  var drops: Bool { dropoutRate > 0 && Dropout.step != nil }

  /// The input after dropout; nil where nothing is dropped.
  func dropped(_ x: Variable) -> Variable? {
    guard dropoutRate > 0, let random = Dropout.random(stream: dropoutStream) else { return nil }
    return x.dropout(rate: dropoutRate, random: random)
  }

  /// The products as terms of a layer's own operation; `input` is what they apply to if not its input.
  func terms(strength: Float, input: Variable? = nil) -> [LowRankTerm] {
    factors.map { LowRankTerm(a: $0.a, b: $0.b, scale: scale * strength, input: input) }
  }

  /// What is added beside the products, `strength` times.
  func shift(strength: Float) -> Variable? { bias?.scaled(by: scale * strength) }

  /// `y` with products and bias added, one operation each: for layers that do not store their weight
  /// densely, and beside changes of other kinds.
  func apply(to y: Variable, input x: Variable, strength: Float) -> Variable {
    var y = y
    for term in terms(strength: strength, input: dropped(x)) {
      let product = (term.input ?? x).linear(weight: term.a).linear(weight: term.b)
      y = y + product.scaled(by: term.scale)
    }
    return shift(strength: strength).map { y + $0 } ?? y
  }

  /// `y`, vectors of an embedding, with what is added to those of the tokens `ids`: columns of a
  /// `[rank, vocabulary]`, up-projected. Nothing is dropped, as in PEFT.
  func apply(to y: Variable, ids: Tensor, strength: Float) -> Variable {
    factors.reduce(y) { y, factors in
      let reduced = factors.a.gatheredColumns(ids)
      return y + reduced.linear(weight: factors.b).scaled(by: scale * strength)
    }
  }

  /// What merging at strength 1 adds to a weight and a bias.
  var delta: LinearWeights {
    let products = factors.map { a, b in
      b.value.matrixProduct(with: a.value).scaled(by: scale)
    }
    return LinearWeights(
      weight: products.dropFirst().reduce(products[0], +), bias: bias?.value.scaled(by: scale))
  }
}
