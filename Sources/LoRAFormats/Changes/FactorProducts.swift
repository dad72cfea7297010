import LoRATensor

// Products of factors, and their norms. Nothing of the weight's size is formed for these: factors of a
// small file may multiply to more than memory holds.

/// The rows of a product with so many columns, a few at a time.
func rowTiles(of b: Tensor, columns: Int) -> [Range<Int>] {
  let step = max(1, (1 << 18) / max(1, columns))
  return stride(from: 0, to: b.shape[0], by: step).map { $0..<min($0 + step, b.shape[0]) }
}

/// What no element of B A is above, nor is a part of the sum that makes it: ‖B‖ ‖A‖.
func productBound(_ b: Tensor, _ a: Tensor) -> Double {
  b.sumOfSquares().squareRoot() * a.sumOfSquares().squareRoot()
}

/// The largest magnitude among the elements of B A as float32 has them; infinity beyond.
func greatestProduct(_ b: Tensor, _ a: Tensor) -> Double {
  rowTiles(of: b, columns: a.shape[1]).map { rows in
    b[rows: rows].matrixProduct(with: a).greatestMagnitude
  }.max() ?? 0
}

extension Tensor {
  /// The largest magnitude among the float32 elements; infinity if one is not finite.
  var greatestMagnitude: Double {
    withUnsafeElements(of: Float.self) { elements in
      Double(elements.reduce(0) { $1.isFinite ? max($0, $1.magnitude) : .infinity })
    }
  }

  /// Itself over a power of two that brings its norm near 1, and that power, where squares of its
  /// numbers might leave float32's range; else itself and 1. Exact.
  fileprivate var normalized: (tensor: Tensor, factor: Double) {
    let norm = sumOfSquares().squareRoot()
    guard norm > 0, !(0x1p-40...0x1p40).contains(norm) else { return (self, 1) }
    let exponent = min(126, max(-126, Int(norm.exponent)))
    let factor = Float(sign: .plus, exponent: exponent, significand: 1)
    return (scaled(by: 1 / factor), Double(factor))
  }
}

/// ‖B A‖: its square is the sum of the products of the elements of Bᵀ B and A Aᵀ.
func productNorm(_ b: Tensor, _ a: Tensor) -> Double {
  let ((b, left), (a, right)) = (b.normalized, a.normalized)
  return left * right * normalizedProductNorm(b, a)
}

private func normalizedProductNorm(_ b: Tensor, _ a: Tensor) -> Double {
  let rank = a.shape[0]
  // Never more memory than the factors have themselves, whatever rank a file names.
  if rank > 1, b.shape[0] * a.shape[1] < rank * rank {
    return b.matrixProduct(with: a).sumOfSquares().squareRoot()
  }
  let left = b.matrixProduct(with: b, transposeSelf: true).scalars(as: Float.self)
  let right = a.matrixProduct(with: a, transposeOther: true).scalars(as: Float.self)
  let square = zip(left, right).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
  return max(0, square).squareRoot()
}

/// A core [r, r, kernel] times A [r, in], as a matrix [r, in x kernel].
func core(_ core: Tensor, times a: Tensor) -> Tensor {
  let (r, inputs) = (core.shape[0], a.shape[1])
  let kernel = core.elementCount / (r * core.shape[1])
  return core.reshaped(to: [r, core.shape[1], kernel]).permuted([0, 2, 1])
    .reshaped(to: [r * kernel, core.shape[1]]).matrixProduct(with: a)
    .reshaped(to: [r, kernel, inputs]).permuted([0, 2, 1]).reshaped(to: [r, inputs * kernel])
}
