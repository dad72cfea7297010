import LoRATensor

extension Variable {
  /// `scale (b1 a1) ⊙ (b2 a2)`, the elementwise (Hadamard) product of two low-rank matrices.
  ///
  /// The backward pass keeps nothing of the size of the result: it recomputes the products, and the
  /// result if an operation uses ``saved``.
  ///
  /// - Parameters:
  ///   - b1: `[out, rank]`.
  ///   - a1: `[rank, in]`.
  ///   - b2: `[out, rank]`.
  ///   - a2: `[rank, in]`.
  ///   - scale: the factor of the product.
  /// - Returns: `[out, in]`.
  public static func hadamardProduct(
    _ b1: Variable, _ a1: Variable, _ b2: Variable, _ a2: Variable, scale: Float
  ) -> Variable {
    require(
      [b1, a1, b2, a2].allSatisfy { $0.shape.count == 2 } && b1.shape[0] == b2.shape[0]
        && a1.shape[1] == a2.shape[1],
      "Hadamard product of \(b1.shape) \(a1.shape) and \(b2.shape) \(a2.shape)")
    let (p, q, r, s) = (b1.value, a1.value, b2.value, a2.value)
    @Sendable func product() -> Tensor {
      (p.matrixProduct(with: q) * r.matrixProduct(with: s)).scaled(by: scale)
    }
    return record(product(), inputs: [b1, a1, b2, a2], recompute: product) { dy, inputs in
      if inputs.isNeeded(0) || inputs.isNeeded(1) {
        let gradient = (dy * r.matrixProduct(with: s)).scaled(by: scale)
        if inputs.isNeeded(0) {
          inputs.add(gradient.matrixProduct(with: q, transposeOther: true), to: 0)
        }
        if inputs.isNeeded(1) {
          inputs.add(p.matrixProduct(with: gradient, transposeSelf: true), to: 1)
        }
      }
      if inputs.isNeeded(2) || inputs.isNeeded(3) {
        let gradient = (dy * p.matrixProduct(with: q)).scaled(by: scale)
        if inputs.isNeeded(2) {
          inputs.add(gradient.matrixProduct(with: s, transposeOther: true), to: 2)
        }
        if inputs.isNeeded(3) {
          inputs.add(r.matrixProduct(with: gradient, transposeSelf: true), to: 3)
        }
      }
    }
  }
}
