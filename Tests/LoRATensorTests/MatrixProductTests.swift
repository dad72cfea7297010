import CLoRAKernels
import LoRATensor
import Testing

/// Integers small enough that every sum of products is exact in float32: results must be equal.
private func whole(_ count: Int, _ salt: Int) -> [Float] {
  (0..<count).map { Float(($0 * 31 + salt * 17) % 15 - 7) }
}

private func naive(
  _ a: [Float], _ b: [Float], m: Int, n: Int, k: Int, transposeA: Bool = false,
  transposeB: Bool = false
) -> [Float] {
  var c = [Float](repeating: 0, count: m * n)
  for i in 0..<m {
    for p in 0..<k {
      let x = transposeA ? a[p * m + i] : a[i * k + p]
      for j in 0..<n { c[i * n + j] += x * (transposeB ? b[j * k + p] : b[p * n + j]) }
    }
  }
  return c
}

@Suite struct MatrixProductTests {
  static let sizes: [(m: Int, n: Int, k: Int)] = {
    var all: [(m: Int, n: Int, k: Int)] = []
    for m in 0...9 { for n in 0...9 { for k in 0...9 { all.append((m, n, k)) } } }
    // Larger than a tile, with remainders: every pair of sides, the third one small.
    let some = [17, 33, 65, 130]
    for p in some { for q in some { all += [(p, q, 9), (p, 3, q), (5, p, q)] } }
    return all + [(65, 130, 33), (130, 65, 130)]
  }()

