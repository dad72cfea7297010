import LoRATensor

/// How two descriptions of an adapter agree: what was read from a file, and what another file made
/// of it gives back.
public struct AdapterAgreement: Sendable, Hashable {
  /// The layers whose factors are the same bits and whose scales are the same number, to one float32
  /// rounding.
  public var identicalLayers: Int
  /// The other layers, which compute the same within rounding, with the relative difference.
  public var roundedLayers: [String: Double]

  /// The greatest relative difference; 0 if all bits are the same.
  public var greatestDifference: Double { roundedLayers.values.max() ?? 0 }
}

extension AdapterDescription {
  /// Compares what this adapter computes with what `other` does, read back from `file`.
  ///
  /// Where factors differ, as after folding a scale, both are applied to the same random input, in
  /// float64. Throws ``FormatError`` where the results differ by more than float32 roundings, or if
  /// a layer or a replaced parameter is missing or has changed.
  public func agreement(
    with other: AdapterDescription, file: String
  ) throws(FormatError) -> AdapterAgreement {
    func differs(_ what: String, _ problem: String) -> FormatError {
      FormatError(
        .invalidValue, file: file, subject: what,
        problem: "read back, \(problem): this is a mistake of the conversion",
        remedy: "keep the input, and report it")
    }
    let found = Dictionary(
      other.layers.map { (ExactName($0.path), $0) }, uniquingKeysWith: { first, _ in first })
    var result = AdapterAgreement(identicalLayers: 0, roundedLayers: [:])
    for layer in layers {
      // Paths in a body alone lack the prefix that formats write.
      let paths = [layer.path] + Architecture.bodyPrefixes.map { $0 + layer.path }
      guard let back = paths.lazy.compactMap({ found[ExactName($0)] }).first else {
        throw differs("layer '\(layer.path)'", "it is missing")
      }
      if layer.change.isIdentical(to: back.change) {
        result.identicalLayers += 1
      } else if let difference = layer.change.difference(to: back.change), difference <= 1e-6 {
        result.roundedLayers[layer.path] = difference
      } else {
        throw differs("layer '\(layer.path)'", "it computes something else")
      }
    }
    guard other.layers.count == layers.count else {
      throw differs("", "there are \(other.layers.count) layers instead of \(layers.count)")
    }
    let values = Dictionary(
      other.replacements.map { (ExactName($0.path), $0.value) },
      uniquingKeysWith: { first, _ in first })
    for replacement in replacements where values[ExactName(replacement.path)] != replacement.value {
      throw differs("'\(replacement.path)'", "it is not the same")
    }
    let rows = other.replacedRows.map { [$0.path, "\($0.ids)"] }
    guard rows == replacedRows.map({ [$0.path, "\($0.ids)"] }),
      zip(other.replacedRows, replacedRows).allSatisfy({ $0.rows == $1.rows })
    else {
      throw differs("", "the rows of embeddings are not the same")
    }
    return result
  }
}

extension LayerChange {
  /// What the factors' product is multiplied by.
  package var scale: Double {
    switch self {
    case .lowRank(let change): change.scale
    case .hadamard(let change): change.scale
    case .kronecker(let change): change.scale
    case .scaling: 1
    }
  }

  /// The rank; nil where there is none.
  package var rank: Int? {
    switch self {
    case .lowRank(let change): change.rank
    case .hadamard(let change): change.rank
    case .kronecker(let change): change.rank
    case .scaling: nil
    }
  }

  /// Whether all factors are the same bits and the scale the same to one float32 rounding.
  fileprivate func isIdentical(to other: LayerChange) -> Bool {
    guard methodName == other.methodName,
      abs(scale - other.scale) <= 0x1p-23 * abs(scale)
    else { return false }
    let (mine, others) = (tensors, other.tensors)
    return mine.count == others.count
      && zip(mine, others).allSatisfy { $0.name == $1.name && $0.tensor == $1.tensor }
  }

  /// The relative difference of the two changes' results for a random input; nil if they are not
  /// both low-rank changes of the same size, or if their other parts differ.
  fileprivate func difference(to other: LayerChange) -> Double? {
    if case .kronecker(let mine) = self, case .kronecker(let others) = other {
      return mine.difference(to: others)
    }
    guard case .lowRank(let mine) = self, case .lowRank(let others) = other,
      mine.a.shape.dimensions.dropFirst() == others.a.shape.dimensions.dropFirst(),
      mine.outputSize == others.outputSize, mine.middle == others.middle,
      mine.magnitude == others.magnitude, mine.isEmbedding == others.isEmbedding,
      mine.bias?.shape == others.bias?.shape
    else { return nil }
    var random = SeededRandom(seed: 1, path: "agreement")
    let x = (0..<mine.a.elementCount / mine.rank).map { _ in random.nextUniform() - 0.5 }
    let (y, z) = (mine.applied(to: x), others.applied(to: x))
    let norm = y.reduce(0) { $0 + $1 * $1 }.squareRoot()
    let error = zip(y, z).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
    return norm == 0 ? (error == 0 ? 0 : nil) : error / norm
  }
}

extension LowRankChange {
  /// s B A x + s bias in float64; of a convolution for one place of the image.
  fileprivate func applied(to x: [Double]) -> [Double] {
    func times(_ matrix: Tensor, _ x: [Double]) -> [Double] {
      matrix.withUnsafeElements(of: Float.self) { m in
        let columns = x.count
        return (0..<m.count / max(1, columns)).map { row in
          x.indices.reduce(0.0) { $0 + Double(m[row * columns + $1]) * x[$1] }
        }
      }
    }
    let y = times(b, times(a, x))
    let bias = bias?.scalars(as: Float.self) ?? []
    return y.indices.map { scale * (y[$0] + (bias.isEmpty ? 0 : Double(bias[$0]))) }
  }
}

extension KroneckerChange {
  /// The relative difference where a scale may have moved into the first part of the second factor;
  /// nil if anything else differs.
  fileprivate func difference(to other: KroneckerChange) -> Double? {
    func same(_ a: some Sequence<Tensor>, _ b: some Sequence<Tensor>) -> Bool {
      a.elementsEqual(b) { $0 == $1 }
    }
    let (mine, others) = (
      second.tensors("w").map(\.tensor), other.second.tensors("w").map(\.tensor)
    )
    guard magnitude == other.magnitude, mine.count == others.count,
      same(first.tensors("w").map(\.tensor), other.first.tensors("w").map(\.tensor)),
      same(mine.dropFirst(), others.dropFirst()), let left = mine.first, let right = others.first,
      left.shape == right.shape
    else { return nil }
    var (error, norm) = (0.0, 0.0)
    for (x, y) in zip(left.scalars(as: Float.self), right.scalars(as: Float.self)) {
      let (expected, found) = (Double(x) * scale, Double(y) * other.scale)
      error += (expected - found) * (expected - found)
      norm += expected * expected
    }
    return norm == 0 ? (error == 0 ? 0 : nil) : (error / norm).squareRoot()
  }
}
