package import LoRATensor

// Norms of what adapters add to weights. Nothing of the weight's size is formed for them: factors of
// a small file may multiply to more than memory holds.

extension LayerChange {
  /// The Frobenius norm of the change s B A, s (B₁A₁) ⊙ (B₂A₂) or s C₁ ⊗ C₂, without what magnitudes
  /// do; nil for IA3, whose change only the base can tell.
  package var norm: Double? {
    switch self {
    case .lowRank(let change):
      let (b, a) = change.matrices
      return abs(change.scale) * productNorm(b, a)
    case .hadamard(let change):
      let ((b1, a1), (b2, a2)) = change.matrices
      var square = 0.0
      for rows in rowTiles(of: b1, columns: a1.shape[1]) {
        square +=
          (b1[rows: rows].matrixProduct(with: a1) * b2[rows: rows].matrixProduct(with: a2))
          .sumOfSquares()
      }
      return abs(change.scale) * square.squareRoot()
    case .kronecker(let change):
      return abs(change.scale) * change.first.norm * change.second.norm
    case .scaling:
      return nil
    }
  }

  /// Whether numbers of the change are beyond float32, although those of its factors are not.
  ///
  /// Costs a pass over the factors, and only where these are so large that it may be, their product.
  package var isBeyondFloat32: Bool {
    let scale = abs(scale)
    func isBeyond(_ number: Double) -> Bool {
      let greatest = Double(Float.greatestFiniteMagnitude)
      return !(number <= greatest && number * scale <= greatest)
    }
    switch self {
    case .lowRank(let change):
      let (b, a) = change.matrices
      return isBeyond(productBound(b, a)) && isBeyond(greatestProduct(b, a))
    case .hadamard(let change):
      let ((b1, a1), (b2, a2)) = change.matrices
      let (first, second) = (productBound(b1, a1), productBound(b2, a2))
      guard [first, second, first * second].contains(where: isBeyond) else { return false }
      return isBeyond(
        rowTiles(of: b1, columns: a1.shape[1]).map { rows in
          (b1[rows: rows].matrixProduct(with: a1) * b2[rows: rows].matrixProduct(with: a2))
            .greatestMagnitude
        }.max() ?? 0)
    case .kronecker(let change):
      return isBeyond(change.first.bound * change.second.bound)
        && isBeyond(change.first.greatest * change.second.greatest)
    case .scaling:
      return false
    }
  }

  /// The change of the weight as a matrix [out, in x kernel], without what magnitudes do; nil for
  /// IA3. For factors that are known to fit a weight in memory.
  package func weightChange() -> Tensor? {
    switch self {
    case .lowRank(let change):
      let (b, a) = change.matrices
      return b.matrixProduct(with: a).scaled(by: Float(change.scale))
    case .hadamard(let change):
      let ((b1, a1), (b2, a2)) = change.matrices
      return (b1.matrixProduct(with: a1) * b2.matrixProduct(with: a2))
        .scaled(by: Float(change.scale))
    case .kronecker(let change):
      let (c, d) = (change.first.matrix, change.second.matrix)
      let columns = d.shape[1]
      let kernel = change.second.kernel
      let inner = columns / kernel
      // Elements ordered by C₁'s row, C₂'s row, C₁'s column, C₂'s column and the kernel's place.
      let product = c.reshaped(to: [c.elementCount, 1])
        .matrixProduct(with: d.reshaped(to: [1, d.elementCount]))
        .reshaped(to: [c.shape[0], c.shape[1], d.shape[0], inner * kernel])
        .permuted([0, 2, 1, 3])
      return product.reshaped(to: [c.shape[0] * d.shape[0], c.shape[1] * columns])
        .scaled(by: Float(change.scale))
    case .scaling:
      return nil
    }
  }
}

/// The rows of a product with so many columns, a few at a time.
private func rowTiles(of b: Tensor, columns: Int) -> [Range<Int>] {
  let step = max(1, (1 << 18) / max(1, columns))
  return stride(from: 0, to: b.shape[0], by: step).map { $0..<min($0 + step, b.shape[0]) }
}

