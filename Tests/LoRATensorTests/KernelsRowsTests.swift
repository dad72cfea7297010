import CLoRAKernels
import Testing

/// Rows and columns, softmax.
@Suite struct KernelsRowsTests {
  @Test(arguments: Family.vector) func rowsAndColumns(family: Family) throws {
    for rows in [0, 1, 2, 3, 4, 5, 9] {
      for cols in 0...40 {
        var samples = Samples(rows * 100 + cols)
        let x = samples.floats(rows * cols)
        let row = samples.floats(cols)
        let before = samples.floats(cols)
        let context = "\(rows) x \(cols)"
        try compare(family, roundings: 0, "add_row \(context)") { t in
          inPlace(x) { t.add_row(rows, cols, row, $0) }
        }
        try compare(family, roundings: 0, "mul_row \(context)") { t in
          inPlace(x) { t.mul_row(rows, cols, $0, row, $0) }
        }
        try compare(family, roundings: 8, scale: 4, "sum_rows \(context)") { t in
          inPlace(before) { t.sum_rows(rows, cols, x, $0) }
        }
        try compare(family, roundings: 8, scale: 8, "row_sums \(context)") { t in
          var sums = [Float](repeating: 9, count: rows)
          t.row_sums(rows, cols, x, &sums)
          return sums
        }
        try compare(family, roundings: 0, "transpose \(context)") { t in
          var y = x
          t.transpose(rows, cols, x, &y)
          return y
        }
        try compare(family, roundings: 0, "transpose \(cols) x \(rows)") { t in
          var y = x
          t.transpose(cols, rows, x, &y)
          return y
        }
        let ldx = cols + 3
        let ldy = cols + 1
        let wide = samples.floats(rows * ldx)
        let other = samples.floats(rows * ldy)
        try compare(family, roundings: 8, scale: 8, "row_dots \(context)") { t in
          var dots = [Float](repeating: 9, count: rows)
          t.row_dots(rows, cols, wide, ldx, other, ldy, &dots)
          return dots
        }
      }
    }
  }

  @Test(arguments: Family.vector) func longRowsKeepTheirDigits(family: Family) throws {
    let cols = 151_936  // a large vocabulary: beyond several blocks
    var samples = Samples(1)
    let x = samples.floats(cols, 0, 1)
    try compare(family, roundings: 2, "row_sums") { t in
      var sum: [Float] = [0]
      t.row_sums(1, cols, x, &sum)
      return sum
    }
    try compare(family, roundings: 16, "softmax") { t in
      inPlace(x) { t.softmax(1, cols, $0, $0) }
    }
    try compare(family, roundings: 4, "cross_entropy") { t in
      var loss: [Float] = [0]
      var lse: [Float] = [0]
      t.cross_entropy(1, cols, x, [7], &loss, &lse)
      return loss + lse
    }
  }

  @Test(arguments: Family.vector) func softmax(family: Family) throws {
    for rows in 0...3 {
      for cols in 0...70 {
        var samples = Samples(rows * 100 + cols)
        // Exponents down to -40, themselves rounded to float32: 40 roundings of a probability.
        let x = samples.floats(rows * cols, -20, 20)
        let dy = samples.floats(rows * cols)
        try compare(family, roundings: 48, "softmax \(rows) x \(cols)") { t in
          var y = x
          t.softmax(rows, cols, x, &y)
          return y
        }
        try compare(family, roundings: 48, "softmax \(rows) x \(cols) in place") { t in
          inPlace(x) { t.softmax(rows, cols, $0, $0) }
        }
        var y = x
        try Family.reference().softmax(rows, cols, x, &y)
        try compare(family, roundings: 8, scale: 2, "softmax_backward \(rows) x \(cols)") { t in
          inPlace(dy) { t.softmax_backward(rows, cols, y, $0, $0) }
        }
      }
    }
  }

  @Test(arguments: Family.vector) func softmaxOfSpecialRows(family: Family) throws {
    let table = try family.table()
    for cols in 1...40 {
      let none = inPlace([Float](repeating: -.infinity, count: cols)) {
        table.softmax(1, cols, $0, $0)
      }
      #expect(none == [Float](repeating: 0, count: cols))
      for place in 0..<cols {
        var x = [Float](repeating: -.infinity, count: cols)
        x[place] = -80  // the only one that counts, however small
        var one = [Float](repeating: 0, count: cols)
        one[place] = 1
        #expect(inPlace(x) { table.softmax(1, cols, $0, $0) } == one)
        x[place] = .nan
        let nan = inPlace(x) { table.softmax(1, cols, $0, $0) }
        #expect(nan.allSatisfy { $0.isNaN }, "NaN at \(place) of \(cols)")
      }
      // Far from zero: nothing overflows.
      let large = inPlace([Float](repeating: 3e38, count: cols)) { table.softmax(1, cols, $0, $0) }
      expectClose(
        large, [Float](repeating: 1 / Float(cols), count: cols), roundings: 2, "large \(cols)")
    }
  }
}
