import CLoRAKernels

// Decoding: the products of a few rows, which are bound by reading the weights.

/// The most rows of x that are multiplied row by row with the weights instead of in blocks.
package let mostFewRows = 4

/// y = x wᵀ (+ y) for a few rows of x: reads every weight once, at memory speed, without widening it
/// into memory.
func multiplyFewRows(
  rows: Int, _ x: UnsafePointer<Float>, byTransposeOf w: Tensor, accumulate: Bool,
  into y: UnsafeMutablePointer<Float>
) {
  let out = w.shape[0]
  let inner = w.shape[1]
  // A tile of at least 64 KiB of weights pays for handing it to another thread.
  let tile = max(16, (32 << 10) / max(inner, 1))
  w.withUnsafeBytes { bytes in
    guard let base = bytes.baseAddress else { return }
    parallelTiles(out, tile: tile) { range in
      let start = base + range.lowerBound * inner * w.dtype.stride
      let target = y + range.lowerBound
      switch w.dtype {
      case .float32:
        lk_gemv_f32(rows, range.count, inner, x, start.floats, target, out, accumulate)
      case .bfloat16:
        lk_gemv_bf16(
          rows, range.count, inner, x, start.assumingMemoryBound(to: UInt16.self), target, out,
          accumulate)
      case .float16:
        lk_gemv_f16(
          rows, range.count, inner, x, start.assumingMemoryBound(to: UInt16.self), target, out,
          accumulate)
      default: preconditionFailure("a weight of type \(w.dtype) can't be multiplied")
      }
    }
  }
}
