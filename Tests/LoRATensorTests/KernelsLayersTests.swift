import CLoRAKernels
import Testing

/// Norms, rotary embedding, embedding rows and the loss.
@Suite struct KernelsLayersTests {
  @Test(arguments: Family.vector) func rmsNorm(family: Family) throws {
    for rows in [0, 1, 3] {
      for cols in 1...70 {
        var samples = Samples(rows * 100 + cols)
        let x = samples.floats(rows * cols)
        let weight = samples.floats(cols)
        let dy = samples.floats(rows * cols)
        let before = samples.floats(rows * cols)
        let context = "\(rows) x \(cols)"
        var inv = [Float](repeating: 9, count: rows)
        try compare(family, roundings: 8, "rmsnorm \(context)") { t in
          let y = inPlace(x) { t.rmsnorm(rows, cols, $0, weight, 1e-5, $0, &inv) }
          return y + inv
        }
        try compare(family, roundings: 8, "rmsnorm without inv \(context)") { t in
          inPlace(x) { t.rmsnorm(rows, cols, $0, weight, 1e-5, $0, nil) }
        }
        for accumulate in [false, true] {
          // With one column everything cancels, and with large inv the terms are large.
          let scale = (inv.max() ?? 1) * 8 * (1 + (inv.max() ?? 1))
          try compare(family, roundings: 8, scale: scale, "rmsnorm_backward \(context)") { t in
            var dweight = weight
            let dx = inPlace(before) {
              t.rmsnorm_backward(rows, cols, x, weight, inv, dy, $0, accumulate, &dweight)
            }
            return dx + dweight
          }
        }
        try compare(family, roundings: 8, scale: 64, "rmsnorm_backward of weight \(context)") { t in
          var dweight = weight
          t.rmsnorm_backward(rows, cols, x, weight, inv, dy, nil, false, &dweight)
          return dweight
        }
      }
    }
  }

  @Test(arguments: Family.vector) func layerNorm(family: Family) throws {
    for rows in [0, 1, 3] {
      for cols in 1...70 {
        var samples = Samples(rows * 100 + cols)
        let x = samples.floats(rows * cols)
        let weight = samples.floats(cols)
        let bias = samples.floats(cols)
        let dy = samples.floats(rows * cols)
        let before = samples.floats(rows * cols)
        let context = "\(rows) x \(cols)"
        var mean = [Float](repeating: 9, count: rows)
        var inv = mean
        // eps of 0.01 bounds the condition number where a row has one or two columns.
        try compare(family, roundings: 16, scale: 16, "layernorm \(context)") { t in
          let y = inPlace(x) { t.layernorm(rows, cols, $0, weight, bias, 0.01, $0, &mean, &inv) }
          return y + mean + inv
        }
        try compare(family, roundings: 16, scale: 16, "layernorm without bias \(context)") { t in
          inPlace(x) { t.layernorm(rows, cols, $0, weight, nil, 0.01, $0, nil, nil) }
        }
        for accumulate in [false, true] {
          try compare(family, roundings: 16, scale: 128, "layernorm_backward \(context)") { t in
            var dweight = weight
            var dbias = bias
            let dx = inPlace(before) {
              t.layernorm_backward(
                rows, cols, x, weight, mean, inv, dy, $0, accumulate, &dweight, &dbias)
            }
            return dx + dweight + dbias
          }
        }
      }
    }
  }

  @Test(arguments: Family.vector) func rotary(family: Family) throws {
    for (dim, rotary) in [(2, 2), (4, 4), (6, 2), (16, 16), (20, 18), (64, 64), (70, 64)] {
      for rows in 0...3 {
        for heads in 1...3 {
          let ldx = heads * dim + 5
          var samples = Samples(dim * 100 + rows * 10 + heads)
          let x = samples.floats(rows * ldx)
          let cosines = samples.floats(rows * rotary / 2)
          let sines = samples.floats(rows * rotary / 2)
          for (adjacent, inverse) in [(false, false), (false, true), (true, false), (true, true)] {
            let context = "rotary \(rotary) of \(dim), \(rows) rows, \(heads) heads"
            try compare(family, roundings: 2, scale: 8, context) { t in
              inPlace(x) {
                t.rotary(
                  rows, heads, dim, rotary, cosines, sines, adjacent, inverse, $0, ldx, $0, ldx)
              }
            }
            let ldy = heads * dim
            try compare(family, roundings: 2, scale: 8, context) { t in
              var y = [Float](repeating: 9, count: rows * ldy)
              t.rotary(
                rows, heads, dim, rotary, cosines, sines, adjacent, inverse, x, ldx, &y, ldy)
              return y
            }
          }
        }
      }
    }
  }

