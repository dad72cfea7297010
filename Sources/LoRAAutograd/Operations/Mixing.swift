package import LoRATensor

// Single rows or columns of a result that something else has a say in: tokens whose vectors an
// adapter replaces.

extension Variable {
  /// This variable, `[..., size]`, with row `position` mixed with row `row` of `rows` for each
  /// pair: `x + strength (row - x)`. At strength 1 this is the row itself, bit for bit.
  ///
  /// - Parameters:
  ///   - pairs: `position` is a row of this variable, each used at most once.
  ///   - rows: `[count, size]`.
  package func mixingRows(
    _ pairs: [(position: Int, row: Int)], with rows: Variable, strength: Float
  ) -> Variable {
    // Rows of tokens that a batch lacks have a gradient all the same: zero.
    if pairs.isEmpty, !rows.requiresGradient { return self }
    let size = shape.innermost
    require(
      rows.shape.count == 2 && rows.shape[1] == size, "rows \(rows.shape) in \(shape)")
    let (new, rowsShape, shape) = (rows.value, rows.shape, shape)
    var y = value
    if !pairs.isEmpty {
      y.withUnsafeMutableBytes { bytes in
        new.withUnsafeElements(of: Float.self) { new in
          guard let y = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
          for (position, row) in pairs {
            for column in 0..<size {
              let (old, value) = (y[position * size + column], new[row * size + column])
              y[position * size + column] = strength == 1 ? value : old + strength * (value - old)
            }
          }
        }
      }
    }
    return Self.record(y, inputs: [self, rows]) { dy, inputs in
      if inputs.isNeeded(1) {
        inputs.accumulate(to: 1, shape: rowsShape) { drows, beta in
          if beta == 0 { drows.update(repeating: 0, count: rowsShape.elementCount) }
          dy.withUnsafeElements(of: Float.self) { dy in
            for (position, row) in pairs {
              for column in 0..<size {
                drows[row * size + column] += strength * dy[position * size + column]
              }
            }
          }
        }
      }
      if inputs.isNeeded(0) {
        var dx = dy.reshaped(to: shape)
        dx.withUnsafeMutableBytes { bytes in
          guard let dx = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
          for (position, _) in pairs {
            for column in 0..<size { dx[position * size + column] *= 1 - strength }
          }
        }
        inputs.add(dx, to: 0)
      }
    }
  }

  /// This variable, `[..., out]`, with column `columns[i]` mixed with column `i` of `other`,
  /// `[..., count]`: `x + strength (other - x)`. At strength 1 these are the other's bits.
  package func mixingColumns(
    _ columns: [Int], with other: Variable, strength: Float
  ) -> Variable {
    if columns.isEmpty { return self }
    let (rowCount, out, count) = (shape.rowCount, shape.innermost, columns.count)
    require(
      other.shape.rowCount == rowCount && other.shape.innermost == count,
      "columns \(other.shape) in \(shape)")
    let (new, otherShape, shape) = (other.value, other.shape, shape)
    var y = value
    y.withUnsafeMutableBytes { bytes in
      new.withUnsafeElements(of: Float.self) { new in
        guard let y = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
        for row in 0..<rowCount {
          for (index, column) in columns.enumerated() {
            let (old, value) = (y[row * out + column], new[row * count + index])
            y[row * out + column] = strength == 1 ? value : old + strength * (value - old)
          }
        }
      }
    }
    return Self.record(y, inputs: [self, other]) { dy, inputs in
      if inputs.isNeeded(1) {
        inputs.add(
          Tensor(shape: otherShape) { dother in
            dy.withUnsafeElements(of: Float.self) { dy in
              for row in 0..<rowCount {
                for (index, column) in columns.enumerated() {
                  dother[row * count + index] = strength * dy[row * out + column]
                }
              }
            }
          }, to: 1)
      }
      if inputs.isNeeded(0) {
        var dx = dy.reshaped(to: shape)
        dx.withUnsafeMutableBytes { bytes in
          guard let dx = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
          for row in 0..<rowCount {
            for column in columns { dx[row * out + column] *= 1 - strength }
          }
        }
        inputs.add(dx, to: 0)
      }
    }
  }

  /// The columns `ids` of this matrix, `[rows, columns]` float32, as rows: the shape of `ids` with
  /// `rows` appended. Looks up tokens in a factor `[rank, vocabulary]`.
  package func gatheredColumns(_ ids: Tensor) -> Variable {
    require(shape.count == 2, "gathering columns of shape \(shape)")
    let (rows, columns, count) = (shape[0], shape[1], ids.elementCount)
    let (matrix, matrixShape) = (value, shape)
    let chosen = ids.scalars(as: Int64.self).map { Int($0) }
    for id in chosen {
      require(id >= 0 && id < columns, "column \(id) of a matrix of \(columns) columns")
    }
    let y = Tensor(shape: Shape(ids.shape.dimensions + [rows])) { y in
      matrix.withUnsafeElements(of: Float.self) { matrix in
        for index in 0..<count {
          for row in 0..<rows { y[index * rows + row] = matrix[row * columns + chosen[index]] }
        }
      }
    }
    return Self.record(y, inputs: [self]) { dy, inputs in
      inputs.accumulate(to: 0, shape: matrixShape) { dmatrix, beta in
        if beta == 0 { dmatrix.update(repeating: 0, count: rows * columns) }
        dy.withUnsafeElements(of: Float.self) { dy in
          for index in 0..<count {
            for row in 0..<rows {
              dmatrix[row * columns + chosen[index]] += dy[index * rows + row]
            }
          }
        }
      }
    }
  }
}
