public import LoRAFiles
public import LoRATensor

/// W + s B A, with what its relatives add: LoRA, rsLoRA, DoRA, LoCon. r is the rank, s the scale.
public struct LowRankChange: LayerChange {
  /// A, [r, in], float32; of a convolution [r, in, height, width]; of an embedding [r, vocabulary].
  public var a: Tensor
  /// B, [out, r], float32; of a convolution [out, r, 1, 1]; of an embedding [size, r].
  public var b: Tensor
  /// The core of a convolution in Tucker form, [r, r, height, width]; A is then [r, in, 1, 1].
  public var middle: Tensor?
  /// The alpha that the scale comes from.
  public var alpha: Double
  /// s, what the product of the factors is multiplied by.
  public var scale: Double
  /// A bias of B, [out]: s times it is added to the outputs (`lora_bias`).
  public var bias: Tensor?
  /// DoRA's magnitudes: what the norms of W + s B A are replaced by, one an output, [out]; or one an
  /// input, [1, in], as some LyCORIS files have them.
  public var magnitude: Tensor?
  /// Whether the layer is an embedding, whose table is the transpose [vocabulary, size] of W.
  public var isEmbedding: Bool

  /// Creates a change. Traps if the factors do not fit each other.
  public init(
    a: Tensor, b: Tensor, middle: Tensor? = nil, alpha: Double, scale: Double,
    bias: Tensor? = nil, magnitude: Tensor? = nil, isEmbedding: Bool = false
  ) {
    require(
      a.shape.count >= 2 && a.shape.count == b.shape.count && a.shape[0] == b.shape[1],
      "factors \(a.shape) and \(b.shape): expected [rank, in, ...] and [out, rank, ...]")
    self.a = a
    self.b = b
    self.middle = middle
    self.alpha = alpha
    self.scale = scale
    self.bias = bias
    self.magnitude = magnitude
    self.isEmbedding = isEmbedding
  }

  /// The rank.
  public var rank: Int { a.shape[0] }
  /// The extent of the layer's inputs.
  package var inputSize: Int { a.shape[1] }
  /// The extent of the layer's outputs.
  package var outputSize: Int { b.shape[0] }

  /// Whether nothing but A, B and the scale belongs to it.
  package var isPlain: Bool {
    middle == nil && bias == nil && magnitude == nil && !isEmbedding && a.shape.count == 2
  }

  // MARK: As any change

  /// "DoRA" with magnitudes, else "LoRA".
  public var methodName: String { magnitude == nil ? "LoRA" : "DoRA" }
  /// The factors and what belongs to them.
  public var tensors: [(name: String, tensor: Tensor)] {
    [("A", a), ("B", b)] + named("the middle factor", middle) + named("the bias", bias)
      + named("the magnitude", magnitude)
  }
  /// Whether a layer computes the same without it; false where only the base could tell.
  public var hasNoEffect: Bool {
    magnitude == nil && (bias?.isZero ?? true)
      && (isNothing(scale) || b.isZero || a.isZero || (middle?.isZero ?? false))
  }
  /// The rank and the alpha.
  package var rankAndAlpha: (rank: Int?, alpha: Double)? { (rank, alpha) }
  /// Outputs, inputs, and the kernel of a convolution.
  package var extents: String {
    let core = middle ?? a
    return ([outputSize, inputSize] + core.shape.dimensions.dropFirst(2))
      .map { "\($0)" }.joined(separator: "x")
  }
}

// MARK: - Numbers

extension LowRankChange: MeasuredChange {
  /// B [out, r] and A [r, in x kernel], a core multiplied in.
  private var matrices: (b: Tensor, a: Tensor) {
    let b = b.reshaped(to: [outputSize, rank])
    let a = a.reshaped(to: [rank, a.elementCount / rank])
    return (b, middle.map { core($0, times: a) } ?? a)
  }

  /// The norm of s B A.
  package var norm: Double? {
    let (b, a) = matrices
    return abs(scale) * productNorm(b, a)
  }

