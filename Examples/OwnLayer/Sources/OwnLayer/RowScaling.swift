public import LoRAKit

/// An adapter method of this package's own: it scales each output of a layer, and trains
/// `outputSize` numbers a layer, `y = (1 + s) ⊙ (x Wᵀ) + bias`.
///
/// ```swift
/// try model.inject(RowScaling(), named: "scaled")
/// ```
///
/// Not low-rank, so it says itself how it applies and what merging it adds.
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

  /// Computes from the base, not from `y`, which holds what other adapters added.
  public func apply(
    to y: Variable, input x: Variable, layer: any LinearLayer, strength: Float
  ) -> Variable {
    y + (layer.project(x) * Variable(scales)).scaled(by: strength)
  }

  /// What merging adds: each row of the base's weight times its scale.
  public func delta(on base: LinearWeights) throws(AdapterError) -> LinearWeights {
    LinearWeights(weight: base.weight * scales.value.reshaped(to: [scales.shape[0], 1]))
  }
}
