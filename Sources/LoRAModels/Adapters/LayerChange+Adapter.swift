import LoRAAutograd
public import LoRAFormats
import LoRATensor

extension LayerChange {
  /// An adapter of a linear layer that computes this change.
  ///
  /// What only other kinds of layers can have, as the factors of a convolution, is refused by name.
  ///
  /// - Parameters:
  ///   - isTrainable: whether training can go on from here; else the factors are frozen.
  ///   - dropout: the probability that an element of the adapter's input is dropped while training,
  ///     for the methods that have that.
  ///   - dropoutStream: what tells this adapter's dropout draws from another's.
  ///   - layer: the layer's path, which errors name.
  /// - Throws: ``AdapterError/unsupported(layer:reason:)`` for what can't be attached to a linear
  ///   layer, ``AdapterError/shapeMismatch(layer:expected:found:)`` for factors that do not fit each
  ///   other.
  public func makeAdapter(
    isTrainable: Bool = false, dropout: Float = 0, dropoutStream: UInt64 = 0,
    layer: String = "of the adapter"
  ) throws(AdapterError) -> any LinearAdapter {
    switch self {
    case .lowRank(let change):
      return try change.makeAdapter(isTrainable, dropout, dropoutStream, layer)
    case .hadamard(let change):
      return try change.makeAdapter(isTrainable, layer)
    case .kronecker(let change):
      return try change.makeAdapter(isTrainable, layer)
    case .scaling(let change):
      guard change.vector.shape.count == 1 else {
        throw .shapeMismatch(
          layer: layer, expected: "a vector to scale by", found: "\(change.vector.shape)")
      }
      return IA3Adapter(
        vector: Parameter(change.vector, isTrainable: isTrainable),
        scalesInput: change.scalesInput)
    }
  }
}

extension LowRankChange {
  fileprivate func makeAdapter(
    _ isTrainable: Bool, _ dropout: Float, _ dropoutStream: UInt64, _ layer: String
  ) throws(AdapterError) -> any LinearAdapter {
    if isEmbedding {
      throw .unsupported(
        layer: layer, reason: "factors of an embedding can't be attached to a linear layer")
    }
    if middle != nil || a.shape.count != 2 {
      throw .unsupported(
        layer: layer, reason: "factors of a convolution can't be attached to a linear layer")
    }
    if let magnitude {
      return try makeDecomposed(magnitude, isTrainable, dropout, dropoutStream, layer)
    }
    if let bias, bias.shape != [outputSize] {
      throw .shapeMismatch(
        layer: layer, expected: "a bias of B of \(outputSize) elements", found: "\(bias.shape)")
    }
    return LoRAAdapter(
      a: Parameter(a, isTrainable: isTrainable), b: Parameter(b, isTrainable: isTrainable),
      outputBias: bias.map { Parameter($0, isTrainable: isTrainable) }, scale: Float(scale),
      dropoutRate: dropout, dropoutStream: dropoutStream)
  }
}

extension LowRankChange {
  private func makeDecomposed(
    _ magnitude: Tensor, _ isTrainable: Bool, _ dropout: Float, _ dropoutStream: UInt64,
    _ layer: String
  ) throws(AdapterError) -> DoRAAdapter {
    guard bias == nil else {
      throw .unsupported(layer: layer, reason: "DoRA with a bias of B can't be attached")
    }
    guard magnitude.shape == [outputSize] else {
      throw .unsupported(
        layer: layer,
        reason: "magnitudes \(magnitude.shape) can't be attached, only one for each output, "
          + "[\(outputSize)]")
    }
    return DoRAAdapter(
      a: Parameter(a, isTrainable: isTrainable), b: Parameter(b, isTrainable: isTrainable),
      magnitude: Parameter(magnitude, isTrainable: isTrainable), scale: Float(scale),
      dropoutRate: dropout, dropoutStream: dropoutStream)
  }
}

extension HadamardChange {
  fileprivate func makeAdapter(
    _ isTrainable: Bool, _ layer: String
  ) throws(AdapterError) -> LoHaAdapter {
    guard t1 == nil, t2 == nil, magnitude == nil else {
      throw .unsupported(
        layer: layer,
        reason: "LoHa with \(magnitude == nil ? "the cores of a convolution" : "dora_scale") can't "
          + "be attached to a linear layer")
    }
    guard LoHaAdapter.fit(b1.shape, a1.shape, b2.shape, a2.shape) else {
      throw .shapeMismatch(
        layer: layer, expected: "factors [out, rank], [rank, in], [out, rank], [rank, in]",
        found: "\(b1.shape), \(a1.shape), \(b2.shape), \(a2.shape)")
    }
    return LoHaAdapter(
      b1: Parameter(b1, isTrainable: isTrainable), a1: Parameter(a1, isTrainable: isTrainable),
      b2: Parameter(b2, isTrainable: isTrainable), a2: Parameter(a2, isTrainable: isTrainable),
      scale: Float(scale))
  }
}

extension KroneckerChange {
  fileprivate func makeAdapter(
    _ isTrainable: Bool, _ layer: String
  ) throws(AdapterError) -> LoKrAdapter {
    if magnitude != nil {
      throw .unsupported(
        layer: layer, reason: "LoKr with dora_scale can't be attached to a linear layer")
    }
    return LoKrAdapter(
      first: try first.parameters("C₁", isTrainable, layer),
      second: try second.parameters("C₂", isTrainable, layer), rank: rank, scale: Float(scale))
  }
}

extension KroneckerChange.Factor {
  fileprivate func parameters(
    _ name: String, _ isTrainable: Bool, _ layer: String
  ) throws(AdapterError) -> LoKrAdapter.Factor {
    let factor: LoKrAdapter.Factor
    switch self {
    case .whole(let c):
      factor = .whole(Parameter(c, isTrainable: isTrainable))
    case .product(let a, let b):
      factor = .product(
        Parameter(a, isTrainable: isTrainable), Parameter(b, isTrainable: isTrainable))
    case .tucker:
      throw .unsupported(
        layer: layer,
        reason: "LoKr with the core of a convolution can't be attached to a linear "
          + "layer")
    }
    guard factor.isValid else {
      throw .shapeMismatch(
        layer: layer, expected: "a matrix \(name), or two that fit each other",
        found: factor.parameters(name).map { "\($0.value.shape)" }.joined(separator: ", "))
    }
    return factor
  }
}

extension Float {
  /// The alpha that makes this the scale of factors of `rank`; whole where that is within a float32
  /// rounding.
  func alpha(rank: Int) -> Double {
    let alpha = Double(self) * Double(rank)
    return abs(alpha - alpha.rounded()) <= abs(alpha) * 1e-6 ? alpha.rounded() : alpha
  }
}