/// What no element of B A is above, nor is a part of the sum that makes it: ‖B‖ ‖A‖.
private func productBound(_ b: Tensor, _ a: Tensor) -> Double {
  b.sumOfSquares().squareRoot() * a.sumOfSquares().squareRoot()
}

/// The largest magnitude among the elements of B A as float32 has them; infinity beyond.
private func greatestProduct(_ b: Tensor, _ a: Tensor) -> Double {
  rowTiles(of: b, columns: a.shape[1]).map { rows in
    b[rows: rows].matrixProduct(with: a).greatestMagnitude
  }.max() ?? 0
}

extension Tensor {
  /// The largest magnitude among the float32 elements; infinity if one is not finite.
  fileprivate var greatestMagnitude: Double {
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
private func productNorm(_ b: Tensor, _ a: Tensor) -> Double {
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
private func core(_ core: Tensor, times a: Tensor) -> Tensor {
  let (r, inputs) = (core.shape[0], a.shape[1])
  let kernel = core.elementCount / (r * core.shape[1])
  return core.reshaped(to: [r, core.shape[1], kernel]).permuted([0, 2, 1])
    .reshaped(to: [r * kernel, core.shape[1]]).matrixProduct(with: a)
    .reshaped(to: [r, kernel, inputs]).permuted([0, 2, 1]).reshaped(to: [r, inputs * kernel])
}

extension LowRankChange {
  /// B [out, r] and A [r, in x kernel], a core multiplied in.
  fileprivate var matrices: (b: Tensor, a: Tensor) {
    let b = b.reshaped(to: [outputSize, rank])
    let a = a.reshaped(to: [rank, a.elementCount / rank])
    return (b, middle.map { core($0, times: a) } ?? a)
  }
}

extension HadamardChange {
  fileprivate var matrices: ((Tensor, Tensor), (Tensor, Tensor)) {
    func pair(_ b: Tensor, _ a: Tensor, _ t: Tensor?) -> (Tensor, Tensor) {
      t.map { (b.transposed(), core($0, times: a)) } ?? (b, a)
    }
    return (pair(b1, a1, t1), pair(b2, a2, t2))
  }
}

extension KroneckerChange.Factor {
  fileprivate var norm: Double {
    switch self {
    case .whole(let c): c.sumOfSquares().squareRoot()
    case .product(let a, let b): productNorm(a, b)
    case .tucker(let a, let b, let middle): productNorm(a.transposed(), core(middle, times: b))
    }
  }

  /// What no element is above.
  fileprivate var bound: Double {
    switch self {
    case .whole(let c): c.sumOfSquares().squareRoot()
    case .product(let a, let b): productBound(a, b)
    case .tucker(let a, let b, let middle): productBound(a, core(middle, times: b))
    }
  }

  /// The largest magnitude of an element.
  fileprivate var greatest: Double {
    switch self {
    case .whole(let c): c.greatestMagnitude
    case .product(let a, let b): greatestProduct(a, b)
    case .tucker(let a, let b, let middle):
      greatestProduct(a.transposed(), core(middle, times: b))
    }
  }

  /// As a matrix, the kernel's places last.
  fileprivate var matrix: Tensor {
    switch self {
    case .whole(let c): c.reshaped(to: [c.shape[0], c.elementCount / c.shape[0]])
    case .product(let a, let b): a.matrixProduct(with: b)
    case .tucker(let a, let b, let middle):
      a.transposed().matrixProduct(with: core(middle, times: b))
    }
  }

  /// The places of a kernel, as far as the shapes say. Where they do not, columns hold inputs and
  /// places together, which orders the elements the same.
  fileprivate var kernel: Int {
    switch self {
    case .whole(let c): c.shape.dimensions.dropFirst(2).reduce(1, *)
    case .product: 1
    case .tucker(_, _, let core): core.shape.dimensions.dropFirst(2).reduce(1, *)
    }
  }
}
