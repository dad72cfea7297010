import CLoRAKernels

/// The weight of a product, `[out, in]`, however it is stored.
package enum WeightMatrix: Sendable {
  /// Element by element, of any floating-point type.
  case dense(Tensor)
  /// In blocks of few bits.
  case blocks(QuantizedMatrix)

  /// `[out, in]`.
  package var shape: Shape {
    switch self {
    case .dense(let weight): weight.shape
    case .blocks(let weight): weight.shape
    }
  }

  /// What products take the weight for: the numbers of blocks are float32.
  package var dtype: DType {
    switch self {
    case .dense(let weight): weight.dtype
    case .blocks: .float32
    }
  }

  /// The bytes of one row as stored.
  var rowBytes: Int {
    switch self {
    case .dense(let weight): weight.shape[1] * weight.dtype.stride
    case .blocks(let weight): weight.blocks.shape[1]
    }
  }
}

/// y = x wᵀ + Σ terms + bias + beta y; see the function of the same name for tensors. A quantized
/// weight gives the bits that its numbers as a float32 tensor would give.
package func multiply(
  rows: Int, _ x: UnsafePointer<Float>, byTransposeOf w: WeightMatrix,
  precision: ProductPrecision = .float32, terms: [ProductTerm] = [],
  bias: UnsafePointer<Float>? = nil, beta: Float = 0, into y: UnsafeMutablePointer<Float>
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
    let rounds = precision.rounds(weight: w.dtype)
    w.forEachTile { range, factor in
      let first = range.lowerBound
      BlockedProduct.compute(
        m: rows, n: range.count, k: inner, lk_factor(rows: x, stride: inner),
        factor(.rows), sides: first == 0 ? terms.compactMap(\.side) : [],
        tails: tails.map {
          lk_gemm_tail(a: $0.a, b: $0.b.advanced(byRows: first), depth: $0.depth)
        },
        rounds: rounds, beta: beta, y + first, ldc: out)
    }
  }
}

/// dx = dy w + Σ terms + beta dx; see the function of the same name for tensors.
package func multiply(
  rows: Int, _ dy: UnsafePointer<Float>, by w: WeightMatrix,
  precision: ProductPrecision = .float32, terms: [ProductTerm] = [], beta: Float = 0,
  into dx: UnsafeMutablePointer<Float>
) {
  let (out, inner) = (w.shape[0], w.shape[1])
  guard rows > 0, inner > 0 else { return }
  if case .dense(let weight) = w {
    return multiply(
      rows: rows, dy, by: weight, precision: precision, terms: terms, beta: beta, into: dx)
  }
  // The sums run over the tiles, so what is wanted of all of dy comes first.
  for side in terms.compactMap(\.side) {
    BlockedProduct.compute(
      m: rows, n: side.rank, k: out, lk_factor(rows: dy, stride: out), side.factor,
      alpha: side.scale, side.h, ldc: side.rank)
  }
  let rounds = precision.rounds(weight: w.dtype)
  w.forEachTile { range, factor in
    BlockedProduct.compute(
      m: rows, n: inner, k: range.count, lk_factor(rows: dy + range.lowerBound, stride: out),
      factor(.columns), tails: range.upperBound == out ? terms.map(\.tail) : [], rounds: rounds,
      beta: range.lowerBound == 0 ? beta : 1, dx, ldc: inner)
  }
}

extension WeightMatrix {
  /// Which way a product goes through a weight.
  fileprivate enum Direction { case rows, columns }

  /// Calls `body` with consecutive rows of the weight and a function that makes a factor of them: a
  /// dense weight as a whole, of a quantized one as many rows as have about a million elements, in
  /// memory that all of them share. The division follows from the shape alone.
  fileprivate func forEachTile(_ body: (Range<Int>, (Direction) -> lk_factor) -> Void) {
    let (out, inner) = (shape[0], shape[1])
    func factor(
      _ data: UnsafeRawPointer, _ element: lk_element, _ direction: Direction
    ) -> lk_factor {
      direction == .rows
        ? lk_factor(rows: data, element, stride: inner)
        : lk_factor(columns: data, element, stride: inner)
    }
    switch self {
    case .dense(let weight):
      weight.withUnsafeBytes { bytes in
        guard let data = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1) else { return }
        body(0..<out) { factor(data, weight.dtype.element, $0) }
      }
    case .blocks(let weight):
      let most = max(256, (1 << 20) / inner / 256 * 256)
      withScratch(min(out, most) * inner) { numbers in
        for first in stride(from: 0, to: out, by: most) {
          let range = first..<min(out, first + most)
          weight.dequantize(rows: range, into: numbers)
          body(range) { factor(numbers, LK_F32, $0) }
        }
      }
    }
  }
}
