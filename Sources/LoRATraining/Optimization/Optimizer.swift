public import LoRAAutograd
public import LoRAModels

/// What turns gradients into new parameter values, as ``AdamW``.
///
/// An optimizer keeps its state itself and replaces parameters' values; it never writes into a
/// tensor that somebody else may be reading.
public protocol Optimizer: Sendable {
  /// Updates the parameters that have a gradient.
  ///
  /// - Parameters:
  ///   - gradients: the gradients; a parameter without one stays as it is.
  ///   - factor: the schedule's factor on each group's learning rate.
  ///   - gradientScale: what every gradient is multiplied by first: the coefficient of clipping.
  mutating func step(_ gradients: Gradients, factor: Double, gradientScale: Float)
}

/// Parameters that share a learning rate and a weight decay.
public struct ParameterGroup: Sendable {
  /// The parameters with their paths.
  public var parameters: [NamedParameter]
  /// The learning rate before the schedule's factor.
  public var learningRate: Double
  /// The weight decay.
  public var weightDecay: Double

  /// Creates a group.
  public init(_ parameters: [NamedParameter], learningRate: Double, weightDecay: Double = 0) {
    self.parameters = parameters
    self.learningRate = learningRate
    self.weightDecay = weightDecay
  }
}
