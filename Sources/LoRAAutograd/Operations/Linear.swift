import CLoRAKernels
package import LoRATensor

/// A low-rank term `scale (x aᵀ) bᵀ` of an adapted linear layer.
public struct LowRankTerm: Sendable {
  /// The down projection, `[rank, in]`.
  public var a: Variable
  /// The up projection, `[out, rank]`.
  public var b: Variable
  /// The factor of the product.
  public var scale: Float
  /// The input of the term if it is not the layer's input: that input after dropout.
  public var input: Variable?

  /// Creates a term. Traps if the ranks of `a` and `b` differ.
  public init(a: Variable, b: Variable, scale: Float, input: Variable? = nil) {
    require(
      a.shape.count == 2 && b.shape.count == 2 && a.shape[0] == b.shape[1],
      "low-rank factors of shapes \(a.shape) and \(b.shape)")
    self.a = a
    self.b = b
    self.scale = scale
    self.input = input
  }
}

extension Variable {
  /// `x weightᵀ + bias + Σ scale (x aᵀ) bᵀ` over the last dimension of `x`.
  ///
  /// - Parameters:
  ///   - weight: `[out, in]`, of any floating-point type. Only float32 can be trained.
  ///   - bias: `[out]`.
  ///   - lowRank: terms to add in place, without forming `weight + scale b a`.
  /// - Returns: `[..., out]` for a receiver of `[..., in]`.
  public func linear(weight: Variable, bias: Variable? = nil, lowRank: [LowRankTerm] = [])
    -> Variable
  {
    let w = weight.value
    require(
      w.shape.count == 2 && w.shape[1] == shape.innermost,
      "linear: input \(shape) does not fit the weight \(w.shape)")
    let x = value
    let precision = ProductPrecision.current
    let (rows, inner, out) = (shape.rowCount, w.shape[1], w.shape[0])
    for term in lowRank {
      require(
        term.input == nil || term.input?.shape == shape,
        "linear: input \(shape), and \(term.input.map { "\($0.shape)" } ?? "none") of a low-rank term"
      )
      require(
        term.b.shape[0] == out && term.a.shape[1] == inner,
        "linear: low-rank factors \(term.a.shape), \(term.b.shape) for \(inner) -> \(out)")
    }
    let biasValue = bias?.value.converted(to: .float32)
    require(
      biasValue == nil || biasValue?.shape == [out],
      "linear: bias \(biasValue.map { "\($0.shape)" } ?? "none") for \(out) outputs")
    // The down-projected inputs times the scale, [rows, rank] a term: small, and needed again for
    // the gradient of b. Those of inputs of their own are computed here, the others on the way.
    let reduced = lowRank.map { term in
      term.input.map { $0.value.rowProduct(byTransposeOf: term.a.value, alpha: term.scale) }
        ?? Tensor(shape: [rows, term.a.shape[0]]) { _ in }
    }
    let factors = lowRank.map { ($0.a.value, $0.b.value) }
    let y = Tensor(shape: shape.replacingInnermost(with: out)) { y in
      withExtendedLifetime((x, biasValue, reduced, factors)) {
        let terms = lowRank.indices.map { index in
          let (a, b) = factors[index]
          return ProductTerm.forward(
            a: lowRank[index].input == nil ? a.floats : nil, b: b.floats, rank: b.shape[1],
            inner: inner, scale: lowRank[index].scale,
            h: UnsafeMutablePointer(mutating: reduced[index].floats))
        }
        multiply(
          rows: rows, x.floats, byTransposeOf: w, precision: precision, terms: terms,
          bias: biasValue?.floats, into: y)
      }
    }
    return Self.recordLinear(y, x: self, weight, bias, lowRank, reduced, precision)
  }

