package import LoRAFiles
package import LoRATensor

/// W + s (B₁ A₁) ⊙ (B₂ A₂), the product taken element by element. r is the rank, s the scale.
///
/// Source: Hyeon-Woo et al., *FedPara*, 2022; LyCORIS calls it LoHa.
package struct HadamardChange: MeasuredChange {
  /// B₁, [out, r] (`hada_w1_a`).
  package var b1: Tensor
  /// A₁, [r, in] (`hada_w1_b`).
  package var a1: Tensor
  /// B₂, [out, r] (`hada_w2_a`).
  package var b2: Tensor
  /// A₂, [r, in] (`hada_w2_b`).
  package var a2: Tensor
  /// The cores of a convolution in Tucker form, [r, r, height, width]; B₁ and B₂ are then [r, out].
  package var t1: Tensor?
  /// The second core.
  package var t2: Tensor?
  /// The alpha that the scale comes from.
  package var alpha: Double
  /// s.
  package var scale: Double
  /// `dora_scale`: see ``LowRankChange/magnitude``.
  package var magnitude: Tensor?

  /// Creates a change.
  package init(
    b1: Tensor, a1: Tensor, b2: Tensor, a2: Tensor, t1: Tensor? = nil, t2: Tensor? = nil,
    alpha: Double, scale: Double, magnitude: Tensor? = nil
  ) {
    self.b1 = b1
    self.a1 = a1
    self.b2 = b2
    self.a2 = a2
    self.t1 = t1
    self.t2 = t2
    self.alpha = alpha
    self.scale = scale
    self.magnitude = magnitude
  }

  /// The rank.
  package var rank: Int { a1.shape[0] }

  // MARK: As any change

  /// "LoHa".
  package var methodName: String { "LoHa" }
  /// The factors and the cores.
  package var tensors: [(name: String, tensor: Tensor)] {
    [("w1_a", b1), ("w1_b", a1), ("w2_a", b2), ("w2_b", a2)] + named("t1", t1) + named("t2", t2)
  }
  /// Whether a factor is zero.
  package var hasNoEffect: Bool {
    magnitude == nil
      && (isNothing(scale) || [a1, b1, a2, b2, t1, t2].contains { $0?.isZero ?? false })
  }
  /// The rank and the alpha.
  package var rankAndAlpha: (rank: Int?, alpha: Double)? { (rank, alpha) }
  /// Outputs and inputs.
  package var extents: String { "\(b1.shape[t1 == nil ? 0 : 1])x\(a1.shape[1])" }
}

// MARK: - Numbers

extension HadamardChange {
  private var matrices: ((Tensor, Tensor), (Tensor, Tensor)) {
    func pair(_ b: Tensor, _ a: Tensor, _ t: Tensor?) -> (Tensor, Tensor) {
      t.map { (b.transposed(), core($0, times: a)) } ?? (b, a)
    }
    return (pair(b1, a1, t1), pair(b2, a2, t2))
  }

  /// The norm of s (B₁ A₁) ⊙ (B₂ A₂).
  package var norm: Double? {
    let ((b1, a1), (b2, a2)) = matrices
    var square = 0.0
    for rows in rowTiles(of: b1, columns: a1.shape[1]) {
      square +=
        (b1[rows: rows].matrixProduct(with: a1) * b2[rows: rows].matrixProduct(with: a2))
        .sumOfSquares()
    }
    return abs(scale) * square.squareRoot()
  }

  /// Costs a pass over the factors, and only where these are so large that it may be, their product.
  package var isBeyondFloat32: Bool {
    func isBeyond(_ number: Double) -> Bool {
      LoRAFormats.isBeyondFloat32(number, scale: scale)
    }
    let ((b1, a1), (b2, a2)) = matrices
    let (first, second) = (productBound(b1, a1), productBound(b2, a2))
    guard [first, second, first * second].contains(where: isBeyond) else { return false }
    return isBeyond(
      rowTiles(of: b1, columns: a1.shape[1]).map { rows in
        (b1[rows: rows].matrixProduct(with: a1) * b2[rows: rows].matrixProduct(with: a2))
          .greatestMagnitude
      }.max() ?? 0)
  }

  /// s (B₁ A₁) ⊙ (B₂ A₂).
  package func weightChange() -> Tensor? {
    let ((b1, a1), (b2, a2)) = matrices
    return (b1.matrixProduct(with: a1) * b2.matrixProduct(with: a2)).scaled(by: Float(scale))
  }

  /// Whether the factors are those of such a weight.
  package func check(fits weight: Shape, layer: String, file: String) throws(FormatError) {
    if let core = t1, core.shape.count != weight.count {
      throw .otherKind(layer, core.shape.count, weight, file)
    }
    // Without a core the kernel's places are columns.
    guard t1 == nil, weight.count == 2 else { return }
    try FormatError.check([b1.shape[0], a1.shape[1]], fits: weight, layer: layer, file: file)
  }
}
