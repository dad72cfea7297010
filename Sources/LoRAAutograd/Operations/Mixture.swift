import CLoRAKernels
package import LoRATensor

/// What one of several networks makes of some rows of a matrix, and how it counts.
package struct MixtureTerm: Sendable {
  /// The network's outputs, `[rows.count, size]`.
  package var output: Variable
  /// The rows of the sum that they are added to, each once.
  package var rows: [Int]
  /// Where the weight of each is, counted through all weights.
  package var weights: [Int]

  /// Creates a term from its parts.
  package init(output: Variable, rows: [Int], weights: [Int]) {
    self.output = output
    self.rows = rows
    self.weights = weights
  }
}

extension Variable {
  /// The sum of the terms' rows, each times its weight: `y[rows[i]] += weights[i] output[i]`.
  ///
  /// - Parameters:
  ///   - terms: added in this order.
  ///   - weights: one number for each row of each term, of any shape.
  ///   - shape: the sum's, `[rows, size]`.
  package static func mixture(
    _ terms: [MixtureTerm], weights: Variable, shape: Shape
  ) -> Variable {
    let (size, count) = (shape[1], shape[0])
    let factors = weights.value
    let y = Tensor(shape: shape) { y in
      lk_fill(count * size, 0, y)
      withExtendedLifetime((terms, factors)) {
        for term in terms {
          let x = term.output.value.floats
          parallelTiles(term.rows.count, tile: max(1, elementTile / max(size, 1))) { range in
            for index in range {
              lk_axpy(
                size, factors.floats[term.weights[index]], x + index * size,
                y + term.rows[index] * size)
            }
          }
        }
      }
    }
    let places = terms.map { (rows: $0.rows, weights: $0.weights) }
    let outputs = weights.requiresGradient ? terms.map(\.output.saved) : []
    return record(y, inputs: terms.map(\.output) + [weights]) { dy, inputs in
      withExtendedLifetime((dy, factors)) {
        for (index, place) in places.enumerated() where inputs.isNeeded(index) {
          let dx = Tensor(shape: [place.rows.count, size]) { dx in
            parallelTiles(place.rows.count, tile: max(1, elementTile / max(size, 1))) { range in
              for row in range {
                lk_scale(
                  size, factors.floats[place.weights[row]], dy.floats + place.rows[row] * size,
                  dx + row * size)
              }
            }
          }
          inputs.add(dx, to: index)
        }
        guard inputs.isNeeded(places.count) else { return }
        inputs.accumulate(to: places.count, shape: factors.shape) { dw, beta in
          if beta == 0 { lk_fill(factors.elementCount, 0, dw) }
          for (place, output) in zip(places, outputs) {
            let x = output()
            withExtendedLifetime(x) {
              for (row, weight) in place.weights.enumerated() {
                dw[weight] += Float(
                  lk_dot(size, x.floats + row * size, dy.floats + place.rows[row] * size))
              }
            }
          }
        }
      }
    }
  }

  /// This variable, on which `others` are held to depend: what nothing of a pass reads has a gradient of
  /// zeros, as it has in PyTorch where it is a part of something that is read.
  package func dependent(on others: [Variable]) -> Variable {
    let others = others.filter(\.requiresGradient)
    if others.isEmpty { return self }
    let shapes = others.map(\.shape)
    return Self.record(value, inputs: [self] + others) { dy, inputs in
      inputs.add(dy, to: 0)
      for (index, shape) in shapes.enumerated() {
        inputs.accumulate(to: index + 1, shape: shape) { d, beta in
          if beta == 0 { lk_fill(shape.elementCount, 0, d) }
        }
      }
    }
  }
}
