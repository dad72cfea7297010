import CLoRAKernels
import Testing

/// Arithmetic and functions of one element.
@Suite struct KernelsElementwiseTests {
  typealias Binary = (Int, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>)
    -> Void

  private func binaries(_ table: lk_kernel_table) -> [(String, Binary)] {
    [
      ("add", { table.add($0, $1, $2, $3) }), ("sub", { table.sub($0, $1, $2, $3) }),
      ("mul", { table.mul($0, $1, $2, $3) }), ("div", { table.div($0, $1, $2, $3) }),
    ]
  }

  @Test(arguments: Family.vector) func arithmetic(family: Family) throws {
    let table = try family.table()
    let reference = try Family.reference()
    for n in 0...70 {
      var samples = Samples(n)
      let x = samples.floats(n)
      let y = samples.floats(n)
      for ((name, got), (_, want)) in zip(binaries(table), binaries(reference)) {
        var a = [Float](repeating: 9, count: n)
        var b = a
        got(n, x, y, &a)
        want(n, x, y, &b)
        expectClose(a, b, roundings: 0, "\(name) \(n)")
        expectClose(inPlace(x) { got(n, $0, y, $0) }, b, roundings: 0, "\(name) \(n) into x")
        expectClose(inPlace(y) { got(n, x, $0, $0) }, b, roundings: 0, "\(name) \(n) into y")
      }
      for b in [0, -1.5] as [Float] {
        try compare(family, roundings: 2, scale: 4, "axpby \(n)") { t in
          inPlace(y) { t.axpby(n, 0.7, x, b, $0) }
        }
      }
      try compare(family, roundings: 2, scale: 4, "axpy \(n)") { t in
        inPlace(y) { t.axpy(n, -0.7, x, $0) }
      }
      try compare(family, roundings: 2, scale: 4, "muladd \(n)") { t in
        inPlace(y) { t.muladd(n, x, y, $0) }
      }
      try compare(family, roundings: 0, "scale \(n)") { t in inPlace(x) { t.scale(n, 3.3, $0, $0) }
      }
      try compare(family, roundings: 0, "add_scalar \(n)") { t in
        inPlace(x) { t.add_scalar(n, 0.1, $0, $0) }
      }
      try compare(family, roundings: 0, "fill \(n)") { t in inPlace(x) { t.fill(n, 7, $0) } }
    }
  }

  @Test(arguments: Family.vector) func withZeroFactorTheTargetIsNotRead(family: Family) throws {
    let table = try family.table()
    let y = inPlace([.nan, .infinity, .nan]) { table.axpby(3, 2, [1, 2, 3], 0, $0) }
    #expect(y == [2, 4, 6])
  }

  @Test(arguments: Family.vector) func specialValuesInArithmetic(family: Family) throws {
    for (shift, _) in specialValues.enumerated() {
      let x = specialValues
      let y = Array(specialValues[shift...] + specialValues[..<shift])
      for index in 0..<4 {
        try compare(family, roundings: 0, "operation \(index), shift \(shift)") { t in
          var z = x
          binaries(t)[index].1(x.count, x, y, &z)
          return z
        }
      }
    }
  }

  static let operations: [lk_unary] = (0..<LK_UNARY_COUNT.rawValue).map {
    lk_unary(rawValue: $0)
  }

  /// Float32 from end to end: every 65,521st bit pattern, and the special values.
  private static let sweep: [Float] =
    stride(from: UInt64(0), to: 1 << 32, by: 65521).map { Float(bitPattern: UInt32($0)) }
    + specialValues + stride(from: Float(-16), through: 16, by: 0.00390625)

  @Test(arguments: Family.vector) func functions(family: Family) throws {
    let x = Self.sweep
    for operation in Self.operations {
      try compare(family, roundings: 8, "function \(operation.rawValue)") { t in
        var y = x
        t.unary_forward(operation, x.count, x, &y)
        return y
      }
    }
  }

  @Test(arguments: Family.vector) func slopes(family: Family) throws {
    let x = Self.sweep
    let ones = [Float](repeating: 1, count: x.count)
    for operation in Self.operations {
      // SiLU and GELU have a slope of zero near -1, where only terms of about 1 cancel.
      let cancels = operation.rawValue >= LK_SILU.rawValue
      try compare(
        family, roundings: 8, scale: cancels ? 0.25 : 0, "slope of \(operation.rawValue)"
      ) { t in
        var dx = x
        t.unary_backward(operation, x.count, x, ones, &dx, false)
        return dx
      }
    }
  }

