public import LoRAKit

/// An adapter method that no kind of effect describes: it adds a vector to a layer's output,
/// `y = x Wᵀ + bias + v`, and trains `outputSize` numbers a layer.
///
/// ```swift
/// try model.inject(Shift(), named: "shifted")
/// ```
public struct Shift: AdapterMethod, Sendable, Hashable, Codable {
  /// Creates the recipe. There is nothing to choose.
  public init() {}

  /// Zeros, so that a fresh adapter changes nothing.
  public func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> ShiftAdapter {
    ShiftAdapter(vector: Parameter(.zeros([layer.outputSize])))
  }
}

/// What ``Shift`` trains on one layer.
public final class ShiftAdapter: LinearAdapter {
  /// `[outputSize]`; zero changes nothing.
  public let vector: Parameter

  /// Creates an adapter from its numbers.
  public init(vector: Parameter) { self.vector = vector }

  /// What is trained and saved.
  public var parameters: Named<Parameter> { ["vector": vector] }

  /// What is added to outputs, and what merging adds to weight and bias.
  public var effect: AdapterEffect {
    .computed(
      ComputedEffect { [vector] _, _, strength in
        Variable(vector).scaled(by: strength)
      } delta: { [vector] base in
        LinearWeights(weight: .zeros(base.weight.shape), bias: vector.value)
      })
  }
}
