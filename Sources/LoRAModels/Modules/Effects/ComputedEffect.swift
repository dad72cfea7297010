public import LoRAAutograd
public import LoRATensor

/// A change that only its adapter can compute: what it adds to outputs, and what merging it adds to
/// weights.
///
/// ```swift
/// .computed(
///   ComputedEffect { [shift] _, _, strength in
///     Variable(shift).scaled(by: strength)
///   } delta: { [shift] base in
///     LinearWeights(weight: .zeros(base.weight.shape), bias: shift.value)
///   })
/// ```
///
/// The methods of ``AdapterEffect``'s other cases cost less: they share operations with the base, with
/// each other, and in generation.
public struct ComputedEffect: Sendable {
  /// What is added to the output of a layer: takes the layer's input `[..., inputSize]`, the layer,
  /// and the strength that the change is multiplied by; gives `[..., outputSize]`, or what broadcasts
  /// to that.
  ///
  /// `layer.project(x)` is `x Wᵀ` of the base alone.
  public typealias Change =
    @Sendable (_ x: Variable, _ layer: any LinearLayer, _ strength: Float) -> Variable
  /// What merging at strength 1 adds to weight and bias. Pure: depends on `base`, changes nothing.
  public typealias Delta =
    @Sendable (_ base: LinearWeights) throws(AdapterError) -> LinearWeights
  /// What is added to the vectors of tokens: takes their ids, of any shape, the table `[vocabulary,
  /// size]` and the strength; gives the shape of the ids with `size` appended.
  public typealias VectorChange =
    @Sendable (_ ids: Tensor, _ table: Parameter, _ strength: Float) -> Variable

  let change: Change
  let delta: Delta
  let vectorChange: VectorChange?

  /// Creates an effect from what computes it.
  ///
  /// - Parameters:
  ///   - vectors: what is added to an embedding's vectors; nil for what can't be attached to one. The
  ///     weight that is merged into is then the table's transpose, `[size, vocabulary]`.
  ///   - change: what is added to a layer's output.
  ///   - delta: what merging adds.
  public init(
    vectors: VectorChange? = nil, change: @escaping Change, delta: @escaping Delta
  ) {
    vectorChange = vectors
    self.change = change
    self.delta = delta
  }
}
