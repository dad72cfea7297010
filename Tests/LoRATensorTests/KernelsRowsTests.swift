import CLoRAKernels
import Testing

/// Rows and columns, softmax, attention scores.
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

  /// One tile of attention: some rows see nothing, some a part, some everything.
  @Test(arguments: Family.vector) func attention(family: Family) throws {
    let reference = try Family.reference()
    for cols in 0...37 {
      for (firstQuery, firstKey) in [(0, 0), (3, 0), (40, 0), (5, 9), (20, 7), (0, 50), (90, 10)] {
        for window in [0, 1, 5, 100] {
          let rows = 6
          let stride = cols + 2
          var samples = Samples(cols * 1000 + firstQuery * 10 + window)
          let s = samples.floats(rows * stride, -30, 30)
          let context = "\(cols) keys, positions \(firstQuery) and \(firstKey), window \(window)"
          var wantLSE = [Float](repeating: 9, count: rows)
          try compare(family, roundings: 40, "softmax, \(context)") { t in
            var lse = [Float](repeating: 9, count: rows)
            let p = inPlace(s) {
              t.attention_softmax(rows, cols, stride, firstQuery, firstKey, window, 0.3, $0, &lse)
            }
            wantLSE = lse
            return p + lse
          }
          _ = inPlace(s) {
            reference.attention_softmax(
              rows, cols, stride, firstQuery, firstKey, window, 0.3, $0, &wantLSE)
          }
          try compare(family, roundings: 40, "probabilities, \(context)") { t in
            inPlace(s) {
              t.attention_probabilities(
                rows, cols, stride, firstQuery, firstKey, window, 0.3, $0, wantLSE)
            }
          }
          let delta = samples.floats(rows)
          let p = samples.floats(rows * stride, 0, 1)
          try compare(family, roundings: 4, scale: 2, "scores_backward, \(context)") { t in
            inPlace(s) { t.attention_scores_backward(rows, cols, stride, p, $0, delta, 0.3) }
          }
        }
      }
    }
  }

  @Test(arguments: Family.vector) func maskedRowsAreZero(family: Family) throws {
    let table = try family.table()
    let s = [Float](repeating: 1, count: 4 * 20)
    var lse = [Float](repeating: 9, count: 4)
    // Keys 10 ..., queries 8 ... 11: the first two rows see nothing.
    var p = inPlace(s) { table.attention_softmax(4, 20, 20, 8, 10, 0, 1, $0, &lse) }
    #expect(p[0..<40].allSatisfy { $0 == 0 })
    #expect(p[40] == 1 && p[60] == 0.5 && p[61] == 0.5 && p[62] == 0)
    #expect(lse[0] == -.infinity && lse[1] == -.infinity && lse[2] == 1)
    p = inPlace(s) { table.attention_probabilities(4, 20, 20, 8, 10, 0, 1, $0, lse) }
    #expect(p[0..<40].allSatisfy { $0 == 0 })
    expectClose(Array(p[60..<63]), [0.5, 0.5, 0], roundings: 4, "probabilities")
    // Visible keys whose scores are all -infinity.
    let none = [Float](repeating: -.infinity, count: 20)
    p = inPlace(none) { table.attention_softmax(1, 20, 20, 30, 0, 0, 1, $0, &lse) }
    #expect(p.allSatisfy { $0 == 0 } && lse[0] == -.infinity)
    p = inPlace(none) { table.attention_probabilities(1, 20, 20, 30, 0, 0, 1, $0, lse) }
    #expect(p.allSatisfy { $0 == 0 })
  }
}
