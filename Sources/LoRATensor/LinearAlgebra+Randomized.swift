extension Tensor {
  /// The `rank` largest singular values of a float32 matrix [m, n] and their vectors, from a random
  /// projection refined with `iterations` multiplications by X Xᵀ.
  ///
  /// ```swift
  /// let svd = try x.singularValueDecomposition(rank: 16)
  /// svd.count  // 16
  /// ```
  ///
  /// Takes about 4 m n (rank + oversampling)(iterations + 1) operations, nearly all of them
  /// products on all threads; the exact decomposition takes several times m n min(m, n) on one. The
  /// result is nearly the best matrix of that rank. The slower the singular values decay, the more
  /// iterations it takes to separate those near the `rank`-th. If `rank` is close to the smaller
  /// dimension, the decomposition is exact. The projection depends only on the seed and the shape.
  ///
  /// Source: Halko, Martinsson and Tropp, *Finding structure with randomness*, 2011. Traps unless
  /// this is a float32 matrix and `rank` is at least 1.
  public func singularValueDecomposition(
    rank: Int, iterations: Int = 4, oversampling: Int = 10, seed: UInt64 = 0
  ) throws(LinearAlgebraError) -> SingularValueDecomposition {
    require(
      rank >= 1 && iterations >= 0 && oversampling >= 0,
      "a decomposition of rank \(rank) with \(iterations) iterations and \(oversampling) more vectors; "
        + "the rank is at least 1, the others at least 0")
    // Written so that no sum overflows.
    guard shape.count == 2, rank < min(shape[0], shape[1]) - min(oversampling, elementCount) else {
      return try singularValueDecomposition().truncated(to: rank)
    }
    if let index = firstNonFiniteIndex() { throw .nonFinite(index: index, shape: shape) }
    let width = rank + oversampling
    var random = SeededRandom(seed: seed, path: "singular value decomposition")
    var basis = try matrixProduct(with: random.normal([shape[1], width])).qrDecomposition().q
    for _ in 0..<iterations {
      // An orthonormal basis each time: powers alone would lose the small values to rounding.
      let rows = try matrixProduct(with: basis, transposeSelf: true).qrDecomposition().q
      basis = try matrixProduct(with: rows).qrDecomposition().q
    }
    let core = try basis.matrixProduct(with: self, transposeSelf: true)
      .singularValueDecomposition().truncated(to: rank)
    return SingularValueDecomposition(
      u: basis.matrixProduct(with: core.u), singularValues: core.singularValues, vt: core.vt)
  }
}
