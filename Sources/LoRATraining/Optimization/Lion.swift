import CLoRAKernels
public import LoRAAutograd
public import LoRATensor

/// Lion: steps of the learning rate in the direction of the sign of a moving average of the gradients.
///
/// ```swift
/// trainer.optimizer = Lion()   // with a third to a tenth of AdamW's learning rate
/// ```
///
/// Every element moves by the learning rate in every step, so Lion wants a rate three to ten times
/// lower than AdamW's and a weight decay as many times higher. Weight decay is decoupled.
///
/// Memory: one float32 value per trainable parameter, half of AdamW's. Time: one pass over the values.
///
/// Source: Chen et al., *Symbolic discovery of optimization algorithms*, 2023, algorithm 2;
/// `bitsandbytes.optim.Lion`.
public struct Lion: Optimizer, Hashable {
  /// How much of the average, and not of the gradient, is in the direction of a step.
  public var beta1: Double
  /// The exponential decay rate of the average.
  public var beta2: Double

  /// Creates the recipe. Values are checked when it is used.
  public init(beta1: Double = 0.9, beta2: Double = 0.99) {
    self.beta1 = beta1
    self.beta2 = beta2
  }

  /// The name and both settings.
  public var identifier: String { "Lion(beta1: \(beta1), beta2: \(beta2))" }

  /// Throws for a setting out of range.
  public func check() throws(TrainingError) {
    try demandRate("beta1", beta1)
    try demandRate("beta2", beta2)
  }

  private static let mean = "exp_avg"

  /// The average, `exp_avg`, of the parameter's shape.
  public func stateShapes(of shape: Shape) -> [String: Shape] { [Self.mean: shape] }

  /// Updates the average and the value, in place if only the parameter holds it.
  public func update(
    _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
    state: inout ParameterState
  ) {
    var mean = state.take(Self.mean)
    mean.withUnsafeMutableBytes { mean in
      guard let m = mean.baseAddress?.floats else { return }
      withExtendedLifetime(gradient) {
        parameter.rewrite { old, new in
          parallelTiles(parameter.shape.elementCount, tile: elementTile) {
            let start = $0.lowerBound
            lk_lion(
              $0.count, old + start, new + start, gradient.floats + start, settings.gradientScale,
              m + start, settings.learningRate, beta1, beta2, settings.weightDecay)
          }
        }
      }
    }
    state.tensors[Self.mean] = mean
  }
}