  private static func recordLinear(
    _ y: Tensor, x: Variable, _ weight: Variable, _ bias: Variable?, _ terms: [LowRankTerm],
    _ reduced: [Tensor], _ precision: ProductPrecision
  ) -> Variable {
    // Inputs: x, weight, bias or weight again, then a, b and the input of each term.
    var inputs = [x, weight, bias ?? weight.detached()]
    for term in terms { inputs += [term.a, term.b, term.input ?? weight.detached()] }
    guard GradientMode.isRecording, inputs.contains(where: \.requiresGradient) else {
      return Variable(y)
    }
    // Keep x and the weight only for a gradient that needs them.
    let gradient = LinearGradient(
      weight: x.requiresGradient ? weight.saved : nil, weightShape: weight.shape,
      weightType: weight.value.dtype, x: weight.requiresGradient ? x.saved : nil,
      inputShape: x.shape, precision: precision,
      terms: zip(terms, reduced).map { term, h in
        LowRankGradient(
          a: term.a.value, b: term.b.value, scale: term.scale,
          x: term.a.requiresGradient ? (term.input ?? x).saved : nil,
          reduced: term.b.requiresGradient ? h : nil, hasOwnInput: term.input != nil)
      })
    return record(y, inputs: inputs) { dy, inputs in gradient.propagate(dy, to: inputs) }
  }
}

/// The backward step of a linear layer: `dx = dy w + Σ dh a` in one pass, `dw = dyᵀ x`,
/// `dbias = Σ dy`, and those of the terms.
private struct LinearGradient: Sendable {
  let weight: SavedValue?
  let weightShape: Shape
  let weightType: DType
  let x: SavedValue?
  let inputShape: Shape
  let precision: ProductPrecision
  let terms: [LowRankGradient]

  func propagate(_ dy: Tensor, to inputs: InputGradients) {
    let (rows, out, inner) = (dy.shape.rowCount, weightShape[0], weightShape[1])
    defer { withExtendedLifetime((self, dy)) {} }
    // dh, [rows, rank] a term that needs it: on the way of dx where dx is wanted.
    let isPassedOn = weight != nil && inputs.isNeeded(0)
    let reduced: [Tensor?] = terms.enumerated().map { index, term in
      let first = 3 + 3 * index
      if isPassedOn && !term.hasOwnInput {
        return Tensor(shape: [rows, term.a.shape[0]]) { _ in }
      }
      let isNeeded = inputs.isNeeded(first) || (term.hasOwnInput && inputs.isNeeded(first + 2))
      return isNeeded ? term.reducedGradient(dy) : nil
    }
    if let weight = isPassedOn ? weight?() : nil {
      inputs.accumulate(to: 0, shape: inputShape) { dx, beta in
        let added = zip(terms, reduced).compactMap { term, dh in
          term.hasOwnInput ? nil : dh.map { term.passedOn(into: $0) }
        }
        multiply(
          rows: rows, dy.floats, by: weight, precision: precision, terms: added, beta: beta,
          into: dx)
      }
    }
    if let x = inputs.isNeeded(1) ? x?() : nil {
      inputs.accumulate(to: 1, shape: weightShape) { dw, beta in
        multiply(
          transposeOf: dy.floats, by: x.floats, rows: rows, out: out, inner: inner,
          rounds: precision.rounds(weight: .float32), beta: beta, into: dw)
      }
      withExtendedLifetime(x) {}
    }
    if inputs.isNeeded(2) {
      inputs.accumulate(to: 2, shape: [out]) { db, beta in
        if beta == 0 { lk_fill(out, 0, db) }
        lk_sum_rows(rows, out, dy.floats, db)
      }
    }
    let rounds = precision.rounds(weight: weightType)
    for (index, term) in terms.enumerated() {
      term.propagate(
        dy, reduced[index], to: inputs, first: 3 + 3 * index, inputShape, rounds: rounds)
    }
    withExtendedLifetime(reduced) {}
  }
}

