import CLoRAKernels

// Products of float32 matrices with float32 or narrower weights, divided over independent outputs:
// the bits do not depend on the thread count.

/// c = alpha op(a) op(b) + beta c with op(a) [m, k], op(b) [k, n], c [m, n], all float32, row-major
/// with `lda`, `ldb`, `ldc` elements between rows (of the matrix as stored).
package func gemm(
  transposeA: Bool = false, transposeB: Bool = false, m: Int, n: Int, k: Int, alpha: Float = 1,
  _ a: UnsafePointer<Float>, lda: Int, _ b: UnsafePointer<Float>, ldb: Int, beta: Float = 0,
  _ c: UnsafeMutablePointer<Float>, ldc: Int
) {
  guard m > 0, n > 0 else { return }
  guard k > 0 else {
    if beta == 1 { return }
    for row in 0..<m {
      // 0 times what happens to be in uninitialized memory may be NaN.
      if beta == 0 {
        lk_fill(n, 0, c + row * ldc)
      } else {
        lk_scale(n, beta, c + row * ldc, c + row * ldc)
      }
    }
    return
  }
  let (tileM, tileN) = tileShape(m: m, n: n, k: k)
  let tilesM = (m + tileM - 1) / tileM
  let tilesN = (n + tileN - 1) / tileN
  parallelFor(tilesM * tilesN) { index in
    let row = index / tilesN * tileM
    let column = index % tilesN * tileN
    MatrixEngine.sgemm(
      transposeA, transposeB, min(tileM, m - row), min(tileN, n - column), k, alpha,
      transposeA ? a + row : a + row * lda, lda,
      transposeB ? b + column * ldb : b + column, ldb, beta,
      c + row * ldc + column, ldc)
  }
}

/// The tile of a product: all of it while it is small, else pieces of the longer side that keep
/// every call large enough for OpenBLAS to run near its best.
private func tileShape(m: Int, n: Int, k: Int) -> (Int, Int) {
  if m * n * k <= 1 << 17 { return (m, n) }
  func pieces(_ extent: Int, atLeast least: Int) -> Int {
    // Four pieces where possible: two threads stay busy although they are never equally fast.
    let piece = max(least, (extent + 3) / 4)
    return min(extent, (piece + 15) / 16 * 16)
  }
  if n >= m { return (m, pieces(n, atLeast: 32)) }
  return (pieces(m, atLeast: 32), n)
}

/// A low-rank term `h outerᵀ` of a product, in float32, added while the product's tiles lie in
/// registers. Its `h`, `[rows, rank]`, is given, or computed with the product from the same rows:
/// `h = scale (x innerᵀ)`.
package struct ProductTerm {
  let rank: Int
  let h: UnsafeMutablePointer<Float>
  let inner: lk_factor?
  let scale: Float
  let outer: lk_factor

  /// The term of `y = x wᵀ`: `h = scale (x aᵀ)`, unless given, and `h bᵀ`; a `[rank, in]`,
  /// b `[out, rank]`.
  package static func forward(
    a: UnsafePointer<Float>?, b: UnsafePointer<Float>, rank: Int, inner: Int, scale: Float,
    h: UnsafeMutablePointer<Float>
  ) -> ProductTerm {
    ProductTerm(
      rank: rank, h: h, inner: a.map { lk_factor(rows: $0, stride: inner) }, scale: scale,
      outer: lk_factor(rows: b, stride: rank))
  }

  /// The term of `dx = dy w`: `h = scale (dy b)` and `h a`.
  package static func backward(
    a: UnsafePointer<Float>, b: UnsafePointer<Float>, rank: Int, inner: Int, scale: Float,
    h: UnsafeMutablePointer<Float>
  ) -> ProductTerm {
    ProductTerm(
      rank: rank, h: h, inner: lk_factor(columns: b, stride: rank), scale: scale,
      outer: lk_factor(columns: a, stride: inner))
  }

  var side: BlockedProduct.Side? {
    inner.map { BlockedProduct.Side(factor: $0, rank: rank, scale: scale, h: h) }
  }

  var tail: lk_gemm_tail {
    lk_gemm_tail(a: lk_factor(rows: h, stride: rank), b: outer, depth: rank)
  }
}

