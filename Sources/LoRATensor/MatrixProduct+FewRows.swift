import CLoRAKernels

// Decoding: the products of a few rows, which are bound by reading the weights.

/// The most rows of x that are multiplied row by row with the weights instead of in blocks.
package let mostFewRows = 4

/// y = x wᵀ (+ y) for a few rows x.
package struct FewRowsProduct {
  /// x, `[rows, in]`.
  let x: UnsafePointer<Float>
  /// w, `[out, in]`, of any floating-point type.
  let weight: Tensor
  /// y, `[rows, out]`.
  let y: UnsafeMutablePointer<Float>
  /// Whether the product is added to what y holds.
  let accumulates: Bool

  package init(
    _ x: UnsafePointer<Float>, byTransposeOf weight: Tensor, accumulates: Bool = false,
    into y: UnsafeMutablePointer<Float>
  ) {
    self.x = x
    self.weight = weight
    self.y = y
    self.accumulates = accumulates
  }

  private var out: Int { weight.shape[0] }
  private var inner: Int { weight.shape[1] }

  /// How many rows of the weight a thread takes at a time. A result's bits do not depend on it, so
  /// it may follow the number of threads: long streams read fastest, short ones end together.
  fileprivate func tile(threads: Int) -> Int {
    let rowBytes = max(1, weight.dtype.byteCount(ofElements: inner))
    let fair = rowBytes * out / (8 * threads)
    return max(1, min(max(fair, 32 << 10), 1 << 20) / rowBytes)
  }

  fileprivate func tileCount(threads: Int) -> Int {
    let tile = tile(threads: threads)
    return (out + tile - 1) / tile
  }

  /// Computes the results of one tile of the weight's rows.
  fileprivate func compute(tile index: Int, rows: Int, threads: Int) {
    let tile = tile(threads: threads)
    let (first, inner) = (index * tile, inner)
    let count = min(tile, out - first)
    weight.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      let start = base + first * weight.dtype.byteCount(ofElements: inner)
      let halves = start.assumingMemoryBound(to: UInt16.self)
      switch weight.dtype {
      case .float32:
        lk_gemv_f32(rows, count, inner, x, start.floats, y + first, out, accumulates)
      case .bfloat16: lk_gemv_bf16(rows, count, inner, x, halves, y + first, out, accumulates)
      case .float16: lk_gemv_f16(rows, count, inner, x, halves, y + first, out, accumulates)
      default:
        lk_gemv_blocks(
          weight.dtype.blockFormat, rows, count, inner, x,
          start.assumingMemoryBound(to: UInt8.self),
          y + first, out, accumulates)
      }
    }
  }
}

/// Computes all of `products`, of `rows` rows each, in one parallel region: reads every weight once,
/// at memory speed, without widening it into memory.
package func multiplyFewRows(rows: Int, _ products: [FewRowsProduct]) {
  let threads = Threads.count
  let counts = products.map { $0.tileCount(threads: threads) }
  parallelFor(counts.reduce(0, +)) { index in
    var tile = index
    var product = 0
    while tile >= counts[product] {
      tile -= counts[product]
      product += 1
    }
    products[product].compute(tile: tile, rows: rows, threads: threads)
  }
}
