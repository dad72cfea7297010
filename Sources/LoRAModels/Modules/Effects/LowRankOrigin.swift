package import LoRAAutograd
public import LoRATensor

/// The factors that an adapter started from, where their product is not zero: it is taken off again,
/// so that the adapter starts without effect and the base keeps its weights.
public struct LowRankOrigin: Sendable {
  /// A₀, `[rank, inputSize]`.
  package let a: Parameter
  /// B₀, `[outputSize, rank]`.
  package let b: Parameter

  /// Creates an origin from its factors, which it freezes.
  public init(a: Tensor, b: Tensor) {
    self.a = Parameter(a, isTrainable: false)
    self.b = Parameter(b, isTrainable: false)
  }
}
