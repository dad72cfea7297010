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
      return [a.matrixProduct(with: b), rows, few, long * long, sums]
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
