import CLoRAKernels
public import LoRATensor

/// The target value that is ignored, as in PyTorch.
public let ignoredTarget: Int64 = -100

/// The reduction of per-token losses to a scalar.
public enum LossReduction: Sendable, Hashable {
  /// The sum over the targets that are not ignored.
  case sum
  /// The mean over the targets that are not ignored; 0 if there are none.
  case mean
}

extension Variable {
  /// The cross-entropy of logits `[..., vocabulary]` with int64 targets of the leading shape.
  /// Negative targets are ignored; a target outside the vocabulary traps.
  public func crossEntropy(targets: Tensor, reduction: LossReduction = .mean) -> Variable {
    let (rows, columns) = (shape.rowCount, shape.innermost)
    let count = targets.checkedTargetCount(rows: rows, vocabulary: columns)
    let logits = value
    let lse = Tensor.zeros([rows])
    let losses = Tensor(shape: [rows]) { losses in
      withExtendedLifetime((logits, targets, lse)) {
        let sums = UnsafeMutablePointer(mutating: lse.floats)
        parallelRows(shape) {
          let first = $0.lowerBound
          lk_cross_entropy(
            $0.count, columns, logits.floats + first * columns, targets.ids + first,
            losses + first, sums + first)
        }
      }
    }
    let divisor = reduction == .sum ? 1 : max(count, 1)
    let factor = 1 / Float(divisor)
    let loss = Tensor(scalar: Float(losses.sum() / Double(divisor)))
    return Self.record(loss, inputs: [self]) { dy, inputs in
      var dlogits = logits
      let scale = dy.item() * factor
      dlogits.withUnsafeMutableBytes { bytes in
        guard let d = bytes.baseAddress?.floats else { return }
        withExtendedLifetime((targets, lse)) {
          parallelRows(logits.shape) {
            let first = $0.lowerBound
            lk_cross_entropy_backward(
              $0.count, columns, d + first * columns, targets.ids + first, lse.floats + first, scale
            )
          }
        }
      }
      inputs.add(dlogits, to: 0)
    }
  }

  /// The binary cross-entropy of logits with float32 targets of the same shape, each from 0 to 1: the sum,
  /// or the mean, over all elements of `log(1 + exp(x)) - x y`, as PyTorch's
  /// `binary_cross_entropy_with_logits`.
  public func binaryCrossEntropy(targets: Tensor, reduction: LossReduction = .mean) -> Variable {
    require(
      targets.shape == shape && targets.dtype == .float32,
      "targets \(targets.dtype) \(targets.shape) of logits \(shape)")
    let logits = value
    let factor = reduction == .sum ? 1 : 1 / Float(max(logits.elementCount, 1))
    var sum = 0.0
    // As many as a batch has labels: no kernel's work.
    for (x, y) in zip(logits.scalars(as: Float.self), targets.scalars(as: Float.self)) {
      sum += Double(max(x, 0) - x * y) + logOnePlusExp(-Double(abs(x)))
    }
    return Self.record(Tensor(scalar: Float(sum) * factor), inputs: [self]) { dy, inputs in
      let probabilities = logits.mapped { lk_unary_forward(LK_SIGMOID, $0, $1, $2) }
      inputs.add((probabilities - targets).scaled(by: dy.item() * factor), to: 0)
    }
  }

