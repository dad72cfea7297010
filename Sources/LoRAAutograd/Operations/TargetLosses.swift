import CLoRAKernels
public import LoRATensor

extension Variable {
  /// The cross-entropy of each target that counts under the logits `self weightᵀ`, in the order of
  /// positions, `[count]`, with gradients: for losses that are no sums of them, as of preferences.
  ///
  /// Never forms all logits: chunks of them are computed once for the losses, and once more in the
  /// backward pass. Where a sum is wanted, ``linearCrossEntropy(weight:targets:scale:softCap:)`` does with
  /// one.
  ///
  /// - Parameters:
  ///   - weight: the output head, `[vocabulary, size]`, of any floating-point type.
  ///   - targets: int64, of the leading shape; negative targets are left out.
  ///   - softCap: the soft cap of the logits l, which become `softCap tanh(l / softCap)`; nil for
  ///     none.
  public func targetLosses(weight: Variable, targets: Tensor, softCap: Float? = nil) -> Variable {
    let w = weight.value
    let (rows, size, vocabulary) = (shape.rowCount, w.shape[1], w.shape[0])
    require(
      size == shape.innermost,
      "targetLosses of hidden states \(shape) with a head of \(w.shape); the last extents must be equal"
    )
    _ = targets.checkedTargetCount(rows: rows, vocabulary: vocabulary)
    let (kept, keptTargets) = targets.counting
    let states = reshaped(to: [rows, size]).gathered(kept)
    let losses = states.tokenLosses(weight: w, targets: keptTargets, softCap: softCap)
    let work = LossBackward(
      x: states.value, w: w, targets: keptTargets, softCap: softCap,
      precision: ProductPrecision.current)
    return Self.record(losses, inputs: [states, weight]) { dy, inputs in
      let (dx, dw) = work.run(dy, hasX: inputs.isNeeded(0), hasW: inputs.isNeeded(1))
      if let dx { inputs.add(dx, to: 0) }
      if let dw { inputs.add(dw, to: 1) }
    }
  }

  /// The same of logits `[..., vocabulary]`, which are there already.
  public func targetLosses(_ targets: Tensor) -> Variable {
    let (rows, vocabulary) = (shape.rowCount, shape.innermost)
    _ = targets.checkedTargetCount(rows: rows, vocabulary: vocabulary)
    let (kept, ids) = targets.counting
    let chosen = reshaped(to: [rows, vocabulary]).gathered(kept)
    let (logits, count) = (chosen.value, kept.elementCount)
    let losses = Tensor(shape: [count]) { losses in
      withExtendedLifetime((logits, ids)) {
        lk_cross_entropy(count, vocabulary, logits.floats, ids.ids, losses, nil)
      }
    }
    return Self.record(losses, inputs: [chosen]) { dy, inputs in
      var gradient = logits
      gradient.withUnsafeMutableBytes { bytes in
        guard let d = bytes.baseAddress?.floats else { return }
        withExtendedLifetime((ids, dy)) {
          scaledGradients(count, vocabulary, d, ids.ids, dy.floats)
        }
      }
      inputs.add(gradient, to: 0)
    }
  }
}

/// Logits become the gradients of their cross-entropies, each times a factor of its own.
private func scaledGradients(
  _ rows: Int, _ vocabulary: Int, _ logits: UnsafeMutablePointer<Float>,
  _ ids: UnsafePointer<Int64>, _ factors: UnsafePointer<Float>
) {
  parallelTiles(rows, tile: 4) {
    for row in $0 {
      var loss: Float = 0
      lk_cross_entropy_gradient(
        1, vocabulary, logits + row * vocabulary, ids + row, factors[row], &loss)
    }
  }
}

/// The backward pass of losses of targets: the logits once more, chunk by chunk.
private struct LossBackward {
  let x: Tensor
  let w: Tensor
  let targets: Tensor
  let softCap: Float?
  let precision: ProductPrecision

  func run(_ dy: Tensor, hasX: Bool, hasW: Bool) -> (dx: Tensor?, dw: Tensor?) {
    let (rows, size, vocabulary) = (x.shape[0], x.shape[1], w.shape[0])
    let dx = hasX ? Tensor.zeros(x.shape) : nil
    let dw = hasW ? Tensor.zeros(w.shape) : nil
    withExtendedLifetime((self, dy, dx, dw)) {
      let dxPointer = dx.map { UnsafeMutablePointer(mutating: $0.floats) }
      let dwPointer = dw.map { UnsafeMutablePointer(mutating: $0.floats) }
      forEachChunk(rows: rows, vocabulary: vocabulary) { range, logits in
        let first = range.lowerBound
        multiply(
          rows: range.count, x.floats + first * size, byTransposeOf: w, precision: precision,
          into: logits)
        differentiate(range.count, vocabulary, logits, targets.ids + first, dy.floats + first)
        addGradients(
          ofLogits: logits, rows: range, x: x, w: w, precision: precision, dx: dxPointer,
          dw: dwPointer)
      }
    }
    return (dx, dw)
  }

  private func differentiate(
    _ rows: Int, _ vocabulary: Int, _ logits: UnsafeMutablePointer<Float>,
    _ ids: UnsafePointer<Int64>, _ factors: UnsafePointer<Float>
  ) {
    guard let softCap else { return scaledGradients(rows, vocabulary, logits, ids, factors) }
    let count = rows * vocabulary
    divide(count, logits, by: softCap)
    withScratch(count) { capped in
      cap(count, logits, capped, at: softCap)
      scaledGradients(rows, vocabulary, capped, ids, factors)
      lk_unary_backward(LK_TANH, count, logits, capped, logits, false)
    }
  }
}
