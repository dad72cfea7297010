package import CLoRAKernels
public import LoRATensor

/// An elementwise activation function.
public enum Activation: String, Sendable, Hashable, Codable, CaseIterable {
  case relu, tanh, sigmoid
  /// `x sigmoid(x)`, also called swish.
  case silu
  /// `x Φ(x)`, with the error function.
  case gelu
  /// GELU approximated with a hyperbolic tangent (`gelu_new`, `gelu_pytorch_tanh`).
  case geluTanh
  case exp, log, sqrt, square

  package var kernel: lk_unary {
    switch self {
    case .relu: LK_RELU
    case .tanh: LK_TANH
    case .sigmoid: LK_SIGMOID
    case .silu: LK_SILU
    case .gelu: LK_GELU
    case .geluTanh: LK_GELU_TANH
    case .exp: LK_EXP
    case .log: LK_LOG
    case .sqrt: LK_SQRT
    case .square: LK_SQUARE
    }
  }
}

extension Variable {
  /// `activation` of every element.
  public func callAsFunction(_ activation: Activation) -> Variable {
    let kernel = activation.kernel
    let x = saved
    return Self.record(
      value.mapped { lk_unary_forward(kernel, $0, $1, $2) }, inputs: [self],
      recompute: { x().mapped { lk_unary_forward(kernel, $0, $1, $2) } }
    ) { dy, inputs in
      let x = x()
      inputs.accumulate(to: 0, shape: x.shape) { dx, beta in
        withExtendedLifetime((x, dy)) {
          parallelTiles(x.elementCount, tile: elementTile) {
            let start = $0.lowerBound
            lk_unary_backward(
              kernel, $0.count, x.floats + start, dy.floats + start, dx + start, beta == 1)
          }
        }
      }
    }
  }

  /// `softCap tanh(self / softCap)`, which stays between -softCap and softCap.
  public func capped(at softCap: Float) -> Variable {
    scaled(by: 1 / softCap)(.tanh).scaled(by: softCap)
  }

  /// `activation(self) * up`, the gate of a transformer's feed-forward network, in one pass.
  /// `activation` is ``Activation/silu``, ``Activation/gelu`` or ``Activation/geluTanh``.
  public func gated(_ activation: Activation, by up: Variable) -> Variable {
    require(shape == up.shape, "gate \(shape) and up \(up.shape)")
    require(
      [.silu, .gelu, .geluTanh].contains(activation), "\(activation) is not a gate's activation")
    let kernel = activation.kernel
    @Sendable func product(_ gate: Tensor, _ up: Tensor) -> Tensor {
      Tensor(shape: gate.shape) { y in
        withExtendedLifetime((gate, up)) {
          parallelTiles(gate.elementCount, tile: elementTile) {
            let start = $0.lowerBound
            lk_gated_forward(kernel, $0.count, gate.floats + start, up.floats + start, y + start)
          }
        }
      }
    }
    let (gate, upValue) = (saved, up.saved)
    return Self.recordOwning(
      product(value, up.value), inputs: [self, up], recompute: { product(gate(), upValue()) }
    ) { dy, inputs in
      // The gradient of `up` takes the place of that of the product.
      let (gate, upValue) = (gate(), upValue())
      let count = gate.elementCount
      let dgate = Tensor(shape: gate.shape) { dgate in
        dy.withUnsafeMutableBytes { bytes in
          guard let dy = bytes.baseAddress?.floats else { return }
          withExtendedLifetime((gate, upValue)) {
            parallelTiles(count, tile: elementTile) {
              let start = $0.lowerBound
              lk_gated_backward(
                kernel, $0.count, gate.floats + start, upValue.floats + start, dy + start,
                dgate + start, dy + start)
            }
          }
        }
      }
      inputs.add(dgate, to: 0)
      inputs.add(dy, to: 1)
    }
  }

  /// Softmax over the last dimension.
  public func softmax() -> Variable {
    let columns = shape.innermost
    let y = value.mappedRows { lk_softmax($0, columns, $1, $2) }
    return Self.record(y, inputs: [self]) { dy, inputs in
      let dx = Tensor(shape: y.shape) { dx in
        withExtendedLifetime((y, dy)) {
          parallelRows(y.shape) {
            let start = $0.lowerBound * columns
            lk_softmax_backward(
              $0.count, columns, y.floats + start, dy.floats + start, dx + start)
          }
        }
      }
      inputs.add(dx, to: 0)
    }
  }

  /// Sets each element to zero with probability `rate` and scales the others by `1 / (1 - rate)`.
  ///
  /// The draw is a function of `random` alone, so recomputation draws the same elements.
  public func dropout(rate: Float, random: SeededRandom) -> Variable {
    require(rate >= 0 && rate < 1, "a dropout rate is in 0..<1, not \(rate)")
    if rate == 0 { return self }
    let (seed, stream, first) = (random.seed, random.stream, random.block * 4)
    @Sendable func dropped(_ x: Tensor) -> Tensor {
      Tensor(shape: x.shape) { y in
        withExtendedLifetime(x) {
          parallelTiles(x.elementCount, tile: elementTile) {
            let start = $0.lowerBound
            lk_dropout(
              $0.count, rate, seed, stream, first + UInt64(start), x.floats + start, y + start)
          }
        }
      }
    }
    let x = saved
    return Self.record(dropped(value), inputs: [self], recompute: { dropped(x()) }) { dy, inputs in
      inputs.add(dropped(dy), to: 0)
    }
  }
}

/// Runs `body` on ranges of the rows of a tensor of `shape`, in parallel, tiles of fixed size.
func parallelRows(_ shape: Shape, _ body: (Range<Int>) -> Void) {
  parallelTiles(shape.rowCount, tile: max(1, elementTile / max(1, shape.innermost)), body)
}

extension Tensor {
  /// A tensor of the same shape that `kernel(rows, x, y)` fills, tile by tile.
  func mappedRows(
    _ kernel: (Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
  ) -> Tensor {
    Tensor(shape: shape) { y in
      withExtendedLifetime(self) {
        parallelRows(shape) {
          let start = $0.lowerBound * shape.innermost
          kernel($0.count, floats + start, y + start)
        }
      }
    }
  }
}
