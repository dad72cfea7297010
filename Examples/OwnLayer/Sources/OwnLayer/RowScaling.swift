public import LoRAKit

/// An adapter method of this package's own: it scales each output of a layer, and trains
/// `outputSize` numbers a layer, `y = (1 + s) ⊙ (x Wᵀ + bias)`.
///
/// ```swift
/// try model.inject(RowScaling(), named: "scaled")
/// ```
///
/// Beside other adapters it multiplies the base, as the library's `IA3` does.
public struct RowScaling: AdapterMethod, Sendable, Hashable, Codable {
  /// Creates the recipe. There is nothing to choose.
  public init() {}

  /// Zeros, so that a fresh adapter changes nothing.
  public func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> RowScalingAdapter {
    RowScalingAdapter(scales: Parameter(.zeros([layer.outputSize])))
  }
}

/// What ``RowScaling`` trains on one layer.
public final class RowScalingAdapter: LinearAdapter {
  /// `[outputSize]`; zero changes nothing.
  public let scales: Parameter

  /// Creates an adapter from its numbers.
  public init(scales: Parameter) { self.scales = scales }

  /// What is trained and saved.
  public var parameters: Named<Parameter> { ["scales": scales] }

  /// Outputs are multiplied by `1 + s`.
  public var effect: AdapterEffect {
    .scaling(ScalingEffect(vector: Variable(scales).adding(1)))
  }
}
