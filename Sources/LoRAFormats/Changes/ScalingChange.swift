package import LoRAFiles
package import LoRATensor

/// Inputs or outputs of a layer times a vector (IA3).
///
/// Source: Liu et al., *Few-shot parameter-efficient fine-tuning is better and cheaper than
/// in-context learning*, 2022.
package struct ScalingChange: MeasuredChange {
  /// The factors, [out], or [in] where they scale inputs.
  package var vector: Tensor
  /// Whether inputs are scaled, as IA3 does in feed-forward modules, rather than outputs.
  package var scalesInput: Bool

  /// Creates a change.
  package init(vector: Tensor, scalesInput: Bool) {
    self.vector = vector
    self.scalesInput = scalesInput
  }

  /// "IA3".
  package var methodName: String { "IA3" }
  /// The vector.
  package var tensors: [(name: String, tensor: Tensor)] { [("the scaling", vector)] }
  /// Whether every factor is 1.
  package var hasNoEffect: Bool {
    vector.withUnsafeElements(of: Float.self) { $0.allSatisfy { $0 == 1 } }
  }
  /// How many inputs or outputs.
  package var extents: String { "\(vector.elementCount) \(scalesInput ? "inputs" : "outputs")" }

  /// W times the vector, less W.
  package func difference(from weight: Tensor) -> Tensor? {
    let count = vector.elementCount
    guard weight.shape.count == 2, weight.shape[scalesInput ? 1 : 0] == count else { return nil }
    return weight * vector.adding(-1).reshaped(to: scalesInput ? [1, count] : [count, 1])
  }

  /// Whether the vector has one factor for each input, or output, of a matrix.
  package func check(fits weight: Shape, layer: String, file: String) throws(FormatError) {
    let count = vector.elementCount
    guard weight.count == 2, weight[scalesInput ? 1 : 0] != count else { return }
    try FormatError.check([count], fits: weight, layer: layer, file: file)
  }
}
