import CLoRAKernels
public import LoRATensor

extension Variable {
  /// How far the distributions of logits `[..., classes]` are from those of `teacher`, of the same shape: the
  /// sum over rows of the Kullback-Leibler divergence of the teacher's from these, both at `temperature`,
  /// times the temperature's square, which keeps gradients at one size (Hinton et al., *Distilling the
  /// knowledge in a neural network*, 2015).
  ///
  /// Has a gradient with respect to these logits; costs two more tensors of their shape.
  public func divergence(from teacher: Tensor, temperature: Float = 1) -> Variable {
    require(
      teacher.shape == shape && teacher.dtype == .float32,
      "the divergence of logits \(shape) from \(teacher.dtype) \(teacher.shape): the teacher's are "
        + "float32 of the same shape")
    checkTemperature(temperature)
    let (rows, classes) = (shape.rowCount, shape.innermost)
    let losses = Tensor.zeros([rows])
    var gradient = value
    var work = teacher
    gradient.withUnsafeMutableBytes { own in
      work.withUnsafeMutableBytes { other in
        guard let own = own.baseAddress?.floats, let other = other.baseAddress?.floats else {
          return
        }
        withExtendedLifetime(losses) {
          let losses = UnsafeMutablePointer(mutating: losses.floats)
          parallelRows(shape) {
            let first = $0.lowerBound
            divergences(
              rows: $0.count, classes: classes, own + first * classes,
              from: other + first * classes,
              temperature: temperature, scale: 1, into: losses + first)
          }
        }
      }
    }
    let own = gradient
    return Self.record(Tensor(scalar: Float(losses.sum())), inputs: [self]) { dy, inputs in
      inputs.add(own.scaled(by: dy.item()), to: 0)
    }
  }

  /// `scale` times ``divergence(from:temperature:)`` of the logits `self weightᵀ` from `teacher weightᵀ`,
  /// without forming all logits, as ``linearCrossEntropy(weight:targets:scale:softCap:)``.
  ///
  /// - Parameters:
  ///   - weight: the output head, `[vocabulary, size]`, of any floating-point type.
  ///   - teacher: the teacher's hidden states, float32, of this shape.
  ///   - temperature: what both logits are divided by, above 0.
  ///   - scale: the factor of the sum.
  public func linearDivergence(
    weight: Variable, from teacher: Tensor, temperature: Float = 1, scale: Float
  ) -> Variable {
    let (x, w) = (value, weight.value)
    let (rows, size, vocabulary) = (shape.rowCount, w.shape[1], w.shape[0])
    require(
      size == shape.innermost && teacher.shape == shape,
      "linearDivergence of hidden states \(shape) from \(teacher.shape) with a head of \(w.shape); the "
        + "shapes must be equal, and so must the last extents")
    checkTemperature(temperature)
    let isRecorded =
      GradientMode.isRecording && (requiresGradient || weight.requiresGradient)
    let precision = ProductPrecision.current
    let dx = isRecorded && requiresGradient ? Tensor.zeros(shape) : nil
    let dw = isRecorded && weight.requiresGradient ? Tensor.zeros(w.shape) : nil
    let losses = Tensor.zeros([rows])
    withExtendedLifetime((x, w, teacher, dx, dw, losses)) {
      let lossPointer = UnsafeMutablePointer(mutating: losses.floats)
      forEachChunk(rows: rows, vocabulary: vocabulary) { range, own in
        withScratch(range.count * vocabulary) { other in
          let first = range.lowerBound * size
          multiply(
            rows: range.count, x.floats + first, byTransposeOf: w, precision: precision, into: own)
          multiply(
            rows: range.count, teacher.floats + first, byTransposeOf: w, precision: precision,
            into: other)
          parallelTiles(range.count, tile: 4) {
            let start = $0.lowerBound * vocabulary
            divergences(
              rows: $0.count, classes: vocabulary, own + start, from: other + start,
              temperature: temperature, scale: scale,
              into: lossPointer + range.lowerBound + $0.lowerBound)
          }
          addGradients(
            ofLogits: own, rows: range, x: x, w: w, precision: precision,
            dx: dx.map { UnsafeMutablePointer(mutating: $0.floats) },
            dw: dw.map { UnsafeMutablePointer(mutating: $0.floats) })
        }
      }
    }
    let loss = Tensor(scalar: Float(losses.sum() * Double(scale)))
    return Self.record(loss, inputs: [self, weight]) { dy, inputs in
      let factor = dy.item()
      if let dx { inputs.add(dx.scaled(by: factor), to: 0) }
      if let dw { inputs.add(dw.scaled(by: factor), to: 1) }
    }
  }
}

private func checkTemperature(_ temperature: Float) {
  require(
    temperature > 0 && temperature.isFinite,
    "a temperature is above 0 and finite, not \(temperature)")
}

/// The divergences of rows of `own` logits from `teacher`'s, times the temperature's square. `own` become
/// their gradients times `scale`; `teacher` are overwritten.
private func divergences(
  rows: Int, classes: Int, _ own: UnsafeMutablePointer<Float>,
  from teacher: UnsafeMutablePointer<Float>, temperature: Float, scale: Float,
  into losses: UnsafeMutablePointer<Float>
) {
  let square = temperature * temperature
  lk_scale(rows * classes, 1 / temperature, own, own)
  lk_scale(rows * classes, 1 / temperature, teacher, teacher)
  withScratch(2) { sums in
    for row in 0..<rows {
      let (q, p) = (own + row * classes, teacher + row * classes)
      var (loss, first) = (Float(0), Int64(0))
      // For the logarithms of the sums; the losses of class 0 are of no use.
      lk_cross_entropy(1, classes, q, &first, &loss, sums)
      lk_cross_entropy(1, classes, p, &first, &loss, sums + 1)
      let shift = sums[0] - sums[1]
      withScratch(classes) { difference in
        for index in 0..<classes { difference[index] = p[index] - q[index] }
        lk_softmax(1, classes, p, p)
        lk_softmax(1, classes, q, q)
        var sum = 0.0
        for index in 0..<classes { sum += Double(p[index] * (difference[index] + shift)) }
        losses[row] = square * Float(sum)
      }
      let factor = temperature * scale
      for index in 0..<classes { q[index] = factor * (q[index] - p[index]) }
    }
  }
}
