public import LoRAAutograd
import LoRATensor

/// A vector that the base's outputs are multiplied by, its bias included, or its inputs.
///
/// Scalings of several adapters on one layer multiply, and act on the base alone.
public struct ScalingEffect: Sendable {
  /// The factors, `[outputSize]`, or `[inputSize]` where they scale inputs. 1 changes nothing.
  package let vector: Variable
  /// Whether inputs are scaled rather than outputs.
  package let scalesInput: Bool

  /// Creates an effect. Traps if the factors are no vector.
  public init(vector: Variable, scalesInput: Bool = false) {
    require(vector.shape.count == 1, "a scaling of shape \(vector.shape)")
    self.vector = vector
    self.scalesInput = scalesInput
  }
}

extension ScalingEffect {
  var extents: (inputSize: Int?, outputSize: Int?) {
    scalesInput ? (vector.shape[0], nil) : (nil, vector.shape[0])
  }

  /// Outputs before they are scaled; inputs are kept, or computed again, in any case.
  var memory: AdapterMemory {
    AdapterMemory(rank: 1, keptWidth: scalesInput ? 0 : vector.shape[0])
  }

  /// The factors at `strength`: `1 + strength (l - 1)`.
  func factors(strength: Float) -> Variable {
    strength == 1 ? vector : vector.adding(-1).scaled(by: strength).adding(1)
  }

  /// `base` with its weight's rows and bias scaled, or its columns.
  ///
  /// - Parameter isTable: whether the weight is an embedding's table, the transpose of what scalings
  ///   are for.
  func scaling(_ base: LinearWeights, strength: Float, isTable: Bool = false) -> LinearWeights {
    let factors = withoutGradients { self.factors(strength: strength).value }
    let scaled =
      base.weight
      * (scalesInput == isTable ? factors.reshaped(to: [factors.elementCount, 1]) : factors)
    return LinearWeights(
      weight: scaled, bias: scalesInput ? base.bias : base.bias.map { $0 * factors })
  }
}
