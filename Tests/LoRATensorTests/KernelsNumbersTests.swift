import CLoRAKernels
import Testing

/// Reductions, the optimizer, and matrix times vectors.
@Suite struct KernelsNumbersTests {
  @Test(arguments: Family.vector) func sums(family: Family) throws {
    let table = try family.table()
    let reference = try Family.reference()
    for n in Array(0...70) + [2047, 2048, 2049, 10_000] {
      var samples = Samples(n)
      let x = samples.floats(n)
      let y = samples.floats(n)
      let bound = 1e-14 * Double(n + 1)
      #expect(abs(table.sum(n, x) - reference.sum(n, x)) <= bound, "sum of \(n)")
      #expect(abs(table.dot(n, x, y) - reference.dot(n, x, y)) <= 4 * bound, "dot of \(n)")
      #expect(
        abs(table.sum_squares(n, x) - reference.sum_squares(n, x)) <= 4 * bound,
        "sum_squares of \(n)")
    }
    let large: [Float] = [3e38, 3e38, 3e38]  // beyond float32, not beyond a double
    #expect(abs(table.sum_squares(3, large) / 2.7e77 - 1) < 1e-6)
  }

  @Test(arguments: Family.vector) func largest(family: Family) throws {
    let table = try family.table()
    let reference = try Family.reference()
    for n in Array(1...70) + [2048, 2049, 5000] {
      var samples = Samples(n)
      var x = samples.floats(n).map { ($0 * 4).rounded() }  // with repetitions
      #expect(table.max(n, x) == reference.max(n, x), "max of \(n)")
      #expect(table.argmax(n, x) == reference.argmax(n, x), "argmax of \(n)")
      for place in Set([0, n / 2, n - 1]) {
        let kept = x[place]
        for value in [100, .infinity, -.infinity, .nan] as [Float] {
          x[place] = value
          expectClose([table.max(n, x)], [reference.max(n, x)], roundings: 0, "max of \(n)")
          #expect(table.argmax(n, x) == reference.argmax(n, x), "\(value) at \(place) of \(n)")
        }
        x[place] = kept
      }
      for value in [-.infinity, .nan, -3] as [Float] {
        let same = [Float](repeating: value, count: n)
        #expect(table.argmax(n, same) == 0)
      }
    }
  }

  @Test(arguments: Family.vector) func firstNonfinite(family: Family) throws {
    for table in [try family.table(), try Family.reference()] {
      for n in Array(0...40) + [2049] {
        var x = [Float](repeating: .greatestFiniteMagnitude, count: n)
        var half = [UInt16](repeating: 0x7bff, count: n)
        var brain = [UInt16](repeating: 0xff7f, count: n)
        #expect(table.first_nonfinite_f32(n, x) == -1)
        #expect(table.first_nonfinite_f16(n, half) == -1)
        #expect(table.first_nonfinite_bf16(n, brain) == -1)
        for place in (0..<n).reversed() where n < 50 || place % 97 == 0 {
          x[place] = [.nan, .infinity, -.infinity][place % 3]
          half[place] = [0x7c00, 0xfc00, 0x7c01][place % 3]
          brain[place] = [0x7f80, 0xff80, 0xffff][place % 3]
          #expect(table.first_nonfinite_f32(n, x) == place)
          #expect(table.first_nonfinite_f16(n, half) == place)
          #expect(table.first_nonfinite_bf16(n, brain) == place)
        }
      }
    }
  }

  @Test(arguments: Family.vector) func adamW(family: Family) throws {
    for n in 0...70 {
      for step in [1, 2, 1000] {
        var samples = Samples(n)
        let p = samples.floats(n)
        let g = samples.floats(n)
        let m = samples.floats(n, -0.1, 0.1)
        let v = samples.floats(n, 0, 0.01)
        try compare(family, roundings: 8, scale: 1, "\(n) elements, step \(step)") { t in
          var m = m
          var v = v
          let out = inPlace(p) {
            t.adamw(n, $0, $0, g, 0.5, &m, &v, 1e-2, 0.9, 0.999, 1e-8, 0.1, step)
          }
          return out + m + v
        }
        // The squares have their own scale.
        try compare(family, roundings: 4, "second moments of \(n), step \(step)") { t in
          var p = p
          var m = m
          var v = v
          t.adamw(n, p, &p, g, 0.5, &m, &v, 1e-2, 0.9, 0.999, 1e-8, 0.1, step)
          return v
        }
      }
    }
  }

  /// PyTorch 2: p = [1, -2, 0.5], g = [0.1, -0.2, 0.3] twice, AdamW(lr 0.1, betas (0.9, 0.99),
  /// eps 1e-8, weight_decay 0.1). With equal gradients every update is lr times their sign.
  @Test(arguments: Family.vector) func adamWByHand(family: Family) throws {
    let table = try family.table()
    var p: [Float] = [1, -2, 0.5]
    var m: [Float] = [0, 0, 0]
    var v: [Float] = [0, 0, 0]
    for step in 1...2 {
      p = inPlace(p) {
        table.adamw(3, $0, $0, [0.1, -0.2, 0.3], 1, &m, &v, 0.1, 0.9, 0.99, 1e-8, 0.1, step)
      }
    }
    // (p - 0.01 p - 0.1) twice: 1 -> 0.89 -> 0.7811
    expectClose(p, [0.7811, -1.7612, 0.29105], roundings: 32, "two steps")
    expectClose(m, [0.019, -0.038, 0.057], roundings: 8, "first moments")
    expectClose(v, [0.000199, 0.000796, 0.001791], roundings: 8, "second moments")
  }

  @Test(arguments: Family.vector) func lion(family: Family) throws {
    for n in 0...70 {
      var samples = Samples(n)
      let p = samples.floats(n)
      let g = samples.floats(n)
      let m = samples.floats(n)
      try compare(family, roundings: 4, scale: 1, "\(n) elements") { t in
        var m = m
        let out = inPlace(p) { t.lion(n, $0, $0, g, 0.5, &m, 1e-2, 0.9, 0.99, 0.1) }
        return out + m
      }
    }
    // The sign of 0 is 0: only the decay is left.
    var (p, m): ([Float], [Float]) = ([2, 2, 2], [0, 1, -1])
    let table = try family.table()
    p = inPlace(p) { table.lion(3, $0, $0, [0, 0, 0], 1, &m, 0.5, 0.9, 0.99, 0.1) }
    expectClose(p, [1.9, 1.4, 2.4], roundings: 4, "signs")
  }

  /// A block's moments are compared as numbers: where a value lies between two codes, roundings decide.
  @Test(arguments: Family.vector) func adamW8Bit(family: Family) throws {
    let means = (0..<256).map { Float($0 - 127) / 128 }
    let squares = (0..<256).map { Float($0) * Float($0) / 65025 }
    for n in [1, 2, 3, 15, 16, 17, 100, 255, 256] {
      var samples = Samples(n)
      let p = samples.floats(n)
      let g = samples.floats(n)
      for step in [1, 1000] {
        func run(_ t: lk_kernel_table) -> (values: [Float], mean: [Float], square: [Float]) {
          var m = (0..<n).map { UInt8($0 % 256) }
          var v = (0..<n).map { UInt8(($0 * 7 + 3) % 256) }
          var (mMax, vMax): (Float, Float) = (0.3, 0.02)
          let out = inPlace(p) {
            t.adamw_8bit(
              n, $0, $0, g, 0.5, &m, &v, &mMax, &vMax, means, squares, 1e-2, 0.9, 0.999, 1e-8, 0.1,
              step)
          }
          return (
            out, m.map { means[Int($0)] * mMax }, v.map { squares[Int($0)] * vMax }
          )
        }
        let (found, wanted) = (run(try family.table()), run(try Family.reference()))
        expectClose(found.values, wanted.values, roundings: 32, scale: 16, "values of \(n)")
        for (a, b) in zip(found.mean, wanted.mean) { #expect(abs(a - b) < 0.01) }
        for (a, b) in zip(found.square, wanted.square) { #expect(abs(a - b) < 0.0005) }
      }
    }
  }

  @Test(arguments: Family.vector) func adafactor(family: Family) throws {
    for n in 0...70 {
      var samples = Samples(n)
      let g = samples.floats(n)
      let columns = samples.floats(n, 0, 1)
      try compare(family, roundings: 8, "row of \(n)") { t in
        var u = g
        t.adafactor_row(n, g, 0.5, 0.3, columns, 1e-3, &u)
        return u
      }
      try compare(family, roundings: 4, scale: 1, "squares of \(n)") { t in
        var sums = [Double](repeating: 0.25, count: n)
        t.add_squares(n, g, 0.5, &sums)
        return sums.map { Float($0) }
      }
    }
  }

  @Test(arguments: Family.vector) func matrixTimesVectors(family: Family) throws {
    for rows in 0...9 {
      for n in [0, 1, 2, 3, 4, 5, 9] {
        for k in [0, 1, 7, 15, 16, 17, 31, 32, 33, 48, 63, 70, 96, 128, 129, 191] {
          var samples = Samples(rows * 10_000 + n * 100 + k)
          let x = samples.floats(rows * k)
          let w = samples.floats(n * k)
          let brain = w.map { UInt16($0.bitPattern >> 16) }
          let half = (0..<n * k).map { _ in UInt16(samples.bits() & 0xbfff) }  // below 2
          let ldy = n + 2
          let y = samples.floats(rows * ldy)
          for accumulate in [false, true] {
            let context = "\(rows) x \(n) x \(k), accumulate \(accumulate)"
            try compare(family, roundings: 16, scale: 16, "gemv_f32 \(context)") { t in
              inPlace(y) { t.gemv_f32(rows, n, k, x, w, $0, ldy, accumulate) }
            }
            try compare(family, roundings: 16, scale: 16, "gemv_bf16 \(context)") { t in
              inPlace(y) { t.gemv_bf16(rows, n, k, x, brain, $0, ldy, accumulate) }
            }
            try compare(family, roundings: 16, scale: 16, "gemv_f16 \(context)") { t in
              inPlace(y) { t.gemv_f16(rows, n, k, x, half, $0, ldy, accumulate) }
            }
          }
        }
      }
    }
  }

  @Test(arguments: Family.vector) func longMatrixTimesVectors(family: Family) throws {
    var samples = Samples(5)
    let k = 9001  // more than two stretches, and an odd end
    let x = samples.floats(3 * k)
    let w = samples.floats(2 * k)
    let brain = w.map { UInt16($0.bitPattern >> 16) }
    let half = (0..<2 * k).map { _ in UInt16(samples.bits() & 0xbfff) }
    try compare(family, roundings: 16, scale: 128, "long") { t in
      inPlace([Float](repeating: 0, count: 18)) {
        t.gemv_f32(3, 2, k, x, w, $0, 2, false)
        t.gemv_bf16(3, 2, k, x, brain, $0 + 6, 2, false)
        t.gemv_f16(3, 2, k, x, half, $0 + 12, 2, false)
      }
    }
  }

  /// However rows and columns are divided among calls, a result has the same bits.
  @Test(arguments: Family.vector) func dividedProductsHaveTheSameBits(family: Family) throws {
    let table = try family.table()
    for k in [53, 4096 + 53] {
      var samples = Samples(k)
      let (rows, n) = (7, 11)
      let x = samples.floats(rows * k)
      let w = samples.floats(n * k)
      let narrow = w.map { UInt16($0.bitPattern >> 16) & 0xbfff }
      /// The results of one call of each kernel: all of them, or one.
      func run(_ rows: Int, _ n: Int, _ x: [Float], _ w: [Float], _ narrow: [UInt16]) -> [[Float]] {
        var results = Array(repeating: [Float](repeating: 0, count: rows * n), count: 3)
        table.gemv_f32(rows, n, k, x, w, &results[0], n, false)
        table.gemv_bf16(rows, n, k, x, narrow, &results[1], n, false)
        table.gemv_f16(rows, n, k, x, narrow, &results[2], n, false)
        return results
      }
      for count in 1...rows {
        let whole = run(count, n, x, w, narrow)
        for r in 0..<count {
          for j in 0..<n {
            let (row, column) = (r * k..<(r + 1) * k, j * k..<(j + 1) * k)
            let one = run(1, 1, Array(x[row]), Array(w[column]), Array(narrow[column]))
            for kernel in 0..<3 {
              #expect(
                one[kernel][0].bitPattern == whole[kernel][r * n + j].bitPattern,
                "kernel \(kernel), \(count) rows: row \(r), column \(j)")
            }
          }
        }
      }
    }
  }
}