  /// Costs a pass over the factors, and only where these are so large that it may be, their product.
  package var isBeyondFloat32: Bool {
    let (b, a) = matrices
    return LoRAFormats.isBeyondFloat32(productBound(b, a), scale: scale)
      && LoRAFormats.isBeyondFloat32(greatestProduct(b, a), scale: scale)
  }

  /// s B A.
  public func weightChange() -> Tensor? {
    let (b, a) = matrices
    return b.matrixProduct(with: a).scaled(by: Float(scale))
  }

  /// DoRA's: the rows of W + s B A at their new norms, less W.
  public func difference(from weight: Tensor) -> Tensor? {
    guard let magnitude, weight.shape.count == 2, magnitude.shape == [outputSize],
      let delta = weightChange(), delta.shape == weight.shape
    else { return nil }
    let sum = weight + delta
    let norms = (sum * sum).scalars(as: Float.self)
    let columns = sum.shape[1]
    let ratios = magnitude.scalars(as: Float.self).enumerated().map { row, m -> Float in
      let square = norms[row * columns..<(row + 1) * columns].reduce(0.0) { $0 + Double($1) }
      return square > 0 ? Float(Double(m) / square.squareRoot()) : 0
    }
    return sum * Tensor(ratios, shape: [ratios.count, 1]) - weight
  }
}

// MARK: - Comparing

extension LowRankChange {
  /// Whether the factors are those of such a weight, and lie the right way round.
  public func check(fits weight: Shape, layer: String, file: String) throws(FormatError) {
    let dimensions = (middle ?? a).shape.count
    guard dimensions == weight.count else {
      throw .otherKind(layer, dimensions, weight, file)
    }
    guard dimensions == 2 else { return }
    let found: Shape = isEmbedding ? [inputSize, outputSize] : [outputSize, inputSize]
    // The same pair read the wrong way round: [in, r] and [r, out].
    let turned: Shape = [b.shape[1], a.shape[0]]
    if found != weight, turned == weight || Shape([turned[1], turned[0]]) == weight {
      throw FormatError(
        .shapeMismatch, file: file, subject: "layer '\(layer)'",
        problem: "its factors \(a.shape) and \(b.shape) lie transposed: the base's weight is "
          + "\(weight)",
        remedy: "expected A [rank, inputs] and B [outputs, rank]; MLX has them the other way, open "
          + "its folder instead")
    }
    try FormatError.check(found, fits: weight, layer: layer, file: file)
  }

  /// That of both results for a random input, in float64.
  package func difference(to other: any LayerChange) -> Double? {
    guard let other = other as? LowRankChange,
      a.shape.dimensions.dropFirst() == other.a.shape.dimensions.dropFirst(),
      outputSize == other.outputSize, middle == other.middle, magnitude == other.magnitude,
      isEmbedding == other.isEmbedding, bias?.shape == other.bias?.shape
    else { return nil }
    var random = SeededRandom(seed: 1, path: "agreement")
    let x = (0..<a.elementCount / rank).map { _ in random.nextUniform() - 0.5 }
    let (y, z) = (applied(to: x), other.applied(to: x))
    let norm = y.reduce(0) { $0 + $1 * $1 }.squareRoot()
    let error = zip(y, z).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
    return norm == 0 ? (error == 0 ? 0 : nil) : error / norm
  }

  /// s B A x + s bias in float64; of a convolution for one place of the image.
  private func applied(to x: [Double]) -> [Double] {
    func times(_ matrix: Tensor, _ x: [Double]) -> [Double] {
      matrix.withUnsafeElements(of: Float.self) { m in
        let columns = x.count
        return (0..<m.count / max(1, columns)).map { row in
          x.indices.reduce(0.0) { $0 + Double(m[row * columns + $1]) * x[$1] }
        }
      }
    }
    let y = times(b, times(a, x))
    let bias = bias?.scalars(as: Float.self) ?? []
    return y.indices.map { scale * (y[$0] + (bias.isEmpty ? 0 : Double(bias[$0]))) }
  }
}
