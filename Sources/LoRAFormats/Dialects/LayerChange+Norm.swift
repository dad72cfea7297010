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
      // Rows of a few outputs at a time.
      let step = max(1, (1 << 18) / max(1, a1.shape[1]))
      var square = 0.0
      for start in stride(from: 0, to: b1.shape[0], by: step) {
        let rows = start..<min(start + step, b1.shape[0])
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

/// ‖B A‖: its square is the sum of the products of the elements of Bᵀ B and A Aᵀ.
private func productNorm(_ b: Tensor, _ a: Tensor) -> Double {
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
