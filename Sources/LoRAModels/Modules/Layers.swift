public import LoRAAutograd
public import LoRATensor

/// A dense linear layer, `y = x Wᵀ + b`.
public final class Linear: LinearLayer {
  /// W, `[outputSize, inputSize]`, in the type it is stored in.
  public let weight: Parameter?
  private let matrix: Parameter
  /// `[outputSize]`.
  public let bias: Parameter?
  /// Where adapters are attached.
  public let slot = AdapterSlot()

  /// Creates a layer from its parameters. Traps if they are not a matrix and a vector that fit.
  public init(weight: Parameter, bias: Parameter? = nil) {
    require(
      weight.shape.count == 2 && (bias == nil || bias?.shape == [weight.shape[0]]),
      "a linear layer of weight \(weight.shape) and bias \(bias.map { "\($0.shape)" } ?? "none"); "
        + "[outputs, inputs] and [outputs] fit")
    self.weight = weight
    matrix = weight
    self.bias = bias
  }

  /// Creates a layer with random values as PyTorch's `nn.Linear` has them: uniform within
  /// `1 / sqrt(inputSize)`.
  public convenience init(
    inputSize: Int, outputSize: Int, bias: Bool = true, using random: inout SeededRandom
  ) {
    let bound = 1 / Float(max(inputSize, 1)).squareRoot()
    let weight = random.uniform([outputSize, inputSize], in: -bound..<bound)
    let offset = bias ? random.uniform([outputSize], in: -bound..<bound) : nil
    self.init(weight: Parameter(weight), bias: offset.map { Parameter($0) })
  }

  /// The size of the last dimension of inputs.
  public var inputSize: Int { matrix.shape[1] }
  /// The size of the last dimension of outputs.
  public var outputSize: Int { matrix.shape[0] }

  /// `weight`, and `bias` if there is one.
  public var parameters: Named<Parameter> { ["weight": matrix] + .optional("bias", bias) }

  /// `x Wᵀ`, without bias or adapters.
  public func project(_ x: Variable) -> Variable { x.linear(weight: Variable(matrix)) }

  /// W as float32.
  public func denseWeight() -> Tensor { matrix.value.converted(to: .float32) }
}

/// A table of vectors, one a token.
///
/// Adapters attach to it as PEFT's do, the table being the transpose of W: A `[rank, vocabulary]`,
/// B `[size, rank]`. So do the adapters that replace parameters and token vectors.
public final class Embedding: AdaptableModule {
  /// `[vocabulary, size]`, in the type it is stored in.
  public let weight: Parameter
  /// Where adapters are attached.
  public let slot = AdapterSlot()

  /// Creates an embedding from its table.
  public init(weight: Parameter) {
    require(
      weight.shape.count == 2, "an embedding of shape \(weight.shape); [vocabulary, size] is one")
    self.weight = weight
  }

  /// Creates an embedding with normally distributed values.
  public convenience init(
    vocabularySize: Int, size: Int, standardDeviation: Float = 1, using random: inout SeededRandom
  ) {
    self.init(
      weight: Parameter(
        random.normal([vocabularySize, size], standardDeviation: standardDeviation)))
  }

  /// `weight`.
  public var parameters: Named<Parameter> { ["weight": weight] }

  /// The vectors of `ids`, int64 of any shape; see `Variable.gathered(_:)`.
  public func callAsFunction(_ ids: Tensor) -> Variable {
    let y = slot.grouped(shape: ids.shape) { items in
      guard let items else { return lookUp(ids) }
      return lookUp(.concatenated(items.map { ids[rows: $0..<$0 + 1] }))
    }
    OutputProbe.current?.examine(output: y, of: self)
    return y
  }

  private func lookUp(_ ids: Tensor) -> Variable {
    switch slot.contribution() {
    case .merged(let weights): Variable(weights.weight).gathered(ids)
    case .adapters(let active): adapted(ids, AppliedEffects(active))
    case .none, .items: Variable(weight).gathered(ids)
    }
  }
}

/// Root mean square normalization with a learned weight.
public final class RMSNorm: AdaptableModule {
  /// `[size]`.
  public let weight: Parameter
  /// Where adapters that replace the weight are attached.
  public let slot = AdapterSlot()
  /// What is added to the mean square.
  public let epsilon: Float
  /// Whether the weight is stored minus one, as Gemma's: its zeros scale by one.
  public let addsOne: Bool

  /// Creates a norm from its weight.
  public init(weight: Parameter, epsilon: Float = 1e-6, addsOne: Bool = false) {
    self.weight = weight
    self.epsilon = epsilon
    self.addsOne = addsOne
  }

  /// Creates a norm whose weight is one.
  public convenience init(size: Int, epsilon: Float = 1e-6) {
    self.init(
      weight: Parameter(Tensor(Array(repeating: Float(1), count: size))), epsilon: epsilon)
  }

  /// `weight`.
  public var parameters: Named<Parameter> { ["weight": weight] }

  /// Normalizes the last dimension.
  public func callAsFunction(_ x: Variable) -> Variable {
    let y = slot.grouped(x) { x in
      let w = slot.value(of: weight, named: "weight")
      return x.rmsNorm(
        weight: addsOne ? w + Variable(ones) : w, epsilon: epsilon)
    }
    OutputProbe.current?.examine(input: x, output: y, of: self)
    return y
  }

  private var ones: Tensor { Tensor(Array(repeating: Float(1), count: weight.shape[0])) }

  /// What a stored weight scales by.
  func factors(_ weight: Tensor) -> Tensor { addsOne ? weight.adding(1) : weight }
}

/// Layer normalization with a learned weight and bias.
public final class LayerNorm: AdaptableModule {
  /// `[size]`.
  public let weight: Parameter
  /// `[size]`.
  public let bias: Parameter?
  /// Where adapters that replace weight or bias are attached.
  public let slot = AdapterSlot()
  /// What is added to the variance.
  public let epsilon: Float

  /// Creates a norm from its parameters.
  public init(weight: Parameter, bias: Parameter?, epsilon: Float = 1e-5) {
    self.weight = weight
    self.bias = bias
    self.epsilon = epsilon
  }

  /// Creates a norm whose weight is one and whose bias is zero.
  public convenience init(size: Int, epsilon: Float = 1e-5) {
    self.init(
      weight: Parameter(Tensor(Array(repeating: Float(1), count: size))),
      bias: Parameter(.zeros([size])), epsilon: epsilon)
  }

  /// `weight`, and `bias` if there is one.
  public var parameters: Named<Parameter> { ["weight": weight] + .optional("bias", bias) }

  /// Normalizes the last dimension.
  public func callAsFunction(_ x: Variable) -> Variable {
    let y = slot.grouped(x) { x in
      x.layerNorm(
        weight: slot.value(of: weight, named: "weight"),
        bias: bias.map { slot.value(of: $0, named: "bias") }, epsilon: epsilon)
    }
    OutputProbe.current?.examine(input: x, output: y, of: self)
    return y
  }
}
