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
      try change.makeAdapter(isTrainable, dropout, dropoutStream, layer)
    case .hadamard, .kronecker, .scaling:
      throw .unsupported(layer: layer, reason: "\(methodName) can't be attached to it")
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
    if magnitude != nil {
      throw .unsupported(layer: layer, reason: "DoRA can't be attached to it")
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

extension Float {
  /// The alpha that makes this the scale of factors of `rank`; whole where that is within a float32
  /// rounding.
  func alpha(rank: Int) -> Double {
    let alpha = Double(self) * Double(rank)
    return abs(alpha - alpha.rounded()) <= abs(alpha) * 1e-6 ? alpha.rounded() : alpha
  }
}
