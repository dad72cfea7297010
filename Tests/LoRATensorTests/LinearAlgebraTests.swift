import LoRATensor
import Testing

@Suite struct LinearAlgebraTests {
  /// Extents on all sides of each other, of the block sizes of LAPACK (32) and of the tall shapes
  /// that it treats in two steps.
  static let extents: [(Int, Int)] = [
    (1, 1), (1, 9), (9, 1), (2, 2), (5, 3), (3, 5), (33, 33), (64, 40), (40, 64), (300, 20),
    (20, 300), (1, 300), (129, 128),
  ]

  static func random(_ m: Int, _ n: Int, seed: UInt64 = 1) -> Tensor {
    var random = SeededRandom(seed: seed, path: "\(m)x\(n)")
    return random.normal([m, n])
  }

  /// The largest difference, in units of the largest element of `expected`.
  static func error(_ found: Tensor, _ expected: Tensor) -> Float {
    guard found.shape == expected.shape else { return .infinity }
    let scale = expected.scalars().map(abs).max() ?? 1
    return zip(found.scalars(), expected.scalars()).reduce(0) { max($0, abs($1.0 - $1.1)) }
      / max(scale, .leastNormalMagnitude)
  }

  static func identity(_ n: Int) -> Tensor {
    Tensor((0..<n * n).map { $0 / n == $0 % n ? 1 : 0 }, shape: [n, n])
  }

  static func matrix(_ m: Int, _ n: Int, _ element: (Int, Int) -> Double) -> Tensor {
    Tensor((0..<m * n).map { Float(element($0 / n, $0 % n)) }, shape: [m, n])
  }

  @Test(arguments: extents)
  func qrGivesOrthonormalColumnsAndATriangle(m: Int, n: Int) throws {
    let x = Self.random(m, n)
    let (q, r) = try x.qrDecomposition()
    let k = min(m, n)
    #expect(q.shape == [m, k] && r.shape == [k, n])
    #expect(Self.error(q.matrixProduct(with: r), x) < 5e-6)
    #expect(Self.error(q.matrixProduct(with: q, transposeSelf: true), Self.identity(k)) < 5e-6)
    for row in 0..<k {
      #expect(r[row: row].scalars()[..<row].allSatisfy { $0 == 0 })
    }
  }

  @Test(arguments: extents)
  func singularVectorsAreOrthonormalAndGiveTheMatrix(m: Int, n: Int) throws {
    let x = Self.random(m, n, seed: 2)
    let svd = try x.singularValueDecomposition()
    let k = min(m, n)
    #expect(svd.u.shape == [m, k] && svd.vt.shape == [k, n] && svd.count == k)
    #expect(Self.error(svd.product(), x) < 1e-5)
    let u = svd.u.matrixProduct(with: svd.u, transposeSelf: true)
    let v = svd.vt.matrixProduct(with: svd.vt, transposeOther: true)
    #expect(Self.error(u, Self.identity(k)) < 5e-6 && Self.error(v, Self.identity(k)) < 5e-6)
    let values = svd.singularValues.scalars()
    #expect(zip(values, values.dropFirst()).allSatisfy { $0 >= $1 } && (values.last ?? 0) >= 0)
    #expect(Self.error(try x.singularValues(), svd.singularValues) < 5e-6)
    #expect(abs(svd.energy - x.sumOfSquares()) < 1e-5 * x.sumOfSquares())
  }

