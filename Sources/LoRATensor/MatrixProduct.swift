import CLoRAKernels

// Products of float32 matrices with float32 or narrower weights, cut into tiles over independent
// outputs. The cut depends on the shapes alone, so the bits do not depend on the thread count.

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

/// y = x wᵀ + beta y: x [rows, in] float32, w [out, in] of any floating-point type, y [rows, out].
///
/// Narrow weights are widened tile by tile into scratch memory, exactly; no widened copy of the
/// weight ever exists. A few rows (decoding) read each weight once.
package func multiply(
  rows: Int, _ x: UnsafePointer<Float>, byTransposeOf w: Tensor, beta: Float = 0,
  into y: UnsafeMutablePointer<Float>
) {
  let out = w.shape[0]
  let inner = w.shape[1]
  guard rows > 0, out > 0 else { return }
  if rows <= mostFewRows, beta == 0 || beta == 1, inner > 0 {
    return multiplyFewRows(rows: rows, x, byTransposeOf: w, accumulate: beta == 1, into: y)
  }
  if w.dtype == .float32 {
    return withExtendedLifetime(w) {
      gemm(
        transposeB: true, m: rows, n: out, k: inner, x, lda: inner, w.floats, ldb: inner,
        beta: beta, y, ldc: out)
    }
  }
  withExtendedLifetime(w) {
    parallelTiles(out, tile: max(16, min(128, (out + 3) / 4))) { range in
      withScratch(range.count * inner) { panel in
        w.widen(rows: range, into: panel)
        MatrixEngine.sgemm(
          false, true, rows, range.count, inner, 1, x, inner, panel, inner, beta,
          y + range.lowerBound, out)
      }
    }
  }
}

/// dx = dy w + beta dx: dy [rows, out] float32, w [out, in] of any floating-point type, dx [rows, in].
package func multiply(
  rows: Int, _ dy: UnsafePointer<Float>, by w: Tensor, beta: Float = 0,
  into dx: UnsafeMutablePointer<Float>
) {
  let out = w.shape[0]
  let inner = w.shape[1]
  guard rows > 0, inner > 0 else { return }
  if out == 0 {
    // A sum of nothing: beta dx.
    return gemm(m: rows, n: inner, k: 0, dy, lda: 0, dy, ldb: inner, beta: beta, dx, ldc: inner)
  }
  if w.dtype == .float32 {
    return withExtendedLifetime(w) {
      gemm(
        m: rows, n: inner, k: out, dy, lda: out, w.floats, ldb: inner, beta: beta, dx, ldc: inner)
    }
  }
  // Widening needs whole rows to be fast, independent outputs need columns: widen a band of rows
  // in parallel, multiply it in column tiles, and go on to the next band.
  let band = min(out, 256)
  withScratch(band * inner) { panel in
    for start in stride(from: 0, to: out, by: band) {
      let depth = min(band, out - start)
      parallelTiles(depth, tile: 64) { range in
        w.widen(
          rows: start + range.lowerBound..<start + range.upperBound,
          into: panel + range.lowerBound * inner)
      }
      gemm(
        m: rows, n: inner, k: depth, dy + start, lda: out, panel, ldb: inner,
        beta: start == 0 ? beta : 1, dx, ldc: inner)
    }
  }
}

extension Tensor {
  /// Writes rows `range` of a matrix of any floating-point type as float32 to `target`.
  package func widen(rows range: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    let width = shape.replacingInnermost(with: 1).elementCount == 0 ? 0 : shape.innermost
    let n = range.count * width
    withUnsafeBytes { bytes in
      guard n > 0, let base = bytes.baseAddress else { return }
      let source = base + range.lowerBound * width * dtype.stride
      switch dtype {
      case .float32: target.update(from: source.floats, count: n)
      case .bfloat16: lk_f32_from_bf16(n, source.assumingMemoryBound(to: UInt16.self), target)
      case .float16: lk_f32_from_f16(n, source.assumingMemoryBound(to: UInt16.self), target)
      default: preconditionFailure("a weight of type \(dtype) can't be widened")
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
