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
    precondition(
      weight.shape.count == 2 && (bias == nil || bias?.shape == [weight.shape[0]]),
      "linear layer of weight \(weight.shape), bias \(String(describing: bias?.shape))")
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
public final class Embedding: Module {
  /// `[vocabulary, size]`, in the type it is stored in.
  public let weight: Parameter

  /// Creates an embedding from its table.
  public init(weight: Parameter) {
    precondition(weight.shape.count == 2, "embedding of shape \(weight.shape)")
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
  public func callAsFunction(_ ids: Tensor) -> Variable { Variable(weight).gathered(ids) }
}

/// Root mean square normalization with a learned weight.
public final class RMSNorm: Module {
  /// `[size]`.
  public let weight: Parameter
  /// What is added to the mean square.
  public let epsilon: Float

  /// Creates a norm from its weight.
  public init(weight: Parameter, epsilon: Float = 1e-6) {
    self.weight = weight
    self.epsilon = epsilon
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
    x.rmsNorm(weight: Variable(weight), epsilon: epsilon)
  }
}

/// Layer normalization with a learned weight and bias.
public final class LayerNorm: Module {
  /// `[size]`.
  public let weight: Parameter
  /// `[size]`.
  public let bias: Parameter?
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
    x.layerNorm(weight: Variable(weight), bias: bias.map { Variable($0) }, epsilon: epsilon)
  }
}