  /// The numbers are numpy 2's, `np.linalg.svd(x.astype(np.float64))[1]` of the same float32
  /// matrices and the magnitudes of the diagonal of `np.linalg.qr`'s R.
  @Test func valuesAreThoseOfNumPy() throws {
    let hilbert = Self.matrix(7, 4) { 1 / Double($0 + $1 + 1) }
    let tall: [Float] = [1.57248565, 2.11649362e-1, 1.16978160e-2, 3.02123624e-4]
    #expect(
      Self.error(try hilbert.singularValueDecomposition().singularValues, Tensor(tall)) < 2e-7)
    let whole = Self.matrix(3, 6) { Double(($0 * 7 + $1 * 3) % 5 - 2) }
    let wide: [Float] = [4.24264069, 4.13171488, 1.71141234]
    #expect(Self.error(try whole.singularValues(), Tensor(wide)) < 5e-7)
    let r = try whole.qrDecomposition().r
    let diagonal = (0..<3).map { abs(r[row: $0].scalars()[$0]) }
    #expect(Self.error(Tensor(diagonal), Tensor([2.82842712, 2.12132034, 1.66666667])) < 5e-7)
  }

  @Test(arguments: [(40, 30, 4), (6, 5, 8), (1, 9, 2), (200, 3, 16), (12, 12, 12)])
  func aProductIsDecomposedFromItsFactors(m: Int, n: Int, rank: Int) throws {
    let (b, a) = (Self.random(m, rank, seed: 3), Self.random(rank, n, seed: 4))
    for scale in [2, -0.5] {
      let svd = try SingularValueDecomposition(ofProduct: b, a, scale: scale)
      let product = b.matrixProduct(with: a).scaled(by: Float(scale))
      #expect(svd.count == min(m, n, rank))
      #expect(Self.error(svd.product(), product) < 1e-5)
      let values = try product.singularValues()
      #expect(Self.error(svd.singularValues, values[rows: 0..<svd.count]) < 5e-6)
      let u = svd.u.matrixProduct(with: svd.u, transposeSelf: true)
      let v = svd.vt.matrixProduct(with: svd.vt, transposeOther: true)
      #expect(Self.error(u, Self.identity(svd.count)) < 5e-6)
      #expect(Self.error(v, Self.identity(svd.count)) < 5e-6)
    }
  }

  @Test func aTruncationIsTheNearestMatrix() throws {
    let x = Self.random(20, 12, seed: 5)
    let svd = try x.singularValueDecomposition()
    let values = svd.singularValues.scalars().map { Double($0) * Double($0) }
    for rank in 0...14 {
      let kept = svd.truncated(to: rank)
      #expect(kept.count == min(rank, 12))
      let missing = (x - kept.product()).sumOfSquares()
      #expect(abs(missing - values.dropFirst(rank).reduce(0, +)) < 1e-4 * svd.energy)
      let (b, a) = svd.factors(rank: rank)
      #expect(b.shape == [20, rank] && a.shape == [rank, 12])
      #expect(Self.error(b.matrixProduct(with: a), kept.product()) < 5e-6 || rank == 0)
    }
  }

  @Test(arguments: [(120, 90), (90, 120)])
  func aRandomProjectionFindsTheLargestValues(m: Int, n: Int) throws {
    // Singular values that fall off by a quarter each.
    let exact = try Self.random(m, n, seed: 8).singularValueDecomposition()
    let values = Tensor((0..<90).map { Float(pow075($0)) })
    let x = SingularValueDecomposition(u: exact.u, singularValues: values, vt: exact.vt).product()
    let found = try x.singularValueDecomposition(rank: 6)
    #expect(found.count == 6 && found.u.shape == [m, 6] && found.vt.shape == [6, n])
    #expect(Self.error(found.singularValues, values[rows: 0..<6]) < 5e-6)
    let best = try x.singularValueDecomposition().truncated(to: 6)
    #expect(Self.error(found.product(), best.product()) < 1e-4)
    #expect(try x.singularValueDecomposition(rank: 6).u == found.u)
    #expect(try x.singularValueDecomposition(rank: 6, seed: 1).u != found.u)
    // Without refinement it is worse, but never better than the best.
    let rough = try x.singularValueDecomposition(rank: 6, iterations: 0, oversampling: 0)
    let missing = (x - rough.product()).sumOfSquares()
    #expect(missing > (x - best.product()).sumOfSquares() && missing < x.sumOfSquares())
    // A rank near the smaller side is decomposed exactly.
    let whole = try x.singularValueDecomposition(rank: 85)
    #expect(whole.count == 85 && Self.error(whole.product(), x) < 1e-5)
  }

  private func pow075(_ exponent: Int) -> Double {
    (0..<exponent).reduce(1.0) { product, _ in product * 0.75 }
  }

  @Test func energySaysHowManyValuesAreNeeded() {
    let svd = SingularValueDecomposition(
      u: Self.identity(3), singularValues: Tensor([3, 2, 1]), vt: Self.identity(3))
    #expect(svd.energy == 14)
    #expect(svd.rank(keeping: 0) == 1 && svd.rank(keeping: 9.0 / 14) == 1)
    #expect(svd.rank(keeping: 0.65) == 2 && svd.rank(keeping: 0.95) == 3)
    #expect(svd.rank(keeping: 1) == 3)
    let nothing = SingularValueDecomposition(
      u: Self.identity(2), singularValues: Tensor([0, 0]), vt: Self.identity(2))
    #expect(nothing.rank(keeping: 1) == 1)
  }

  @Test func zerosAndRanksBelowTheExtents() throws {
    let zeros = try Tensor.zeros([5, 3]).singularValueDecomposition()
    #expect(zeros.singularValues == Tensor([0, 0, 0]))
    #expect(zeros.product() == .zeros([5, 3]))
    let thin = Self.random(30, 2).matrixProduct(with: Self.random(2, 25))
    let values = try thin.singularValueDecomposition().singularValues.scalars()
    #expect(values[1] > 1 && values[2] < 1e-5 * values[0])
    #expect(try Tensor.zeros([0, 3]).singularValueDecomposition().count == 0)
    #expect(try Tensor.zeros([3, 0]).qrDecomposition().r.shape == [0, 0])
  }

  /// Numbers near the ends of float32: LAPACK scales them.
  @Test(arguments: [Float(1e30), 1e-30])
  func extremeMagnitudesDecompose(scale: Float) throws {
    let x = Self.random(12, 9, seed: 6)
    let values = try x.scaled(by: scale).singularValues()
    #expect(Self.error(values, try x.singularValues().scaled(by: scale)) < 5e-6)
  }

  @Test func whatIsNotFiniteIsNamed() {
    let x = Tensor([1, 2, .nan, 4], shape: [2, 2])
    #expect(throws: LinearAlgebraError.nonFinite(index: 2, shape: [2, 2])) {
      try x.singularValueDecomposition()
    }
    #expect(throws: LinearAlgebraError.nonFinite(index: 2, shape: [2, 2])) {
      try x.qrDecomposition()
    }
    #expect(throws: LinearAlgebraError.nonFinite(index: 2, shape: [2, 2])) {
      try x.singularValues()
    }
    let message = LinearAlgebraError.nonFinite(index: 2, shape: [2, 2]).description
    #expect(message.contains("element 2 of a matrix [2, 2]"))
  }

  /// Decompositions on the pool's threads do not disturb each other.
  @Test func manyAtOnceGiveTheSameBits() throws {
    let x = Self.random(60, 45, seed: 7)
    let alone = try x.singularValueDecomposition().singularValues
    let results = Locked([Tensor?](repeating: nil, count: 16))
    parallelFor(16) { index in
      let values = try? x.singularValueDecomposition().singularValues
      results.withLock { $0[index] = values }
    }
    #expect(results.withLock { $0.allSatisfy { $0 == alone } })
  }
}
