package import LoRAFiles
package import LoRATensor

/// W + s C₁ ⊗ C₂, the Kronecker product of two matrices, either of which may be a product itself.
///
/// Source: Yeh et al., *Navigating text-to-image customization* (LyCORIS), 2024.
package struct KroneckerChange: MeasuredChange {
  /// One of the two matrices.
  package enum Factor: Sendable {
    /// As it is, [m, n].
    case whole(Tensor)
    /// A product of [m, r] and [r, n].
    case product(Tensor, Tensor)
    /// A product of [r, m], [r, n] and a core [r, r, height, width].
    case tucker(Tensor, Tensor, core: Tensor)

    var isZero: Bool {
      switch self {
      case .whole(let c): c.isZero
      case .product(let a, let b): a.isZero || b.isZero
      case .tucker(let a, let b, let core): a.isZero || b.isZero || core.isZero
      }
    }

    func tensors(_ name: String) -> [(name: String, tensor: Tensor)] {
      switch self {
      case .whole(let c): [(name, c)]
      case .product(let a, let b): [("\(name)_a", a), ("\(name)_b", b)]
      case .tucker(let a, let b, let core):
        [("\(name)_a", a), ("\(name)_b", b), ("\(name.replacing("w", with: "t"))", core)]
      }
    }
  }

  /// C₁ (`lokr_w1` or `lokr_w1_a`, `lokr_w1_b`).
  package var first: Factor
  /// C₂ (`lokr_w2`, or `lokr_w2_a`, `lokr_w2_b` and perhaps `lokr_t2`).
  package var second: Factor
  /// The rank that the file or its configuration names; nil where both factors are whole.
  package var rank: Int?
  /// The alpha that the scale comes from.
  package var alpha: Double
  /// s; 1 in LyCORIS where both factors are whole.
  package var scale: Double
  /// `dora_scale`: see ``LowRankChange/magnitude``.
  package var magnitude: Tensor?

  /// Creates a change.
  package init(
    first: Factor, second: Factor, rank: Int?, alpha: Double, scale: Double,
    magnitude: Tensor? = nil
  ) {
    self.first = first
    self.second = second
    self.rank = rank
    self.alpha = alpha
    self.scale = scale
    self.magnitude = magnitude
  }

  // MARK: As any change

  /// "LoKr".
  package var methodName: String { "LoKr" }
  /// The factors and the magnitudes.
  package var tensors: [(name: String, tensor: Tensor)] {
    first.tensors("w1") + second.tensors("w2") + named("dora_scale", magnitude)
  }
  /// Whether a factor is zero.
  package var hasNoEffect: Bool {
    magnitude == nil && (isNothing(scale) || first.isZero || second.isZero)
  }
  /// The rank and the alpha.
  package var rankAndAlpha: (rank: Int?, alpha: Double)? { (rank, alpha) }
  /// Those of both matrices.
  package var extents: String {
    [first, second].map { factor in
      switch factor {
      case .whole(let c): c.shape.dimensions.map { "\($0)" }.joined(separator: "x")
      case .product(let a, let b): "\(a.shape[0])x\(b.shape[1])"
      case .tucker(let a, let b, _): "\(a.shape[1])x\(b.shape[1])"
      }
    }.joined(separator: " \u{2297} ")
  }
}

// MARK: - Numbers

extension KroneckerChange {
  /// The norm of s C₁ ⊗ C₂.
  package var norm: Double? { abs(scale) * first.norm * second.norm }

  /// Costs a pass over the factors, and only where these are so large that it may be, their product.
  package var isBeyondFloat32: Bool {
    LoRAFormats.isBeyondFloat32(first.bound * second.bound, scale: scale)
      && LoRAFormats.isBeyondFloat32(first.greatest * second.greatest, scale: scale)
  }

  /// s C₁ ⊗ C₂.
  package func weightChange() -> Tensor? {
    let (c, d) = (first.matrix, second.matrix)
    let columns = d.shape[1]
    let kernel = second.kernel
    let inner = columns / kernel
    // Elements ordered by C₁'s row, C₂'s row, C₁'s column, C₂'s column and the kernel's place.
    let product = c.reshaped(to: [c.elementCount, 1])
      .matrixProduct(with: d.reshaped(to: [1, d.elementCount]))
      .reshaped(to: [c.shape[0], c.shape[1], d.shape[0], inner * kernel])
      .permuted([0, 2, 1, 3])
    return product.reshaped(to: [c.shape[0] * d.shape[0], c.shape[1] * columns])
      .scaled(by: Float(scale))
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

  /// The extents where it is a matrix.
  fileprivate var matrixShape: Shape? {
    switch self {
    case .whole(let c): c.shape.count == 2 ? c.shape : nil
    case .product(let a, let b): [a.shape[0], b.shape[1]]
    case .tucker: nil
    }
  }
}

// MARK: - Comparing

extension KroneckerChange {
  /// The extents of C₁ ⊗ C₂ where both are matrices; nil of convolutions.
  private var shape: Shape? {
    guard let c = first.matrixShape, let d = second.matrixShape else { return nil }
    let (rows, rowOverflow) = c[0].multipliedReportingOverflow(by: d[0])
    let (columns, columnOverflow) = c[1].multipliedReportingOverflow(by: d[1])
    return rowOverflow || columnOverflow ? nil : Shape(checking: [rows, columns])
  }

  /// Whether the factors are those of such a weight.
  package func check(fits weight: Shape, layer: String, file: String) throws(FormatError) {
    guard weight.count == 2 else { return }
    let kernel = second.tensors("").map(\.tensor.shape.count).max() ?? 2
    guard kernel == 2 else { throw .otherKind(layer, kernel, weight, file) }
    guard let shape else { return }
    try FormatError.check(shape, fits: weight, layer: layer, file: file)
  }

  /// The relative difference where a scale may have moved into the first part of the second factor;
  /// nil if anything else differs.
  package func difference(to other: any LayerChange) -> Double? {
    guard let other = other as? KroneckerChange else { return nil }
    func same(_ a: some Sequence<Tensor>, _ b: some Sequence<Tensor>) -> Bool {
      a.elementsEqual(b) { $0 == $1 }
    }
    let (mine, others) = (
      second.tensors("w").map(\.tensor), other.second.tensors("w").map(\.tensor)
    )
    guard magnitude == other.magnitude, mine.count == others.count,
      same(first.tensors("w").map(\.tensor), other.first.tensors("w").map(\.tensor)),
      same(mine.dropFirst(), others.dropFirst()), let left = mine.first, let right = others.first,
      left.shape == right.shape
    else { return nil }
    var (error, norm) = (0.0, 0.0)
    for (x, y) in zip(left.scalars(as: Float.self), right.scalars(as: Float.self)) {
      let (expected, found) = (Double(x) * scale, Double(y) * other.scale)
      error += (expected - found) * (expected - found)
      norm += expected * expected
    }
    return norm == 0 ? (error == 0 ? 0 : nil) : (error / norm).squareRoot()
  }
}
