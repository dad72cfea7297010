import CLoRAKernels
public import LoRAAutograd
public import LoRATensor

/// Adam with decoupled weight decay, as `torch.optim.AdamW` computes it.
///
/// ```swift
/// let group = ParameterGroup(model.adapterParameters(named: "a"), learningRate: 1e-3)
/// var state = OptimizerState()
/// AdamW().step(loss.gradients(), groups: [group], state: &state)
/// ```
///
/// Memory: two float32 values per trainable parameter, allocated at a parameter's first gradient.
/// Time: one pass over the values, in parallel tiles; the result does not depend on the number of
/// threads.
///
/// Source: Loshchilov and Hutter, *Decoupled weight decay regularization*, 2017.
public struct AdamW: Optimizer, Hashable {
  /// The exponential decay rate of the first moment (the mean of the gradients).
  public var beta1: Double
  /// The exponential decay rate of the second moment (the mean of the squared gradients).
  public var beta2: Double
  /// The term added to the denominator for numerical stability.
  public var epsilon: Double

  /// Creates the recipe. Values are checked when it is used.
  public init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
  }

  /// The name and the three settings.
  public var identifier: String {
    "AdamW(beta1: \(beta1), beta2: \(beta2), epsilon: \(epsilon))"
  }

  /// Throws for a setting out of range.
  public func check() throws(TrainingError) {
    try demandRate("beta1", beta1)
    try demandRate("beta2", beta2)
    try demand(
      epsilon > 0 && epsilon.isFinite, "epsilon", epsilon,
      "a finite number above 0: without it a gradient of 0 becomes 0 / 0")
  }

  // As PyTorch's state dictionaries call the moments.
  private static let (mean, square) = ("exp_avg", "exp_avg_sq")

  /// The shapes of both moments, `exp_avg` and `exp_avg_sq`: the parameter's shape.
  public func stateShapes(of shape: Shape) -> [String: Shape] {
    [Self.mean: shape, Self.square: shape]
  }

  /// Updates the moments and the value, in place if only the parameter holds it.
  public func update(
    _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
    state: inout ParameterState
  ) {
    let step = state.updates
    var (mean, square) = (state.take(Self.mean), state.take(Self.square))
    update(parameter, gradient, settings, step: step, mean: &mean, square: &square)
    (state.tensors[Self.mean], state.tensors[Self.square]) = (mean, square)
  }

  private func update(
    _ parameter: Parameter, _ gradient: Tensor, _ settings: UpdateSettings, step: Int,
    mean: inout Tensor, square: inout Tensor
  ) {
    let (beta1, beta2, epsilon) = (beta1, beta2, epsilon)
    mean.withUnsafeMutableBytes { mean in
      square.withUnsafeMutableBytes { square in
        guard let m = mean.baseAddress?.floats, let v = square.baseAddress?.floats else { return }
        withExtendedLifetime(gradient) {
          parameter.rewrite { old, new in
            parallelTiles(parameter.shape.elementCount, tile: elementTile) {
              let start = $0.lowerBound
              lk_adamw(
                $0.count, old + start, new + start, gradient.floats + start,
                settings.gradientScale, m + start, v + start, settings.learningRate, beta1, beta2,
                epsilon, settings.weightDecay, step)
            }
          }
        }
      }
    }
  }
}