/// y = x wᵀ + Σ terms + bias + beta y: x [rows, in] float32, w [out, in] of any floating-point type,
/// y [rows, out]. One pass over y.
///
/// Narrow weights are widened while they are packed, exactly; no widened copy of the weight ever
/// exists. With `precision` both factors may be rounded instead, see ``ProductPrecision``. A few
/// rows (decoding) read each weight once.
package func multiply(
  rows: Int, _ x: UnsafePointer<Float>, byTransposeOf w: Tensor,
  precision: ProductPrecision = .float32, terms: [ProductTerm] = [],
  bias: UnsafePointer<Float>? = nil, beta: Float = 0,
  into y: UnsafeMutablePointer<Float>
) {
  let (out, inner) = (w.shape[0], w.shape[1])
  guard rows > 0, out > 0 else { return }
  if rows <= mostFewRows, beta == 0 || beta == 1, inner > 0 {
    multiplyFewRows(
      rows: rows, [FewRowsProduct(x, byTransposeOf: w, accumulates: beta == 1, into: y)])
    if let bias { lk_add_row(rows, out, bias, y) }
    for term in terms {
      if let first = term.inner?.data?.assumingMemoryBound(to: Float.self) {
        lk_gemv_f32(rows, term.rank, inner, x, first, term.h, term.rank, false)
        lk_scale(rows * term.rank, term.scale, term.h, term.h)
      }
      BlockedProduct.compute(
        m: rows, n: out, k: term.rank, term.tail.a, term.tail.b, beta: 1, y, ldc: out)
    }
    return
  }
  withUnsafePointer(to: Float(1)) { one in
    var tails = terms.map(\.tail)
    if let bias {
      // The bias is a term of depth 1 whose left factor is 1 everywhere.
      tails.append(
        lk_gemm_tail(
          a: lk_factor(data: one, element: LK_F32, row_stride: 0, depth_stride: 0),
          b: lk_factor(columns: bias, stride: 0), depth: 1))
    }
    w.forEachTile { range, weights, element in
      let first = range.lowerBound
      BlockedProduct.compute(
        m: rows, n: range.count, k: inner, lk_factor(rows: x, stride: inner),
        lk_factor(rows: weights, element, stride: inner),
        sides: first == 0 ? terms.compactMap(\.side) : [],
        tails: tails.map {
          lk_gemm_tail(a: $0.a, b: $0.b.advanced(byRows: first), depth: $0.depth)
        },
        rounds: precision.rounds(weight: w.dtype), beta: beta, y + first, ldc: out)
    }
  }
}

/// dx = dy w + Σ terms + beta dx: dy [rows, out] float32, w [out, in] of any floating-point type,
/// dx [rows, in]. One pass over dx.
package func multiply(
  rows: Int, _ dy: UnsafePointer<Float>, by w: Tensor,
  precision: ProductPrecision = .float32, terms: [ProductTerm] = [], beta: Float = 0,
  into dx: UnsafeMutablePointer<Float>
) {
  let (out, inner) = (w.shape[0], w.shape[1])
  guard rows > 0, inner > 0 else { return }
  // Where the sums run over tiles, what is wanted of all of dy comes first.
  let isTiled = w.dtype.isQuantized
  for side in isTiled ? terms.compactMap(\.side) : [] {
    BlockedProduct.compute(
      m: rows, n: side.rank, k: out, lk_factor(rows: dy, stride: out), side.factor,
      alpha: side.scale, side.h, ldc: side.rank)
  }
  w.forEachTile { range, weights, element in
    BlockedProduct.compute(
      m: rows, n: inner, k: range.count, lk_factor(rows: dy + range.lowerBound, stride: out),
      lk_factor(columns: weights, element, stride: inner),
      sides: isTiled ? [] : terms.compactMap(\.side),
      tails: range.upperBound == out ? terms.map(\.tail) : [],
      rounds: precision.rounds(weight: w.dtype), beta: range.lowerBound == 0 ? beta : 1, dx,
      ldc: inner)
  }
}

/// dw = dyᵀ x + beta dw: dy [rows, out], x [rows, in], dw [out, in], all float32. `rounds`: dy and x
/// are rounded to bfloat16.
package func multiply(
  transposeOf dy: UnsafePointer<Float>, by x: UnsafePointer<Float>, rows: Int, out: Int, inner: Int,
  rounds: Bool, beta: Float, into dw: UnsafeMutablePointer<Float>
) {
  BlockedProduct.compute(
    m: out, n: inner, k: rows, lk_factor(columns: dy, stride: out),
    lk_factor(columns: x, stride: inner), rounds: rounds, beta: beta, dw, ldc: inner)
}

extension Tensor {
  /// Writes rows `range` of a matrix of any floating-point type as float32 to `target`.
  package func widen(rows range: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    let width = shape.replacingInnermost(with: 1).elementCount == 0 ? 0 : shape.innermost
    let n = range.count * width
    withUnsafeBytes { bytes in
      guard n > 0, let base = bytes.baseAddress else { return }
      let source = base + dtype.byteCount(ofElements: range.lowerBound * width)
      switch dtype {
      case .float32: target.update(from: source.floats, count: n)
      case .bfloat16: lk_f32_from_bf16(n, source.assumingMemoryBound(to: UInt16.self), target)
      case .float16: lk_f32_from_f16(n, source.assumingMemoryBound(to: UInt16.self), target)
      default:
        lk_dequantize(
          dtype.blockFormat, n / dtype.blockElements, source.assumingMemoryBound(to: UInt8.self),
          target)
      }
    }
  }
}

/// Calls `body` with the address of `count` uninitialized float32 elements from the pool.
package func withScratch<R, E: Error>(
  _ count: Int, _ body: (UnsafeMutablePointer<Float>) throws(E) -> R
) throws(E) -> R {
  let storage = Storage(byteCount: count * MemoryLayout<Float>.stride)
  defer { withExtendedLifetime(storage) {} }
  return try body(storage.base.assumingMemoryBound(to: Float.self))
}