  /// SiLU's and GELU's slopes keep their relative precision in the tail, where they are tiny.
  @Test(arguments: Family.vector) func tails(family: Family) throws {
    let ranges: [(lk_unary, Float)] = [(LK_SILU, -87), (LK_GELU, -12.5), (LK_GELU_TANH, -9.5)]
    for (operation, low) in ranges {
      let x = Array(stride(from: low, through: -3, by: 0.01))
      let ones = [Float](repeating: 1, count: x.count)
      try compare(family, roundings: 24, "tail of \(operation.rawValue)") { t in
        var dx = x
        t.unary_backward(operation, x.count, x, ones, &dx, false)
        return dx
      }
    }
  }

  @Test(arguments: Family.vector) func limits(family: Family) throws {
    let table = try family.table()
    let x: [Float] = [-.infinity, .infinity, .nan]
    let want: [(lk_unary, Float, Float)] = [
      (LK_EXP, 0, .infinity), (LK_LOG, .nan, .infinity), (LK_SQRT, .nan, .infinity),
      (LK_RSQRT, .nan, 0), (LK_SQUARE, .infinity, .infinity), (LK_TANH, -1, 1),
      (LK_SIGMOID, 0, 1), (LK_RELU, 0, .infinity), (LK_SILU, 0, .infinity),
      (LK_GELU, 0, .infinity), (LK_GELU_TANH, 0, .infinity),
    ]
    for (operation, low, high) in want {
      // Repeated, so that both the vectors and what is left at their end see each value.
      for value in 0..<3 {
        let y = inPlace([Float](repeating: x[value], count: 37)) {
          table.unary_forward(operation, 37, $0, $0)
        }
        expectClose(
          y, [Float](repeating: [low, high, .nan][value], count: 37), roundings: 0,
          "limit of \(operation.rawValue) at \(x[value])")
      }
    }
  }

  @Test(arguments: Family.vector) func everySizeOfFunctions(family: Family) throws {
    for n in 0...70 {
      var samples = Samples(n)
      let x = samples.floats(n, 0.1, 3)
      let dy = samples.floats(n)
      let before = samples.floats(n)
      for operation in Self.operations {
        try compare(family, roundings: 8, "function \(operation.rawValue), \(n)") { t in
          inPlace(x) { t.unary_forward(operation, n, $0, $0) }
        }
        for accumulate in [false, true] {
          try compare(family, roundings: 16, scale: 4, "slope \(operation.rawValue), \(n)") { t in
            inPlace(before) { t.unary_backward(operation, n, x, dy, $0, accumulate) }
          }
        }
      }
    }
  }

  /// A result does not depend on where its element stands: threads may split an array anywhere.
  @Test(arguments: Family.vector) func positionDoesNotMatter(family: Family) throws {
    let table = try family.table()
    var samples = Samples(3)
    let x = samples.floats(61, -4, 4)
    for operation in Self.operations {
      var whole = x
      table.unary_forward(operation, 61, x, &whole)
      for i in 0..<61 {
        var one: [Float] = [0]
        table.unary_forward(operation, 1, [x[i]], &one)
        #expect(
          one[0].bitPattern == whole[i].bitPattern || one[0].isNaN,
          "function \(operation.rawValue) of \(x[i])")
      }
    }
  }

  @Test(arguments: Family.vector) func gates(family: Family) throws {
    for operation in [LK_SILU, LK_GELU, LK_GELU_TANH] {
      for n in Array(0...70) + [specialValues.count] {
        var samples = Samples(n)
        let special = n == specialValues.count
        let gate = special ? specialValues : samples.floats(n, -6, 6)
        let up = samples.floats(n)
        let dy = samples.floats(n)
        let context = "gate \(operation.rawValue), \(n)"
        try compare(family, roundings: 10, context) { t in
          inPlace(up) { t.gated_forward(operation, n, gate, $0, $0) }
        }
        try compare(family, roundings: 16, scale: 1, context) { t in
          var dgate = gate
          let dup = inPlace(up) { up in
            dgate = inPlace(gate) { gate in
              t.gated_backward(operation, n, gate, up, dy, gate, up)
            }
          }
          return dgate + dup
        }
        try compare(family, roundings: 16, scale: 1, context) { t in
          inPlace(gate) { t.gated_backward(operation, n, gate, up, dy, $0, nil) }
            + inPlace(gate) { t.gated_backward(operation, n, gate, up, dy, nil, $0) }
        }
      }
    }
  }

  @Test(arguments: Family.vector) func clampedGates(family: Family) throws {
    for n in 0...70 {
      var samples = Samples(n)
      // Some beyond the limit of 3, on both sides.
      let (z, dy) = (samples.floats(2 * n, -6, 6), samples.floats(n))
      try compare(family, roundings: 16, "clamped gate, \(n)") { t in
        var y = [Float](repeating: 0, count: n)
        t.clamped_gate_forward(n, 1.702, 3, z, &y)
        return y
      }
      try compare(family, roundings: 16, scale: 1, "clamped gate backward, \(n)") { t in
        inPlace(z) { t.clamped_gate_backward(n, 1.702, 3, $0, dy, $0) }
      }
    }
  }
}