  /// The cross-entropy of `self weightᵀ` with the targets, without forming all logits.
  ///
  /// Tokens are projected, reduced and differentiated in chunks in one pass, so memory does not
  /// grow with `tokens * vocabulary`. If a gradient is needed, it is computed together with the
  /// loss.
  ///
  /// - Parameters:
  ///   - weight: the output head, `[vocabulary, size]`, of any floating-point type.
  ///   - targets: int64, of the leading shape; negative targets are ignored.
  ///   - scale: the factor of the sum of the losses; 1 / count gives the mean.
  ///   - softCap: the soft cap of the logits l, which become `softCap tanh(l / softCap)`; nil for
  ///     none.
  ///
  /// Source: Wijmans et al., *Cut your losses in large-vocabulary language models*, 2024.
  public func linearCrossEntropy(
    weight: Variable, targets: Tensor, scale: Float, softCap: Float? = nil
  ) -> Variable {
    let w = weight.value
    let (rows, size, vocabulary) = (shape.rowCount, w.shape[1], w.shape[0])
    require(
      size == shape.innermost,
      "linearCrossEntropy of hidden states \(shape) with a head of \(w.shape); the last extents must "
        + "be equal")
    let count = targets.checkedTargetCount(rows: rows, vocabulary: vocabulary)
    if count < rows, count > 0 {
      // Prompts and padding have nothing to predict: leave their rows out of the products.
      let (kept, keptTargets) = targets.counting
      return reshaped(to: [rows, size]).gathered(kept)
        .linearCrossEntropy(
          weight: weight, targets: keptTargets, scale: scale, softCap: softCap)
    }
    let isRecorded =
      GradientMode.isRecording && (requiresGradient || weight.requiresGradient)
    var work = ChunkedLoss(
      x: value, w: w, targets: targets, scale: scale, softCap: softCap,
      dx: isRecorded && requiresGradient ? Tensor.zeros(shape) : nil,
      dw: isRecorded && weight.requiresGradient ? Tensor.zeros(w.shape) : nil)
    let loss = Tensor(scalar: Float(work.run(rows: rows, size: size, vocabulary: vocabulary)))
    let (dx, dw) = (work.dx, work.dw)
    return Self.record(loss, inputs: [self, weight]) { dy, inputs in
      let factor = dy.item()
      if let dx { inputs.add(factor == 1 ? dx : dx.scaled(by: factor), to: 0) }
      if let dw { inputs.add(factor == 1 ? dw : dw.scaled(by: factor), to: 1) }
    }
  }

  /// The negative log-likelihood of each target under `self weightᵀ`, in chunks, `[tokens]`; 0 for
  /// ignored targets. For evaluation: records no gradients.
  public func tokenLosses(weight: Tensor, targets: Tensor, softCap: Float? = nil) -> Tensor {
    let (rows, vocabulary) = (shape.rowCount, weight.shape[0])
    _ = targets.checkedTargetCount(rows: rows, vocabulary: vocabulary)
    let x = value
    let precision = ProductPrecision.current
    return Tensor(shape: [rows]) { losses in
      withExtendedLifetime((x, targets)) {
        forEachChunk(rows: rows, vocabulary: vocabulary) { range, logits in
          multiply(
            rows: range.count, x.floats + range.lowerBound * shape.innermost, byTransposeOf: weight,
            precision: precision, into: logits)
          parallelTiles(range.count, tile: 8) {
            let first = range.lowerBound + $0.lowerBound
            let part = logits + $0.lowerBound * vocabulary
            if let softCap {
              divide($0.count * vocabulary, part, by: softCap)
              cap($0.count * vocabulary, part, part, at: softCap)
            }
            lk_cross_entropy(
              $0.count, vocabulary, part, targets.ids + first, losses + first, nil)
          }
        }
      }
    }
  }
}

/// How many rows of logits are computed at once, at most: as many as fit 160 MiB, at least 16. The
/// head's weights are read and packed once a chunk, so that few large chunks are better than many.
package func lossChunkRows(rows: Int, vocabulary: Int) -> Int {
  let most = max(16, (40 << 20) / max(vocabulary, 1))
  let chunks = max(1, (rows + most - 1) / most)
  return (rows + chunks - 1) / chunks
}

/// Calls `body` with consecutive ranges of rows and memory for their logits.
func forEachChunk(
  rows: Int, vocabulary: Int, _ body: (Range<Int>, UnsafeMutablePointer<Float>) -> Void
) {
  let chunk = max(1, lossChunkRows(rows: rows, vocabulary: vocabulary))
  withScratch(chunk * vocabulary) { logits in
    for start in stride(from: 0, to: rows, by: chunk) {
      body(start..<min(rows, start + chunk), logits)
    }
  }
}

/// Gives hidden states and head what the gradients of a chunk's logits, `[rows, vocabulary]`, say of them:
/// the rows of dx are written, dw is added to.
func addGradients(
  ofLogits logits: UnsafeMutablePointer<Float>, rows: Range<Int>, x: Tensor, w: Tensor,
  precision: ProductPrecision, dx: UnsafeMutablePointer<Float>?, dw: UnsafeMutablePointer<Float>?
) {
  let (vocabulary, size) = (w.shape[0], w.shape[1])
  let first = rows.lowerBound * size
  if let dx {
    multiply(rows: rows.count, logits, by: w, precision: precision, into: dx + first)
  }
  if let dw {
    multiply(
      transposeOf: logits, by: x.floats + first, rows: rows.count, out: vocabulary, inner: size,
      rounds: precision.rounds(weight: .float32), beta: 1, into: dw)
  }
}

