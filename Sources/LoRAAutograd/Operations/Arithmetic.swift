import CLoRAKernels
import LoRATensor

extension Variable {
  /// The sum, with broadcasting.
  public static func + (a: Variable, b: Variable) -> Variable {
    let (p, q) = (a.shape, b.shape)
    return record(a.value + b.value, inputs: [a, b]) { dy, inputs in
      if inputs.isNeeded(0) { inputs.add(dy.summed(to: p), to: 0) }
      if inputs.isNeeded(1) { inputs.add(dy.summed(to: q), to: 1) }
    }
  }

  /// The difference, with broadcasting.
  public static func - (a: Variable, b: Variable) -> Variable {
    let (p, q) = (a.shape, b.shape)
    return record(a.value - b.value, inputs: [a, b]) { dy, inputs in
      if inputs.isNeeded(0) { inputs.add(dy.summed(to: p), to: 0) }
      if inputs.isNeeded(1) { inputs.add(dy.scaled(by: -1).summed(to: q), to: 1) }
    }
  }

  /// The elementwise product, with broadcasting.
  public static func * (a: Variable, b: Variable) -> Variable {
    let (p, q) = (a.shape, b.shape)
    let x = b.requiresGradient ? a.value : nil
    let y = a.requiresGradient ? b.value : nil
    return record(a.value * b.value, inputs: [a, b]) { dy, inputs in
      if let y, inputs.isNeeded(0) { inputs.add((dy * y).summed(to: p), to: 0) }
      if let x, inputs.isNeeded(1) { inputs.add((dy * x).summed(to: q), to: 1) }
    }
  }

  /// The quotient, with broadcasting.
  public static func / (a: Variable, b: Variable) -> Variable {
    let (p, q) = (a.shape, b.shape)
    let divisor = b.value
    let quotient = a.value / divisor
    return record(quotient, inputs: [a, b]) { dy, inputs in
      let da = dy / divisor
      if inputs.isNeeded(0) { inputs.add(da.summed(to: p), to: 0) }
      if inputs.isNeeded(1) { inputs.add((da * quotient).scaled(by: -1).summed(to: q), to: 1) }
    }
  }

  /// The negation.
  public static prefix func - (x: Variable) -> Variable { x.scaled(by: -1) }

  /// Every element times the constant `factor`.
  public func scaled(by factor: Float) -> Variable {
    Self.record(value.scaled(by: factor), inputs: [self]) { dy, inputs in
      inputs.add(dy.scaled(by: factor), to: 0)
    }
  }

  /// Every element plus the constant `term`.
  public func adding(_ term: Float) -> Variable {
    Self.record(value.adding(term), inputs: [self]) { dy, inputs in inputs.add(dy, to: 0) }
  }

  /// The sum of all elements, a scalar.
  public func sum() -> Variable {
    let shape = shape
    return Self.record(Tensor(scalar: Float(value.sum())), inputs: [self]) { dy, inputs in
      inputs.add(dy.expanded(to: shape), to: 0)
    }
  }

  /// The mean of all elements, a scalar.
  public func mean() -> Variable {
    sum().scaled(by: 1 / Float(max(value.elementCount, 1)))
  }

  /// The sum along `axis`, which is kept with an extent of 1. Negative axes count from the end.
  public func sum(axis: Int) -> Variable {
    let axis = axis < 0 ? shape.count + axis : axis
    let shape = shape
    return Self.record(value.summed(axis: axis), inputs: [self]) { dy, inputs in
      inputs.add(dy.expanded(to: shape), to: 0)
    }
  }

  /// The mean along `axis`, which is kept with an extent of 1. Negative axes count from the end.
  public func mean(axis: Int) -> Variable {
    sum(axis: axis).scaled(by: 1 / Float(max(shape[axis], 1)))
  }

  /// The matrix product of `[m, k]` and `[k, n]`, or of two stacks of equally many matrices,
  /// `[batch, m, k]` and `[batch, k, n]`.
  public func matrixProduct(with other: Variable) -> Variable {
    let isStack = shape.count == 3
    require(
      (isStack || shape.count == 2) && other.shape.count == shape.count
        && shape[-1] == other.shape[-2] && (!isStack || shape[0] == other.shape[0]),
      "a matrix product of \(shape) and \(other.shape): [m, k] times [k, n], or equally many of both"
    )
    let batch = isStack ? shape[0] : 1
    let (m, k, n) = (shape[-2], shape[-1], other.shape[-1])
    let (a, b) = (value, other.value)
    let product = Tensor(shape: Shape(shape.dimensions.dropLast() + [n])) { c in
      for i in 0..<batch {
        gemm(
          m: m, n: n, k: k, a.floats + i * m * k, lda: k, b.floats + i * k * n, ldb: n,
          c + i * m * n, ldc: n)
      }
    }
    return Self.record(product, inputs: [self, other]) { dc, inputs in
      withExtendedLifetime((a, b, dc)) {
        inputs.accumulate(to: 0, shape: a.shape) { da, beta in
          for i in 0..<batch {
            gemm(
              transposeB: true, m: m, n: k, k: n, dc.floats + i * m * n, lda: n,
              b.floats + i * k * n, ldb: n, beta: beta, da + i * m * k, ldc: k)
          }
        }
        inputs.accumulate(to: 1, shape: b.shape) { db, beta in
          for i in 0..<batch {
            gemm(
              transposeA: true, m: k, n: n, k: m, a.floats + i * m * k, lda: k,
              dc.floats + i * m * n, ldb: n, beta: beta, db + i * k * n, ldc: n)
          }
        }
      }
    }
  }
}
