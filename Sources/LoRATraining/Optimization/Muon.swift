import CLoRAKernels
public import LoRAAutograd
public import LoRATensor

/// Muon: momentum whose matrix is made orthogonal, by five steps of a Newton-Schulz iteration, before it is
/// subtracted.
///
/// ```swift
/// trainer.optimizer = Muon()
/// ```
///
/// Parameters that are no matrices, such as biases and norms, are trained by AdamW at the same learning
/// rate. By default updates have AdamW's size (``Scale/adamW``), so that its learning rates fit. In
/// full training PyTorch advises AdamW for embeddings and the head, which are matrices here too.
///
/// Memory: one float32 value per element of a matrix. Time: about 15 products of a matrix `[r, n]`
/// with `[n, r]`, r being the smaller side: little for the factors of an adapter, much for whole
/// models.
///
/// Source: Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024;
/// `torch.optim.Muon`, which iterates in bfloat16, here float32.
public struct Muon: Optimizer, Hashable {
  /// What the orthogonal matrix `[m, n]` is multiplied by, beside the learning rate.
  public enum Scale: String, Sendable, Hashable, CaseIterable {
    /// `sqrt(max(1, m / n))`: PyTorch's `original`.
    case original
    /// `0.2 sqrt(max(m, n))`, the size of AdamW's updates: PyTorch's `match_rms_adamw`.
    case adamW
  }

  /// The momentum.
  public var momentum: Double
  /// Whether to use Nesterov momentum: the direction after the next update.
  public var isNesterov: Bool
  /// The number of iterations.
  public var iterations: Int
  /// What updates are multiplied by.
  public var scale: Scale
  /// The optimizer of what is no matrix.
  public var vectors: AdamW

  /// Creates the recipe. Values are checked when it is used.
  public init(
    momentum: Double = 0.95, isNesterov: Bool = true, iterations: Int = 5, scale: Scale = .adamW,
    vectors: AdamW = AdamW()
  ) {
    self.momentum = momentum
    self.isNesterov = isNesterov
    self.iterations = iterations
    self.scale = scale
    self.vectors = vectors
  }

  /// The name and the settings.
  public var identifier: String {
    "Muon(momentum: \(momentum), isNesterov: \(isNesterov), iterations: \(iterations), "
      + "scale: \(scale.rawValue), vectors: \(vectors.identifier))"
  }

  /// Throws for a setting out of range.
  public func check() throws(TrainingError) {
    try demandRate("the momentum", momentum)
    try demand(
      (1..<100).contains(iterations), "the number of iterations", Double(iterations), "1 to 99")
    try vectors.check()
  }

  private static let buffer = "momentum_buffer"

  /// Of a matrix `momentum_buffer`, of its shape; of others AdamW's moments.
  public func stateShapes(of shape: Shape) -> [String: Shape] {
    shape.count == 2 ? [Self.buffer: shape] : vectors.stateShapes(of: shape)
  }

  /// Updates the momentum, and replaces the value.
  public func update(
    _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
    state: inout ParameterState
  ) {
    guard parameter.shape.count == 2 else {
      return vectors.update(parameter, gradient: gradient, settings: settings, state: &state)
    }
    var (buffer, count) = (state.take(Self.buffer), gradient.elementCount)
    let blend = Float(1 - momentum) * settings.gradientScale
    buffer.withUnsafeMutableBytes { bytes in
      guard let buffer = bytes.baseAddress?.floats else { return }
      withExtendedLifetime(gradient) {
        lk_axpby(count, blend, gradient.floats, Float(momentum), buffer)
      }
    }
    state.tensors[Self.buffer] = buffer
    count = parameter.shape.elementCount
    let direction =
      isNesterov
      ? gradient.scaled(by: blend) + buffer.scaled(by: Float(momentum)) : buffer
    let update = Self.orthogonal(direction, iterations: iterations)
    let (m, n) = (Double(parameter.shape[0]), Double(parameter.shape[1]))
    let size =
      switch scale {
      case .original: max(1, m / n).squareRoot()
      case .adamW: 0.2 * max(m, n).squareRoot()
      }
    let keep = Float(1 - settings.learningRate * settings.weightDecay)
    withExtendedLifetime(update) {
      parameter.rewrite { old, new in
        lk_scale(count, keep, old, new)
        lk_axpy(count, -Float(settings.learningRate * size), update.floats, new)
      }
    }
  }

  /// A matrix with the singular vectors of `matrix` and singular values near 1.
  private static func orthogonal(_ matrix: Tensor, iterations: Int) -> Tensor {
    let isTall = matrix.shape[0] > matrix.shape[1]
    var x = isTall ? matrix.transposed() : matrix
    x = x.scaled(by: 1 / Float(max(x.sumOfSquares().squareRoot(), 1e-7)))
    for _ in 0..<iterations {
      let gram = x.matrixProduct(with: x, transposeOther: true)
      let polynomial = gram.scaled(by: -4.7750) + gram.matrixProduct(with: gram).scaled(by: 2.0315)
      x = x.scaled(by: 3.4445) + polynomial.matrixProduct(with: x)
    }
    return isTall ? x.transposed() : x
  }
}
