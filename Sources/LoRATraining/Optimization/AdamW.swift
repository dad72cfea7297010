import CLoRAKernels
public import LoRAAutograd
import LoRATensor

/// Adam with decoupled weight decay, as `torch.optim.AdamW` computes it.
///
/// ```swift
/// var optimizer = AdamW([ParameterGroup(model.adapterParameters(named: "a"), learningRate: 1e-3)])
/// optimizer.step(loss.gradients())
/// ```
///
/// Memory: two float32 numbers a trained number, allocated at a parameter's first gradient. Time:
/// one pass over the values, in tiles over the threads; the result does not depend on their number.
///
/// Source: Loshchilov and Hutter, *Decoupled weight decay regularization*, 2017.
public struct AdamW: Optimizer {
  /// What is updated, and how fast. Rates may be changed between steps.
  public var groups: [ParameterGroup]
  /// How slowly the mean of the gradients changes.
  public let beta1: Double
  /// How slowly the mean of their squares changes.
  public let beta2: Double
  /// What is added to the denominator.
  public let epsilon: Double

  private struct Moments: Sendable {
    var mean: Tensor
    var square: Tensor
    var steps = 0
  }

  private var moments: [ObjectIdentifier: Moments] = [:]

  /// Creates an optimizer without state.
  public init(
    _ groups: [ParameterGroup], beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8
  ) {
    self.groups = groups
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
  }

  /// Updates the parameters that have a gradient; one's first step allocates its state.
  public mutating func step(
    _ gradients: Gradients, factor: Double = 1, gradientScale: Float = 1
  ) {
    for group in groups {
      for (path, parameter) in group.parameters {
        guard let gradient = gradients[parameter] else { continue }
        require(
          gradient.shape == parameter.shape,
          "a gradient of shape \(gradient.shape) for '\(path)' of shape \(parameter.shape)")
        update(
          parameter, gradient, scale: gradientScale, learningRate: group.learningRate * factor,
          weightDecay: group.weightDecay)
      }
    }
  }

  private mutating func update(
    _ parameter: Parameter, _ gradient: Tensor, scale: Float, learningRate: Double,
    weightDecay: Double
  ) {
    let key = ObjectIdentifier(parameter)
    // Taken out of the table, so that the tensors are unique and change in place.
    var state =
      moments.removeValue(forKey: key)
      ?? Moments(mean: .zeros(parameter.shape), square: .zeros(parameter.shape))
    state.steps += 1
    let (step, beta1, beta2, epsilon) = (state.steps, beta1, beta2, epsilon)
    state.mean.withUnsafeMutableBytes { mean in
      state.square.withUnsafeMutableBytes { square in
        guard let m = mean.baseAddress?.floats, let v = square.baseAddress?.floats else { return }
        func run(_ old: UnsafePointer<Float>, _ new: UnsafeMutablePointer<Float>) {
          withExtendedLifetime(gradient) {
            parallelTiles(parameter.shape.elementCount, tile: elementTile) {
              let start = $0.lowerBound
              lk_adamw(
                $0.count, old + start, new + start, gradient.floats + start, scale,
                m + start, v + start, learningRate, beta1, beta2, epsilon, weightDecay, step)
            }
          }
        }
        let isDone = parameter.updateInPlace { bytes in
          if let value = bytes.baseAddress?.floats { run(value, value) }
        }
        if isDone { return }
        // Somebody holds the value, or it lies in a file: they keep theirs.
        let old = parameter.value
        parameter.value = Tensor(shape: parameter.shape) { new in
          withExtendedLifetime(old) { run(old.floats, new) }
        }
      }
    }
    moments[key] = state
  }
}
