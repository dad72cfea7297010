import CLoRAKernels
public import LoRAAutograd
public import LoRATensor

/// Stochastic gradient descent with optional momentum, as `torch.optim.SGD` computes it.
///
/// ```swift
/// var trainer = try Trainer(model, training: .full, on: data, options: options)
/// trainer.optimizer = SGD(momentum: 0.9)
/// ```
///
/// Uses the group's learning rate and weight decay. Weight decay is added to the gradient, not
/// decoupled as in ``AdamW``. Memory: with momentum one float32 value per trainable parameter.
public struct SGD: Optimizer, Hashable {
  /// The momentum factor; 0 for none.
  public var momentum: Double
  /// Whether to use Nesterov momentum: the direction after the next update.
  public var isNesterov: Bool

  /// Creates the recipe.
  public init(momentum: Double = 0, isNesterov: Bool = false) {
    self.momentum = momentum
    self.isNesterov = isNesterov
  }

  /// The name and both settings.
  public var identifier: String { "SGD(momentum: \(momentum), isNesterov: \(isNesterov))" }

  // As PyTorch's state dictionaries call it.
  private static let buffer = "momentum_buffer"

  /// Throws for a momentum out of range.
  public func check() throws(TrainingError) {
    guard momentum >= 0, momentum < 1 else {
      throw .invalidOption(
        name: "the momentum", value: "\(momentum)", expected: "at least 0, below 1")
    }
  }

  /// With momentum `momentum_buffer`, of the parameter's shape.
  public func stateShapes(of shape: Shape) -> [String: Shape] {
    momentum == 0 ? [:] : [Self.buffer: shape]
  }

  /// Updates the momentum and the value, in place if only the parameter holds it.
  public func update(
    _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
    state: inout ParameterState
  ) {
    var buffer = momentum == 0 ? nil : state.take(Self.buffer)
    if buffer == nil {
      rewrite(parameter, gradient, settings, nil)
    } else {
      buffer?.withUnsafeMutableBytes {
        rewrite(parameter, gradient, settings, $0.baseAddress?.floats)
      }
    }
    if let buffer { state.tensors[Self.buffer] = buffer }
  }

  private func rewrite(
    _ parameter: Parameter, _ gradient: Tensor, _ settings: UpdateSettings,
    _ buffer: UnsafeMutablePointer<Float>?
  ) {
    let (rate, scale) = (Float(settings.learningRate), settings.gradientScale)
    let (decay, momentum) = (Float(settings.weightDecay), Float(momentum))
    let keep = Float(1 - settings.learningRate * settings.weightDecay)
    withExtendedLifetime(gradient) {
      parameter.rewrite { old, new in
        parallelTiles(parameter.shape.elementCount, tile: elementTile) {
          let (start, count) = ($0.lowerBound, $0.count)
          let g = gradient.floats + start
          if let buffer {
            lk_axpby(count, scale, g, momentum, buffer + start)
            if decay != 0 { lk_axpy(count, decay, old + start, buffer + start) }
          }
          // The direction without momentum, or what Nesterov adds momentum to; otherwise the buffer alone.
          let isPlain = buffer == nil || isNesterov
          lk_scale(count, isPlain ? keep : 1, old + start, new + start)
          if isPlain { lk_axpy(count, -rate * scale, g, new + start) }
          if let buffer {
            lk_axpy(count, isNesterov ? -rate * momentum : -rate, buffer + start, new + start)
          }
        }
      }
    }
  }
}