  @Test(arguments: Family.vector) func rotaryPairs(family: Family) throws {
    let table = try family.table()
    // A quarter turn: (a, b) becomes (-b, a).
    var y = inPlace([1, 2, 3, 4, 5]) {
      table.rotary(1, 1, 5, 4, [0, 0], [1, 1], false, false, $0, 5, $0, 5)
    }
    #expect(y == [-3, -4, 1, 2, 5])
    y = inPlace([1, 2, 3, 4, 5]) {
      table.rotary(1, 1, 5, 4, [0, 0], [1, 1], true, false, $0, 5, $0, 5)
    }
    #expect(y == [-2, 1, -4, 3, 5])
  }

  @Test(arguments: Family.vector) func embeddingRows(family: Family) throws {
    for cols in 0...40 {
      for rows in [0, 1, 7] {
        var samples = Samples(cols)
        let ids = samples.indexes(rows, below: 5)
        let weights = samples.floats(5 * cols)
        let narrow = weights.map { UInt16($0.bitPattern >> 16) }
        let half = (0..<5 * cols).map { _ in UInt16(samples.bits() & 0x7bff) }
        let dy = samples.floats(rows * cols)
        let y = [Float](repeating: 9, count: rows * cols)
        let context = "\(rows) rows of \(cols)"
        try compare(family, roundings: 0, "gather_f32, \(context)") { t in
          inPlace(y) { t.gather_f32(rows, cols, weights, ids, $0) }
        }
        try compare(family, roundings: 0, "gather_bf16, \(context)") { t in
          inPlace(y) { t.gather_bf16(rows, cols, narrow, ids, $0) }
        }
        try compare(family, roundings: 0, "gather_f16, \(context)") { t in
          inPlace(y) { t.gather_f16(rows, cols, half, ids, $0) }
        }
        try compare(family, roundings: 0, "scatter_add, \(context)") { t in
          inPlace(weights) { t.scatter_add(rows, cols, dy, ids, $0) }
        }
      }
    }
  }

  @Test(arguments: Family.vector) func crossEntropy(family: Family) throws {
    for cols in 1...70 {
      let rows = 4
      var samples = Samples(cols)
      let logits = samples.floats(rows * cols, -15, 15)
      var targets = samples.indexes(rows, below: cols)
      targets[2] = -100
      var lse = [Float](repeating: 9, count: rows)
      try compare(family, roundings: 2, scale: 16, "cross_entropy of \(cols)") { t in
        var loss = [Float](repeating: 9, count: rows)
        t.cross_entropy(rows, cols, logits, targets, &loss, &lse)
        return loss + lse
      }
      try compare(family, roundings: 2, scale: 16, "cross_entropy without lse of \(cols)") { t in
        var loss = [Float](repeating: 9, count: rows)
        t.cross_entropy(rows, cols, logits, targets, &loss, nil)
        return loss
      }
      // The exponent l - lse is rounded in float32: 16 roundings of a probability.
      try compare(family, roundings: 16, scale: 1, "cross_entropy_backward of \(cols)") { t in
        inPlace(logits) { t.cross_entropy_backward(rows, cols, $0, targets, lse, 0.5) }
      }
      try compare(family, roundings: 16, scale: 16, "cross_entropy_gradient of \(cols)") { t in
        var loss = [Float](repeating: 9, count: rows)
        let gradient = inPlace(logits) {
          t.cross_entropy_gradient(rows, cols, $0, targets, 0.5, &loss)
        }
        return loss + gradient.map { 16 * $0 }
      }
    }
  }

  @Test(arguments: Family.vector) func ignoredRowsHaveNoGradient(family: Family) throws {
    let table = try family.table()
    let dx = inPlace([1, 2, .nan, 4]) {
      table.cross_entropy_backward(2, 2, $0, [0, -1], [2.3132617, .nan], 1)
    }
    #expect(dx[2] == 0 && dx[3] == 0)
    expectClose(Array(dx[0..<2]), [-0.7310586, 0.7310586], roundings: 8, "gradient")
    var loss: [Float] = [9, 9]
    let both = inPlace([1, 2, .nan, 4]) {
      table.cross_entropy_gradient(2, 2, $0, [0, -1], 1, &loss)
    }
    expectClose(both + loss, [-0.7310586, 0.7310586, 0, 0, 1.3132617, 0], roundings: 8, "both")
  }
}