/// The state of ``Variable/linearCrossEntropy(weight:targets:scale:)``.
private struct ChunkedLoss {
  let x: Tensor
  let w: Tensor
  let targets: Tensor
  let scale: Float
  let softCap: Float?
  let precision = ProductPrecision.current
  var dx: Tensor?
  var dw: Tensor?

  mutating func run(rows: Int, size: Int, vocabulary: Int) -> Double {
    let losses = Tensor.zeros([rows])
    let dxPointer = dx.map { UnsafeMutablePointer(mutating: $0.floats) }
    let dwPointer = dw.map { UnsafeMutablePointer(mutating: $0.floats) }
    withExtendedLifetime((self, losses)) {
      let lossPointer = UnsafeMutablePointer(mutating: losses.floats)
      forEachChunk(rows: rows, vocabulary: vocabulary) { range, logits in
        let first = range.lowerBound
        multiply(
          rows: range.count, x.floats + first * size, byTransposeOf: w, precision: precision,
          into: logits)
        parallelTiles(range.count, tile: 4) {
          let row = first + $0.lowerBound
          let part = logits + $0.lowerBound * vocabulary
          reduce(
            part, rows: $0.count, vocabulary: vocabulary, targets.ids + row,
            hasGradient: dxPointer != nil || dwPointer != nil, into: lossPointer + row)
        }
        addGradients(
          ofLogits: logits, rows: range, x: x, w: w, precision: precision, dx: dxPointer,
          dw: dwPointer)
      }
    }
    return losses.sum() * Double(scale)
  }

  /// The losses of a few rows of logits, which become their gradients if those are wanted.
  private func reduce(
    _ logits: UnsafeMutablePointer<Float>, rows: Int, vocabulary: Int,
    _ ids: UnsafePointer<Int64>, hasGradient: Bool, into losses: UnsafeMutablePointer<Float>
  ) {
    guard let softCap else {
      if hasGradient {
        return lk_cross_entropy_gradient(rows, vocabulary, logits, ids, scale, losses)
      }
      return lk_cross_entropy(rows, vocabulary, logits, ids, losses, nil)
    }
    let count = rows * vocabulary
    divide(count, logits, by: softCap)
    guard hasGradient else {
      cap(count, logits, logits, at: softCap)
      return lk_cross_entropy(rows, vocabulary, logits, ids, losses, nil)
    }
    withScratch(count) { capped in
      cap(count, logits, capped, at: softCap)
      lk_cross_entropy_gradient(rows, vocabulary, capped, ids, scale, losses)
      lk_unary_backward(LK_TANH, count, logits, capped, logits, false)
    }
  }
}

/// x /= softCap.
func divide(_ count: Int, _ x: UnsafeMutablePointer<Float>, by softCap: Float) {
  lk_scale(count, 1 / softCap, x, x)
}

/// y = softCap tanh(x), x being divided by it already.
func cap(
  _ count: Int, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, at softCap: Float
) {
  lk_unary_forward(LK_TANH, count, x, y)
  lk_scale(count, softCap, y, y)
}

extension Tensor {
  /// The int64 elements' address, valid while the tensor is kept alive by the caller.
  var ids: UnsafePointer<Int64> {
    require(dtype == .int64, "token ids are int64, not \(dtype): \(shape)")
    return UnsafeRawPointer(storage.base + offset).assumingMemoryBound(to: Int64.self)
  }

  /// The positions of the targets that count, and those targets.
  var counting: (positions: Tensor, targets: Tensor) {
    withUnsafeElements(of: Int64.self) { ids in
      let kept = ids.indices.filter { ids[$0] >= 0 }
      return (Tensor(kept.map { Int64($0) }), Tensor(kept.map { ids[$0] }))
    }
  }

  /// How many of these targets count; traps if their number or one of them does not fit.
  func checkedTargetCount(rows: Int, vocabulary: Int) -> Int {
    require(
      dtype == .int64,
      "cross-entropy takes the numbers of the right classes as int64, and the targets are \(dtype) "
        + "\(shape); make them of an array of Int or Int64")
    require(
      elementCount == rows,
      "cross-entropy of \(rows) rows with \(elementCount) targets of shape \(shape); each row has one "
        + "target, negative to be ignored")
    return withUnsafeElements(of: Int64.self) { ids in
      var count = 0
      for id in ids where id >= 0 {
        require(
          id < vocabulary,
          "cross-entropy: target \(id) where the logits have \(vocabulary) classes, 0 to "
            + "\(vocabulary - 1); a target that counts for nothing is negative")
        count += 1
      }
      return count
    }
  }
}