/// The backward step of one low-rank term: `dh = s dy b`, `db += dyᵀ (s h)`, `da += dhᵀ x`, and
/// `dx += dh a` where the term has an input of its own.
private struct LowRankGradient: Sendable {
  let a: Tensor
  let b: Tensor
  let scale: Float
  let x: SavedValue?
  /// The down-projected input times the scale.
  let reduced: Tensor?
  let hasOwnInput: Bool

  /// `dh a`, which is added to dx, dh being computed into `dh`.
  func passedOn(into dh: Tensor) -> ProductTerm {
    ProductTerm.backward(
      a: a.floats, b: b.floats, rank: a.shape[0], inner: a.shape[1], scale: scale,
      h: UnsafeMutablePointer(mutating: dh.floats))
  }

  /// dh, `[rows, rank]`.
  func reducedGradient(_ dy: Tensor) -> Tensor {
    let (rows, rank, out) = (dy.shape.rowCount, a.shape[0], b.shape[0])
    return Tensor(shape: [rows, rank]) { dh in
      gemm(
        m: rows, n: rank, k: out, alpha: scale, dy.floats, lda: out, b.floats, ldb: rank, dh,
        ldc: rank)
    }
  }

  func propagate(
    _ dy: Tensor, _ dh: Tensor?, to inputs: InputGradients, first: Int, _ inputShape: Shape,
    rounds: Bool
  ) {
    let (rows, rank, inner, out) = (dy.shape.rowCount, a.shape[0], a.shape[1], b.shape[0])
    if let reduced, inputs.isNeeded(first + 1) {
      inputs.accumulate(to: first + 1, shape: b.shape) { db, beta in
        // (s h)ᵀ dy is faster than dyᵀ (s h): few rows against many columns.
        withScratch(2 * rank * out) { transposed in
          multiply(
            transposeOf: reduced.floats, by: dy.floats, rows: rows, out: rank, inner: out,
            rounds: rounds, beta: 0, into: transposed)
          if beta == 0 { return lk_transpose(rank, out, transposed, db) }
          lk_transpose(rank, out, transposed, transposed + rank * out)
          lk_axpby(rank * out, 1, transposed + rank * out, beta, db)
        }
      }
    }
    guard let dh else { return }
    if let x = inputs.isNeeded(first) ? x?() : nil {
      inputs.accumulate(to: first, shape: a.shape) { da, beta in
        multiply(
          transposeOf: dh.floats, by: x.floats, rows: rows, out: rank, inner: inner, rounds: rounds,
          beta: beta, into: da)
      }
      withExtendedLifetime(x) {}
    }
    if hasOwnInput, inputs.isNeeded(first + 2) {
      inputs.accumulate(to: first + 2, shape: inputShape) { dx, beta in
        gemm(
          m: rows, n: inner, k: rank, dh.floats, lda: rank, a.floats, ldb: inner, beta: beta, dx,
          ldc: inner)
      }
    }
  }
}

extension Tensor {
  /// The rows of this tensor times the transpose of `w`, `[out, in]` float32, times `alpha`.
  package func rowProduct(byTransposeOf w: Tensor, alpha: Float = 1) -> Tensor {
    require(
      w.shape.count == 2 && w.shape[1] == shape.innermost, "rows \(shape) times \(w.shape)ᵀ")
    return withUnsafeElements(of: Float.self) { x in
      Tensor(shape: shape.replacingInnermost(with: w.shape[0])) { y in
        guard let x = x.baseAddress else { return }
        withExtendedLifetime(w) {
          if shape.rowCount <= mostFewRows {
            multiply(
              rows: shape.rowCount, x, byTransposeOf: w, precision: .float32, into: y)
            if alpha != 1 { lk_scale(shape.rowCount * w.shape[0], alpha, y, y) }
            return
          }
          gemm(
            transposeB: true, m: shape.rowCount, n: w.shape[0], k: w.shape[1], alpha: alpha, x,
            lda: w.shape[1], w.floats, ldb: w.shape[1], y, ldc: w.shape[0])
        }
      }
    }
  }
}
