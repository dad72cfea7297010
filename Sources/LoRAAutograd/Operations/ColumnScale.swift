import CLoRAKernels
import LoRATensor

extension Variable {
  /// `x * gain + bias` with one factor and one term per element of the last dimension.
  ///
  /// The same as `*` and `+` with broadcasting, without expanding the vectors.
  ///
  /// - Parameters:
  ///   - gain: `[columns]`.
  ///   - bias: `[columns]`, of any floating-point type.
  public func scaledColumns(by gain: Variable, bias: Variable? = nil) -> Variable {
    let columns = shape.innermost
    require(
      gain.shape == [columns] && (bias == nil || bias?.shape == [columns]),
      "columns of \(shape) scaled by \(gain.shape), bias \(bias.map { "\($0.shape)" } ?? "none")")
    let (factor, offset) = (gain.value, bias?.value.converted(to: .float32))
    let y = value.scaledColumns(by: factor, bias: offset)
    // Only a gradient of the gain needs x, only one of x the gain.
    let x = gain.requiresGradient ? saved : nil
    return Self.recordOwning(y, inputs: [self, gain, bias ?? gain.detached()]) { dy, inputs in
      if inputs.isNeeded(2) { inputs.add(dy.columnSums(), to: 2) }
      if let x = inputs.isNeeded(1) ? x?() : nil { inputs.add(dy.columnDots(with: x), to: 1) }
      if inputs.isNeeded(0) { dy.scaleColumns(by: factor, into: inputs) }
    }
  }
}

extension Tensor {
  /// Rows of at most this many elements together are one thread's share.
  private func rowsPerTile(_ columns: Int) -> Int { max(1, elementTile / max(1, columns)) }

  fileprivate func scaledColumns(by gain: Tensor, bias: Tensor?) -> Tensor {
    let columns = shape.innermost
    return withExtendedLifetime((self, gain, bias)) {
      Tensor(shape: shape) { y in
        let x = floats
        parallelTiles(shape.rowCount, tile: rowsPerTile(columns)) { rows in
          let start = rows.lowerBound * columns
          lk_mul_row(rows.count, columns, x + start, gain.floats, y + start)
          if let bias { lk_add_row(rows.count, columns, bias.floats, y + start) }
        }
      }
    }
  }

  /// Multiplies this gradient's columns, in place where nobody else sees it, and hands it on.
  fileprivate mutating func scaleColumns(by gain: Tensor, into inputs: InputGradients) {
    let (columns, rowCount) = (shape.innermost, shape.rowCount)
    let tile = rowsPerTile(columns)
    withUnsafeMutableBytes { bytes in
      guard let dy = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
      withExtendedLifetime(gain) {
        parallelTiles(rowCount, tile: tile) { rows in
          let start = dy + rows.lowerBound * columns
          lk_mul_row(rows.count, columns, start, gain.floats, start)
        }
      }
    }
    inputs.add(self, to: 0)
  }

  /// The sums over all rows, `[columns]`.
  fileprivate func columnSums() -> Tensor {
    let columns = shape.innermost
    return withExtendedLifetime(self) {
      Tensor(shape: [columns]) { sums in
        lk_fill(columns, 0, sums)
        lk_sum_rows(shape.rowCount, columns, floats, sums)
      }
    }
  }

  /// The sums over all rows of the products with the elements of `other`, `[columns]`. Divided by
  /// columns, so that the bits do not depend on the number of threads.
  fileprivate func columnDots(with other: Tensor) -> Tensor {
    let (columns, rowCount) = (shape.innermost, shape.rowCount)
    return withExtendedLifetime((self, other)) {
      Tensor(shape: [columns]) { sums in
        let (x, y) = (floats, other.floats)
        lk_fill(columns, 0, sums)
        parallelTiles(columns, tile: 512) { range in
          for row in 0..<rowCount {
            let start = row * columns + range.lowerBound
            lk_muladd(range.count, x + start, y + start, sums + range.lowerBound)
          }
        }
      }
    }
  }
}
