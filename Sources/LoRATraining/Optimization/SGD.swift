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

  /// Updates the momentum and replaces the value.
  public func update(
    _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
    state: inout ParameterState
  ) {
    let value = parameter.value
    var direction = gradient.scaled(by: settings.gradientScale)
    if settings.weightDecay != 0 {
      direction = direction + value.scaled(by: Float(settings.weightDecay))
    }
    if momentum != 0 {
      let buffer = state.take(Self.buffer).scaled(by: Float(momentum)) + direction
      state.tensors[Self.buffer] = buffer
      direction = isNesterov ? direction + buffer.scaled(by: Float(momentum)) : buffer
    }
    parameter.value = value - direction.scaled(by: Float(settings.learningRate))
  }
}