  /// c = alpha op(a) op(b) + beta c, c starting as NaN where beta is 0.
  @Test(arguments: [false, true], [false, true])
  func gemmAgreesWithLoops(transposeA: Bool, transposeB: Bool) {
    for (m, n, k) in Self.sizes {
      let (a, b) = (whole(m * k, 1), whole(k * n, 2))
      let product = naive(a, b, m: m, n: n, k: k, transposeA: transposeA, transposeB: transposeB)
      for (alpha, beta) in [(1, 0), (2, 1), (-1, 0.5)] as [(Float, Float)] {
        let start = whole(m * n, 3)
        var c = beta == 0 ? [Float](repeating: .nan, count: m * n) : start
        let expected = zip(product, start).map { alpha * $0 + (beta == 0 ? 0 : beta * $1) }
        c.withUnsafeMutableBufferPointer { c in
          a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
              guard let c = c.baseAddress, let a = a.baseAddress, let b = b.baseAddress else {
                return
              }
              gemm(
                transposeA: transposeA, transposeB: transposeB, m: m, n: n, k: k, alpha: alpha, a,
                lda: transposeA ? m : k, b, ldb: transposeB ? k : n, beta: beta, c, ldc: n)
            }
          }
        }
        if c != expected { Issue.record("m \(m), n \(n), k \(k), alpha \(alpha), beta \(beta)") }
      }
      let (x, y) = (
        Tensor(a, shape: transposeA ? [k, m] : [m, k]),
        Tensor(b, shape: transposeB ? [n, k] : [k, n])
      )
      let c = x.matrixProduct(with: y, transposeSelf: transposeA, transposeOther: transposeB)
      #expect(c == Tensor(product, shape: [m, n]))
    }
  }

  /// Rows between which there is other memory: it is not read into the result, nor written.
  @Test func leadingDimensionsAreKept() {
    for (m, n, k) in [(3, 4, 5), (70, 130, 65), (1, 7, 3)] {
      let (lda, ldb, ldc) = (k + 3, n + 2, n + 5)
      var (a, b) = (
        [Float](repeating: .nan, count: m * lda), [Float](repeating: .nan, count: k * ldb)
      )
      let (denseA, denseB) = (whole(m * k, 4), whole(k * n, 5))
      for i in 0..<m { for p in 0..<k { a[i * lda + p] = denseA[i * k + p] } }
      for p in 0..<k { for j in 0..<n { b[p * ldb + j] = denseB[p * n + j] } }
      let c = Tensor(shape: [m, ldc]) { c in
        for i in 0..<m * ldc { c[i] = -77 }
        a.withUnsafeBufferPointer { a in
          b.withUnsafeBufferPointer { b in
            guard let a = a.baseAddress, let b = b.baseAddress else { return }
            gemm(m: m, n: n, k: k, a, lda: lda, b, ldb: ldb, c, ldc: ldc)
          }
        }
      }
      let dense = naive(denseA, denseB, m: m, n: n, k: k)
      #expect(c.sliced(axis: 1, 0..<n) == Tensor(dense, shape: [m, n]))
      #expect(c.sliced(axis: 1, n..<ldc).scalars().allSatisfy { $0 == -77 })
    }
  }

  /// y = x wᵀ + beta y and dx = dy w + beta dx, for weights of every floating-point type.
  @Test(arguments: [DType.float32, .bfloat16, .float16])
  func weightsOfEveryType(_ type: DType) {
    for (rows, out, inner) in Self.sizes {
      // Integers up to 7 are exact in all of the types.
      let weights = whole(out * inner, 6)
      let w = Tensor(weights, shape: [out, inner]).converted(to: type)
      let (x, dy) = (whole(rows * inner, 7), whole(rows * out, 8))
      let forward = naive(x, weights, m: rows, n: out, k: inner, transposeB: true)
      let backward = naive(dy, weights, m: rows, n: inner, k: out)
      for beta: Float in [0, 1] {
        let y = product(x, rows, start: beta == 0 ? .nan : 3, count: rows * out) {
          multiply(rows: rows, $0, byTransposeOf: w, beta: beta, into: $1)
        }
        if y != forward.map({ $0 + 3 * beta }) {
          Issue.record("forward: rows \(rows), out \(out), in \(inner), beta \(beta)")
        }
        let dx = product(dy, rows, start: beta == 0 ? .nan : 3, count: rows * inner) {
          multiply(rows: rows, $0, by: w, beta: beta, into: $1)
        }
        if dx != backward.map({ $0 + 3 * beta }) {
          Issue.record("backward: rows \(rows), out \(out), in \(inner), beta \(beta)")
        }
      }
    }
  }

  /// More rows of a narrow weight than are widened at once.
  @Test(arguments: [DType.bfloat16, .float16])
  func tallNarrowWeights(_ type: DType) {
    let (rows, out, inner) = (6, 600, 40)
    let weights = whole(out * inner, 6)
    let w = Tensor(weights, shape: [out, inner]).converted(to: type)
    let dy = whole(rows * out, 8)
    let dx = product(dy, rows, start: .nan, count: rows * inner) {
      multiply(rows: rows, $0, by: w, into: $1)
    }
    #expect(dx == naive(dy, weights, m: rows, n: inner, k: out))
  }

  /// Low-rank terms and a bias, added on the way, in every way that rows and chunks are divided.
  @Test(arguments: [DType.float32, .bfloat16, .float16])
  func termsAndBias(_ type: DType) {
    for (rows, out, inner) in [(1, 9, 7), (4, 33, 20), (5, 33, 20), (70, 40, 1300), (900, 35, 24)] {
      for ranks in [[3], [16, 1], [200, 100]] {
        let weights = whole(out * inner, 6)
        let w = Tensor(weights, shape: [out, inner]).converted(to: type)
        let (x, dy, bias) = (whole(rows * inner, 7), whole(rows * out, 8), Tensor(whole(out, 9)))
        let factors = ranks.map { rank in
          (
            a: Tensor(whole(rank * inner, 1), shape: [rank, inner]),
            b: Tensor(whole(out * rank, 2), shape: [out, rank])
          )
        }
        // The scale keeps all sums exact.
        var (y, dx) = (
          naive(x, weights, m: rows, n: out, k: inner, transposeB: true),
          naive(dy, weights, m: rows, n: inner, k: out)
        )
        var reduced: [[Float]] = []
        for (a, b) in factors {
          let rank = a.shape[0]
          let h = naive(x, a.scalars(), m: rows, n: rank, k: inner, transposeB: true)
          let dh = naive(dy, b.scalars(), m: rows, n: rank, k: out)
          reduced += [h.map { 0.5 * $0 }, dh.map { 0.5 * $0 }]
          for (i, v) in naive(h, b.scalars(), m: rows, n: out, k: rank, transposeB: true)
            .enumerated()
          { y[i] += 0.5 * v }
          for (i, v) in naive(dh, a.scalars(), m: rows, n: inner, k: rank).enumerated() {
            dx[i] += 0.5 * v
          }
        }
        for i in y.indices { y[i] += bias.scalars()[i % out] }
        // Sums of a few million sixteenths are not all exact: compare to float32's roundings.
        let hs = ranks.map { rank in Tensor(shape: [rows, rank]) { _ in } }
        let got = product(x, rows, start: .nan, count: rows * out) { x, y in
          let terms = zip(factors, hs).map { factor, h in
            ProductTerm.forward(
              a: factor.a.floats, b: factor.b.floats, rank: h.shape[1], inner: inner, scale: 0.5,
              h: UnsafeMutablePointer(mutating: h.floats))
          }
          multiply(
            rows: rows, x, byTransposeOf: w, terms: terms, bias: bias.floats, into: y)
        }
        expectClose(
          got, y, roundings: 64, scale: 1e4, "forward \(rows), \(out), \(inner), \(ranks)")
        for (index, h) in hs.enumerated() { #expect(h.scalars() == reduced[2 * index]) }
        let passed = product(dy, rows, start: 1, count: rows * inner) { dy, dx in
          let terms = zip(factors, hs).map { factor, h in
            ProductTerm.backward(
              a: factor.a.floats, b: factor.b.floats, rank: h.shape[1], inner: inner, scale: 0.5,
              h: UnsafeMutablePointer(mutating: h.floats))
          }
          multiply(rows: rows, dy, by: w, terms: terms, beta: 1, into: dx)
        }
        expectClose(
          passed, dx.map { $0 + 1 }, roundings: 64, scale: 1e4,
          "backward \(rows), \(out), \(inner), \(ranks)")
        for (index, h) in hs.enumerated() { #expect(h.scalars() == reduced[2 * index + 1]) }
        withExtendedLifetime((factors, bias)) {}
      }
    }
  }

  @Test func weightGradients() {
    for (rows, out, inner) in [(3, 5, 7), (300, 70, 33), (600, 16, 130)] {
      let (dy, x) = (whole(rows * out, 1), whole(rows * inner, 2))
      let expected = naive(dy, x, m: out, n: inner, k: rows, transposeA: true)
      let dw = product(dy, rows, start: 1, count: out * inner) { dy, dw in
        x.withUnsafeBufferPointer { x in
          guard let x = x.baseAddress else { return }
          multiply(
            transposeOf: dy, by: x, rows: rows, out: out, inner: inner, rounds: false, beta: 2,
            into: dw)
        }
      }
      #expect(dw == expected.map { $0 + 2 })
    }
  }

  /// What rounds does so as the definition says, whatever instruction computes it.
  @Test func roundedProductsAgreeWithRoundedFactors() {
    var random = SeededRandom(seed: 5, path: "rounded")
    let (m, n, k) = (70, 45, 1201)
    let (a, b) = (random.normal([m, k]), random.normal([n, k]))
    func rounded(_ x: Tensor) -> Tensor { x.converted(to: .bfloat16).converted(to: .float32) }
    let expected = rounded(a).matrixProduct(with: rounded(b), transposeOther: true)
    let got = Tensor(shape: [m, n]) { c in
      BlockedProduct.compute(
        m: m, n: n, k: k, lk_factor(rows: a.floats, stride: k),
        lk_factor(rows: b.floats, stride: k),
        rounds: true, c, ldc: n)
    }
    expectClose(got.scalars(), expected.scalars(), roundings: 64, scale: 50, "rounded")
  }

  private func product(
    _ x: [Float], _ rows: Int, start: Float, count: Int,
    _ body: (UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
  ) -> [Float] {
    var y = [Float](repeating: start, count: count)
    y.withUnsafeMutableBufferPointer { y in
      x.withUnsafeBufferPointer { x in
        if let y = y.baseAddress, let x = x.baseAddress { body(x, y) }
      }
    }
    return y
  }
}

/// The thread count is the process's: one test at a time.
@Suite(.serialized) struct ThreadTests {
  @Test func bitsDoNotDependOnTheNumberOfThreads() {
    let count = Threads.count
    defer { Threads.count = count }
    func results() -> [Tensor] {
      var random = SeededRandom(seed: 2, path: "threads")
      let (a, b) = (random.normal([130, 257]), random.normal([257, 301]))
      let narrow = random.normal([301, 257]).converted(to: .bfloat16)
      let rows = Tensor(shape: [130, 301]) {
        multiply(rows: 130, a.floats, byTransposeOf: narrow, into: $0)
      }
      let few = Tensor(shape: [2, 301]) {
        multiply(rows: 2, a.floats, byTransposeOf: narrow, into: $0)
      }
      let long = random.uniform([300_001], in: -1..<1)
      let sums = Tensor([long.sum(), long.sumOfSquares()])
      // Chunks, terms and blocks of rows are divided by the number of threads.
      let (x, w) = (random.normal([800, 520]), random.normal([70, 520]).converted(to: .bfloat16))
      let (down, up) = (random.normal([4, 520]), random.normal([70, 4]))
      let h = Tensor(shape: [800, 4]) { _ in }
      let adapted = Tensor(shape: [800, 70]) { y in
        let term = ProductTerm.forward(
          a: down.floats, b: up.floats, rank: 4, inner: 520, scale: 2,
          h: UnsafeMutablePointer(mutating: h.floats))
        multiply(rows: 800, x.floats, byTransposeOf: w, terms: [term], into: y)
        BlockedProduct.compute(
          m: 800, n: 70, k: 520, lk_factor(rows: x.floats, stride: 520),
          w.withUnsafeBytes {
            lk_factor(rows: $0.baseAddress ?? UnsafeRawPointer(y), LK_BF16, stride: 520)
          }, rounds: true, beta: 1, y, ldc: 70)
      }
      withExtendedLifetime((down, up, w)) {}
      return [a.matrixProduct(with: b), rows, few, long * long, sums, adapted, h]
    }
    Threads.count = 1
    let one = results()
    for threads in [2, 3] {
      Threads.count = threads
      #expect(results() == one)
    }
  }

  @Test func everyIndexRunsOnce() {
    let count = Threads.count
    defer { Threads.count = count }
    for threads in 1...3 {
      Threads.count = threads
      for n in [0, 1, 2, 3, 100, 1001] {
        let hits = Tensor(shape: [n]) { hits in
          for i in 0..<n { hits[i] = 0 }
          parallelFor(n) { hits[$0] += 1 }
        }
        #expect(hits.scalars().allSatisfy { $0 == 1 })
      }
      // A region inside a region runs on the thread that it is in.
      let nested = Tensor(shape: [64]) { nested in
        parallelFor(8) { outer in parallelFor(8) { nested[outer * 8 + $0] = Float(outer * 8 + $0) }
        }
      }
      #expect(nested.scalars() == (0..<64).map { Float($0) })
    }
  }
}
