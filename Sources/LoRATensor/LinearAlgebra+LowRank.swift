/// A singular value decomposition U diag(s) Vᵀ: orthonormal columns of U and rows of Vᵀ, descending
/// singular values s.
///
/// ```swift
/// let svd = try SingularValueDecomposition(ofProduct: b, a, scale: 2)  // of 2 B A
/// let rank = svd.rank(keeping: 0.99)                                   // 99 % of the energy
/// let (smallB, smallA) = svd.factors(rank: rank)
/// ```
public struct SingularValueDecomposition: Sendable {
  /// U, [m, k], float32.
  public let u: Tensor
  /// The singular values, [k], descending, float32.
  public let singularValues: Tensor
  /// Vᵀ, [k, n], float32.
  public let vt: Tensor

  /// Creates a decomposition from its parts. Traps if their shapes do not fit each other.
  public init(u: Tensor, singularValues: Tensor, vt: Tensor) {
    require(
      u.shape.count == 2 && vt.shape.count == 2 && singularValues.shape == [u.shape[1]]
        && u.shape[1] == vt.shape[0],
      "parts \(u.shape), \(singularValues.shape) and \(vt.shape) of a decomposition")
    self.u = u
    self.singularValues = singularValues
    self.vt = vt
  }

  /// The decomposition of `scale` B A, b [m, r] and a [r, n], float32, without forming the product:
  /// it uses the QR decompositions of B and Aᵀ and the singular values of a matrix made from their
  /// R factors. It has min(m, n, r) singular values and takes about 6 (m + n) r² operations and
  /// some r³.
  ///
  /// Traps if the factors do not fit each other.
  public init(
    ofProduct b: Tensor, _ a: Tensor, scale: Double = 1
  ) throws(LinearAlgebraError) {
    require(
      a.shape.count == 2 && b.shape.count == 2 && a.shape[0] == b.shape[1],
      "factors \(b.shape) and \(a.shape): expected [m, rank] and [rank, n]")
    let left = try b.qrDecomposition()
    let right = try a.transposed().qrDecomposition()
    // B A = Q₁ (R₁ R₂ᵀ) Q₂ᵀ.
    let core = try left.r.matrixProduct(with: right.r, transposeOther: true)
      .scaled(by: Float(scale)).singularValueDecomposition()
    self.init(
      u: left.q.matrixProduct(with: core.u), singularValues: core.singularValues,
      vt: core.vt.matrixProduct(with: right.q, transposeOther: true))
  }

  /// The number of singular values, zeros included.
  public var count: Int { singularValues.elementCount }

  /// The sum of the squared singular values, which equals the sum of the squared elements.
  public var energy: Double { singularValues.sumOfSquares() }

  /// The smallest rank that keeps at least `share` (0 to 1) of the energy. At least 1, even for a
  /// zero matrix. Traps if `share` is not from 0 to 1.
  public func rank(keeping share: Double) -> Int {
    require((0...1).contains(share), "a share of the energy of \(share)")
    let squares = singularValues.scalars().map { Double($0) * Double($0) }
    let wanted = share * squares.reduce(0, +)
    var sum = 0.0
    for (index, square) in squares.enumerated() {
      sum += square
      if sum >= wanted { return index + 1 }
    }
    return max(1, count)
  }

  /// The decomposition of the nearest matrix of rank `rank`: the largest singular values only.
  /// Returns this decomposition if it has no more.
  ///
  /// Source: Eckart and Young, *The approximation of one matrix by another of lower rank*, 1936.
  public func truncated(to rank: Int) -> SingularValueDecomposition {
    require(rank >= 0, "a rank of \(rank)")
    guard rank < count else { return self }
    return SingularValueDecomposition(
      u: u.sliced(axis: 1, 0..<rank), singularValues: singularValues[rows: 0..<rank],
      vt: vt[rows: 0..<rank])
  }

  /// The factors B = U diag(s), [m, rank], and A = Vᵀ, [rank, n], of the nearest matrix of that
  /// rank. Beyond ``count`` both are padded with zeros.
  public func factors(rank: Int) -> (b: Tensor, a: Tensor) {
    let kept = truncated(to: rank)
    let b = kept.u * kept.singularValues
    guard rank > count else { return (b, kept.vt) }
    return (
      .concatenated([b, .zeros([u.shape[0], rank - count])], axis: 1),
      .concatenated([kept.vt, .zeros([rank - count, vt.shape[1]])])
    )
  }

  /// The matrix, [m, n].
  public func product() -> Tensor { (u * singularValues).matrixProduct(with: vt) }
}
