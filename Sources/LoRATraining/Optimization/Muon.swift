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
/// Memory: one float32 value per element of a matrix, and two copies of a matrix while it is updated.
/// Time: about 15 products of a matrix `[r, n]` with `[n, r]`, r being the smaller side: little for the
/// factors of an adapter, much for whole models.
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
    let count = parameter.shape.elementCount
    var buffer = state.take(Self.buffer)
    let blend = Float(1 - momentum) * settings.gradientScale
    let direction = buffer.withUnsafeMutableBytes { bytes in
      Tensor(shape: parameter.shape) { direction in
        guard let buffer = bytes.baseAddress?.floats else { return }
        withExtendedLifetime(gradient) {
          parallelTiles(count, tile: elementTile) {
            let (start, count) = ($0.lowerBound, $0.count)
            lk_axpby(count, blend, gradient.floats + start, Float(momentum), buffer + start)
            lk_scale(count, isNesterov ? Float(momentum) : 1, buffer + start, direction + start)
            if isNesterov {
              lk_axpy(count, blend, gradient.floats + start, direction + start)
            }
          }
        }
      }
    }
    state.tensors[Self.buffer] = buffer
    let update = Self.orthogonal(consume direction, iterations: iterations)
    let (m, n) = (Double(parameter.shape[0]), Double(parameter.shape[1]))
    let size =
      switch scale {
      case .original: max(1, m / n).squareRoot()
      case .adamW: 0.2 * max(m, n).squareRoot()
      }
    let keep = Float(1 - settings.learningRate * settings.weightDecay)
    let rate = Float(settings.learningRate * size)
    withExtendedLifetime(update) {
      parameter.rewrite { old, new in
        parallelTiles(count, tile: elementTile) {
          let (start, count) = ($0.lowerBound, $0.count)
          lk_scale(count, keep, old + start, new + start)
          lk_axpy(count, -rate, update.floats + start, new + start)
        }
      }
    }
  }

  /// Two matrices of the parameter's shape, and three products of its smaller side.
  public func scratchBytes(of shape: Shape) -> Int {
    guard shape.count == 2 else { return 0 }
    let side = min(shape[0], shape[1])
    return (2 * shape.elementCount + 3 * side * side) * MemoryLayout<Float>.stride
  }

  /// A matrix with the singular vectors of `matrix` and singular values near 1. Of the two sides it
  /// multiplies the smaller one.
  private static func orthogonal(_ matrix: consuming Tensor, iterations: Int) -> Tensor {
    let isTall = matrix.shape[0] > matrix.shape[1]
    // Nobody else holds it, so that it is scaled in place.
    var x = consume matrix
    x.scale(by: 1 / Float(max(x.sumOfSquares().squareRoot(), 1e-7)))
    for _ in 0..<iterations {
      let gram = x.matrixProduct(with: x, transposeSelf: isTall, transposeOther: !isTall)
      let polynomial = gram.scaled(by: -4.7750) + gram.matrixProduct(with: gram).scaled(by: 2.0315)
      var next =
        isTall ? x.matrixProduct(with: polynomial) : polynomial.matrixProduct(with: x)
      next.add(x, times: 3.4445)
      x = next
    }
    return x
  }
}

extension Tensor {
  /// Multiplies all elements, in place where nobody else holds them.
  fileprivate mutating func scale(by factor: Float) {
    let count = elementCount
    withUnsafeMutableBytes { bytes in
      guard let x = bytes.baseAddress?.floats else { return }
      parallelTiles(count, tile: elementTile) {
        lk_scale($0.count, factor, x + $0.lowerBound, x + $0.lowerBound)
      }
    }
  }

  /// Adds `other` times a factor, in place where nobody else holds the elements.
  fileprivate mutating func add(_ other: Tensor, times factor: Float) {
    let count = elementCount
    withUnsafeMutableBytes { bytes in
      guard let x = bytes.baseAddress?.floats else { return }
      withExtendedLifetime(other) {
        parallelTiles(count, tile: elementTile) {
          lk_axpy($0.count, factor, other.floats + $0.lowerBound, x + $0.lowerBound)
        }
      }
    }
  }
}
