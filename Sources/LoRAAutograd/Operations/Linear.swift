import CLoRAKernels
package import LoRATensor

/// A low-rank term `scale (x aᵀ) bᵀ` of an adapted linear layer.
public struct LowRankTerm: Sendable {
  /// The down projection, `[rank, in]`.
  public var a: Variable
  /// The up projection, `[out, rank]`.
  public var b: Variable
  /// What the product is multiplied by.
  public var scale: Float
  /// What the term is applied to, if not the layer's own input: that input after dropout.
  public var input: Variable?

  /// Creates a term. Traps if the ranks of `a` and `b` differ.
  public init(a: Variable, b: Variable, scale: Float, input: Variable? = nil) {
    precondition(
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
  ///   - weight: `[out, in]`, of any floating-point type. Only a float32 one can be trained.
  ///   - bias: `[out]`.
  ///   - lowRank: terms that are added in place, without forming `weight + scale b a`.
  /// - Returns: `[..., out]` for a receiver of `[..., in]`.
  public func linear(weight: Variable, bias: Variable? = nil, lowRank: [LowRankTerm] = [])
    -> Variable
  {
    let w = weight.value
    precondition(
      w.shape.count == 2 && w.shape[1] == shape.innermost,
      "linear: input \(shape) does not fit the weight \(w.shape)")
    let x = value
    let (rows, inner, out) = (shape.rowCount, w.shape[1], w.shape[0])
    // The down-projected inputs, [rows, rank] a term: small, and needed again for the gradient of b.
    let reduced = lowRank.map { term in
      precondition(
        term.input == nil || term.input?.shape == shape,
        "linear: input \(shape), and \(String(describing: term.input?.shape)) of a low-rank term")
      return (term.input?.value ?? x).rowProduct(byTransposeOf: term.a.value)
    }
    let y = Tensor(shape: shape.replacingInnermost(with: out)) { y in
      x.withUnsafeElements(of: Float.self) { x in
        guard let x = x.baseAddress else { return }
        multiply(rows: rows, x, byTransposeOf: w, into: y)
      }
      if let bias = bias?.value.converted(to: .float32) {
        precondition(bias.shape == [out], "linear: bias \(bias.shape) for \(out) outputs")
        withExtendedLifetime(bias) { lk_add_row(rows, out, bias.floats, y) }
      }
      for (term, h) in zip(lowRank, reduced) {
        precondition(
          term.b.shape[0] == out && term.a.shape[1] == inner,
          "linear: low-rank factors \(term.a.shape), \(term.b.shape) for \(inner) -> \(out)")
        withExtendedLifetime((h, term)) {
          gemm(
            transposeB: true, m: rows, n: out, k: term.a.shape[0], alpha: term.scale, h.floats,
            lda: term.a.shape[0], term.b.value.floats, ldb: term.a.shape[0], beta: 1, y, ldc: out)
        }
      }
    }
    return Self.recordLinear(y, x: self, weight, bias, lowRank, reduced)
  }

  private static func recordLinear(
    _ y: Tensor, x: Variable, _ weight: Variable, _ bias: Variable?, _ terms: [LowRankTerm],
    _ reduced: [Tensor]
  ) -> Variable {
    // Inputs: x, weight, bias or weight again, then a, b and the input of each term.
    var inputs = [x, weight, bias ?? weight.detached()]
    for term in terms { inputs += [term.a, term.b, term.input ?? x] }
    guard GradientMode.isRecording, inputs.contains(where: \.requiresGradient) else {
      return Variable(y)
    }
    // Keep x only for a gradient that needs it.
    let w = x.requiresGradient ? weight.value : nil
    let kept = weight.requiresGradient ? x.saved : nil
    let weightShape = weight.shape
    let inputShape = x.shape
    let factors = zip(terms, reduced).map { term, h in
      LowRankGradient(
        a: term.a.value, b: term.b.value, scale: term.scale,
        x: term.a.requiresGradient ? (term.input ?? x).saved : nil,
        reduced: term.b.requiresGradient ? h : nil, inputShape: inputShape)
    }
    return record(y, inputs: inputs) { dy, inputs in
      let (rows, out, inner) = (dy.shape.rowCount, weightShape[0], weightShape[1])
      withExtendedLifetime(dy) {
        if let w, inputs.isNeeded(0) {
          inputs.accumulate(to: 0, shape: inputShape) { dx, beta in
            multiply(rows: rows, dy.floats, by: w, beta: beta, into: dx)
          }
        }
        if let kept = inputs.isNeeded(1) ? kept?() : nil {
          inputs.accumulate(to: 1, shape: weightShape) { dw, beta in
            gemm(
              transposeA: true, m: out, n: inner, k: rows, dy.floats, lda: out, kept.floats,
              ldb: inner, beta: beta, dw, ldc: inner)
          }
          withExtendedLifetime(kept) {}
        }
        if inputs.isNeeded(2) {
          inputs.accumulate(to: 2, shape: [out]) { db, beta in
            if beta == 0 { lk_fill(out, 0, db) }
            lk_sum_rows(rows, out, dy.floats, db)
          }
        }
        for (index, factor) in factors.enumerated() {
          factor.propagate(dy, rows: rows, inputs: inputs, first: 3 + 3 * index)
        }
      }
      withExtendedLifetime(w) {}
    }
  }
}

/// The backward step of one low-rank term: `dh = s dy b`, `dx += dh a`, `db += s dyᵀ h`,
/// `da += dhᵀ x`.
private struct LowRankGradient: Sendable {
  let a: Tensor
  let b: Tensor
  let scale: Float
  let x: SavedValue?
  let reduced: Tensor?
  let inputShape: Shape

  func propagate(_ dy: Tensor, rows: Int, inputs: InputGradients, first: Int) {
    let (rank, inner, out) = (a.shape[0], a.shape[1], b.shape[0])
    defer { withExtendedLifetime((self, dy)) {} }
    if let reduced, inputs.isNeeded(first + 1) {
      inputs.accumulate(to: first + 1, shape: b.shape) { db, beta in
        gemm(
          transposeA: true, m: out, n: rank, k: rows, alpha: scale, dy.floats, lda: out,
          reduced.floats, ldb: rank, beta: beta, db, ldc: rank)
      }
    }
    guard inputs.isNeeded(first) || inputs.isNeeded(first + 2) else { return }
    withScratch(rows * rank) { dh in
      gemm(
        m: rows, n: rank, k: out, alpha: scale, dy.floats, lda: out, b.floats, ldb: rank, dh,
        ldc: rank)
      if let x = inputs.isNeeded(first) ? x?() : nil {
        inputs.accumulate(to: first, shape: a.shape) { da, beta in
          gemm(
            transposeA: true, m: rank, n: inner, k: rows, dh, lda: rank, x.floats, ldb: inner,
            beta: beta, da, ldc: inner)
        }
        withExtendedLifetime(x) {}
      }
      if inputs.isNeeded(first + 2) {
        inputs.accumulate(to: first + 2, shape: inputShape) { dx, beta in
          gemm(
            m: rows, n: inner, k: rank, dh, lda: rank, a.floats, ldb: inner, beta: beta, dx,
            ldc: inner)
        }
      }
    }
  }
}

extension Tensor {
  /// The rows of this tensor times the transpose of `w`, `[out, in]` of any floating-point type.
  package func rowProduct(byTransposeOf w: Tensor) -> Tensor {
    precondition(
      w.shape.count == 2 && w.shape[1] == shape.innermost, "rows \(shape) times \(w.shape)ᵀ")
    return withUnsafeElements(of: Float.self) { x in
      Tensor(shape: shape.replacingInnermost(with: w.shape[0])) { y in
        guard let x = x.baseAddress else { return }
        multiply(rows: shape.rowCount, x, byTransposeOf: w, into: y)
      }
    }
  }
}
