import CLoRAKernels
import LoRATensor

extension Variable {
  /// `x / sqrt(mean(x²) + epsilon) * weight` over the last dimension; `weight` is `[columns]`.
  ///
  /// Source: Zhang and Sennrich, *Root mean square layer normalization*, 2019.
  public func rmsNorm(weight: Variable, epsilon: Float) -> Variable {
    let columns = shape.innermost
    require(weight.shape == [columns], "RMSNorm of \(shape) with weight \(weight.shape)")
    let w = weight.value.converted(to: .float32)
    let isRecorded = GradientMode.isRecording && (requiresGradient || weight.requiresGradient)
    let inverse = Tensor.zeros([isRecorded ? shape.rowCount : 0])
    @Sendable func normalized(_ x: Tensor, inverse: Tensor?) -> Tensor {
      Tensor(shape: x.shape) { y in
        withExtendedLifetime((x, w, inverse)) {
          let inv = inverse.map { UnsafeMutablePointer(mutating: $0.floats) }
          parallelRows(x.shape) {
            let start = $0.lowerBound * columns
            lk_rmsnorm(
              $0.count, columns, x.floats + start, w.floats, epsilon, y + start,
              inv.map { [first = $0.lowerBound] in $0 + first })
          }
        }
      }
    }
    let y = normalized(value, inverse: isRecorded ? inverse : nil)
    let x = saved
    return Self.record(
      y, inputs: [self, weight], recompute: { normalized(x(), inverse: nil) }
    ) { dy, inputs in
      let x = x()
      withExtendedLifetime((x, w, inverse, dy)) {
        normBackward(x.shape, inputs: inputs, parameters: 1) { rows, dx, beta, sums in
          let start = rows.lowerBound * columns
          lk_rmsnorm_backward(
            rows.count, columns, x.floats + start, w.floats, inverse.floats + rows.lowerBound,
            dy.floats + start, dx.map { $0 + start }, beta == 1, sums)
        }
      }
    }
  }

  /// `(x - mean) / sqrt(variance + epsilon) * weight + bias` over the last dimension.
  ///
  /// Source: Ba et al., *Layer normalization*, 2016.
  public func layerNorm(weight: Variable, bias: Variable?, epsilon: Float) -> Variable {
    let columns = shape.innermost
    require(
      weight.shape == [columns] && (bias == nil || bias?.shape == [columns]),
      "LayerNorm of \(shape) with weight \(weight.shape)")
    let w = weight.value.converted(to: .float32)
    let b = bias?.value.converted(to: .float32)
    let rows = shape.rowCount
    @Sendable func normalized(
      _ x: Tensor, _ mean: UnsafeMutablePointer<Float>?, _ inverse: UnsafeMutablePointer<Float>?
    ) -> Tensor {
      Tensor(shape: x.shape) { y in
        withExtendedLifetime((x, w, b)) {
          parallelRows(x.shape) {
            let (first, start) = ($0.lowerBound, $0.lowerBound * columns)
            lk_layernorm(
              $0.count, columns, x.floats + start, w.floats, b?.floats, epsilon, y + start,
              mean.map { $0 + first }, inverse.map { $0 + first })
          }
        }
      }
    }
    var (y, mean, inverse) = (value, value, value)
    mean = Tensor(shape: [rows]) { mean in
      inverse = Tensor(shape: [rows]) { inverse in y = normalized(value, mean, inverse) }
    }
    let statistics = (mean: mean, inverse: inverse)
    let x = saved
    return Self.record(
      y, inputs: [self, weight, bias ?? weight.detached()],
      recompute: { normalized(x(), nil, nil) }
    ) { dy, inputs in
      let x = x()
      withExtendedLifetime((x, w, statistics, dy)) {
        normBackward(x.shape, inputs: inputs, parameters: 2) { rows, dx, beta, sums in
          let (first, start) = (rows.lowerBound, rows.lowerBound * columns)
          lk_layernorm_backward(
            rows.count, columns, x.floats + start, w.floats, statistics.mean.floats + first,
            statistics.inverse.floats + first, dy.floats + start, dx.map { $0 + start }, beta == 1,
            sums, sums.map { $0 + columns })
        }
      }
    }
  }
}

/// The backward step that the norms share: the gradient of the input tile by tile, and the sums
/// over rows for `parameters` row vectors, each tile into its own memory and then added in order,
/// so that the bits do not depend on the thread count.
private func normBackward(
  _ shape: Shape, inputs: InputGradients, parameters: Int,
  _ kernel: (Range<Int>, UnsafeMutablePointer<Float>?, Float, UnsafeMutablePointer<Float>?) -> Void
) {
  let columns = shape.innermost
  let needsSums = (1...parameters).contains { inputs.isNeeded($0) }
  let tile = max(1, elementTile / max(1, columns))
  let tiles = (shape.rowCount + tile - 1) / tile
  let width = parameters * columns
  withScratch(needsSums ? max(1, tiles) * width : 1) { partial in
    func run(_ dx: UnsafeMutablePointer<Float>?, _ beta: Float) {
      parallelTiles(shape.rowCount, tile: tile) { rows in
        let sums = needsSums ? partial + rows.lowerBound / tile * width : nil
        if let sums { lk_fill(width, 0, sums) }
        kernel(rows, dx, beta, sums)
      }
    }
    if inputs.isNeeded(0) {
      inputs.accumulate(to: 0, shape: shape) { run($0, $1) }
    } else {
      run(nil, 0)
    }
    for index in 0..<parameters where inputs.isNeeded(index + 1) {
      inputs.accumulate(to: index + 1, shape: [columns]) { sum, beta in
        if beta == 0 { lk_fill(columns, 0, sum) }
        for tile in 0..<tiles { lk_axpy(columns, 1, partial + tile * width + index * columns, sum) }
      }
    }
  }
}
