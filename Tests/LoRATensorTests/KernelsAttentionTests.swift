import CLoRAKernels
import LoRATensor
import Testing

/// Scores of attention, and products with packed matrices.
@Suite struct KernelsAttentionTests {
  /// The keys that six queries see: the first of each and the end of each.
  struct Intervals: Sendable {
    var first: [Int32]
    var end: [Int32]

    init(_ intervals: [(Int32, Int32)]) {
      first = intervals.map { $0.0 }
      end = intervals.map { $0.1 }
    }

    /// A causal mask's, whose first query is at `position`.
    init(causalFrom position: Int32, window: Int32) {
      self.init((position..<position + 6).map { (max(0, $0 - window + 1), $0 + 1) })
    }
  }

  /// Along the diagonal, with windows, and such that rows have nothing to do with each other: some see
  /// nothing, an end before the beginning included, some one key, some more than there is.
  static let intervals: [Intervals] =
    ([0, 3, 40, 5, 20, 90] as [Int32]).flatMap { position in
      ([1, 5, 100] as [Int32]).map { Intervals(causalFrom: position, window: $0) }
    } + [
      Intervals([(0, 0), (0, 100), (5, 9), (30, 31), (40, 0), (7, 20)]),
      Intervals([(16, 32), (32, 48), (1, 2), (9, 9), (3, 60), (0, 17)]),
    ]

  /// One tile of attention: some rows see nothing, some a part, some everything.
  @Test(arguments: Family.vector) func scores(family: Family) throws {
    for cols in 0...37 {
      for (index, intervals) in Self.intervals.enumerated() {
        for (firstKey, cap, slope, isBiased) in [
          (0, 0, 0, false), (7, 0, 0, false), (50, 0, 0, false), (0, 3, 0, false),
          (7, 20, 0, false), (0, 0, 0.25, false), (7, 0, 0.03, false), (7, 3, 0.5, false),
          (0, 0, 0, true), (7, 0, 0.1, true), (7, 3, 0, true),
        ] as [(Int, Float, Float, Bool)] {
          let (first, end) = (intervals.first, intervals.end)
          let rows = 6
          let stride = cols + 2
          var samples = Samples(cols * 1000 + index * 10 + firstKey)
          let s = samples.floats(rows * stride, -9, 9)
          let context =
            "\(cols) keys from \(firstKey), intervals \(index), cap \(cap), slope \(slope), "
            + "bias \(isBiased)"
          // One for every distance, those of the last row first.
          let biases = samples.floats(rows + cols, -2, 2)
          let bias = Tensor(biases)
          let center = isBiased ? bias.floats + (rows - 1) : nil
          let roundings = slope == 0 && !isBiased ? 40.0 : 200
          defer { withExtendedLifetime(bias) {} }
          var lse = [Float](repeating: 9, count: rows)
          try compare(family, roundings: roundings, "softmax, \(context)") { t in
            inPlace(s) {
              t.attention_softmax(
                rows, cols, stride, first, end, firstKey, 0.5, cap, slope, center, $0, &lse)
            }
          }
          // A sum of logarithms, which may cancel.
          try compare(family, roundings: roundings, scale: 1, "sums, \(context)") { t in
            _ = inPlace(s) {
              t.attention_softmax(
                rows, cols, stride, first, end, firstKey, 0.5, cap, slope, center, $0, &lse)
            }
            return lse
          }
          // Rows that have seen nothing, little and much before this block.
          let before: [Float] = [-.infinity, -20, 0, 3, 8.5, 40]
          let sums: [Double] = [0, 1, 1.5, 7, 2, 3]
          try compare(family, roundings: roundings, "exponentials, \(context)") { t in
            var (largest, sum, factor) = (before, sums, before)
            let p = inPlace(s) {
              t.attention_exponentials(
                rows, cols, stride, first, end, firstKey, cap, slope, center, $0, &largest, &sum,
                &factor)
            }
            return p + largest + sum.map { Float($0) } + factor
          }
          let delta = samples.floats(rows)
          let dp = samples.floats(rows * stride)
          try compare(family, roundings: roundings, scale: 1, "gradients, \(context)") {
            t in
            var gradients: [Float] = []
            let p = inPlace(s) { p in
              gradients = inPlace(dp) {
                t.attention_gradients(
                  rows, cols, stride, first, end, firstKey, cap, slope, center, p, $0, lse, delta)
              }
            }
            return p + gradients
          }
        }
      }
    }
  }

  @Test(arguments: Family.vector) func finish(family: Family) throws {
    let largest: [Float] = [-.infinity, 0, -3, 80]
    for cols in 0...20 {
      var samples = Samples(cols)
      let o = samples.floats(4 * cols)
      try compare(family, roundings: 4, "\(cols) columns") { t in
        var lse = [Float](repeating: 9, count: 4)
        let y = inPlace([Float](repeating: 7, count: 4 * (cols + 3))) {
          t.attention_finish(4, cols, o, largest, [0, 1, 2.5, 300], $0, cols + 3, &lse)
        }
        return y + lse
      }
    }
  }

  @Test(arguments: Family.vector) func maskedRowsAreZero(family: Family) throws {
    let table = try family.table()
    let s = [Float](repeating: 1, count: 4 * 20)
    var lse = [Float](repeating: 9, count: 4)
    // Keys 10 ..., queries at 8 ... 11 that see those up to themselves: the first two see nothing.
    let (first, end): ([Int32], [Int32]) = ([0, 0, 0, 0], [9, 10, 11, 12])
    var p = inPlace(s) {
      table.attention_softmax(4, 20, 20, first, end, 10, 1, 0, 0, nil, $0, &lse)
    }
    #expect(p[0..<40].allSatisfy { $0 == 0 })
    #expect(p[40] == 1 && p[60] == 0.5 && p[61] == 0.5 && p[62] == 0)
    #expect(lse[0] == -.infinity && lse[1] == -.infinity && lse[2] == 1)
    // Whatever lies where nothing is seen, NaN included, is forgotten.
    var dp = [Float](repeating: .nan, count: 4 * 20)
    (dp[40], dp[60], dp[61]) = (2, 3, 4)
    p = inPlace(s) { p in
      dp = inPlace(dp) {
        table.attention_gradients(4, 20, 20, first, end, 10, 0, 0, nil, p, $0, lse, [9, 9, 1, 1])
      }
    }
    #expect(p[0..<40].allSatisfy { $0 == 0 } && dp[0..<40].allSatisfy { $0 == 0 })
    expectClose(Array(p[60..<63]), [0.5, 0.5, 0], roundings: 4, "probabilities")
    expectClose(Array(dp[40..<42] + dp[60..<63]), [1, 0, 1, 1.5, 0], roundings: 4, "gradients")
    // Visible keys whose scores are all -infinity.
    let none = [Float](repeating: -.infinity, count: 20)
    p = inPlace(none) { table.attention_softmax(1, 20, 20, [0], [20], 0, 1, 0, 0, nil, $0, &lse) }
    #expect(p.allSatisfy { $0 == 0 } && lse[0] == -.infinity)
    var (largest, sum, factor): ([Float], [Double], [Float]) = ([-.infinity], [0], [9])
    p = inPlace(none) {
      table.attention_exponentials(1, 20, 20, [0], [20], 0, 0, 0, nil, $0, &largest, &sum, &factor)
    }
    #expect(p.allSatisfy { $0 == 0 } && sum == [0] && factor == [1])
  }

  // MARK: Panels

  @Test(arguments: Family.vector) func packing(family: Family) throws {
    for rows in [0, 1, 2, 15, 16, 17, 33] {
      for cols in [0, 1, 2, 31, 32, 33, 64, 65] {
        var samples = Samples(rows * 100 + cols)
        let x = samples.floats(rows * (cols + 3))
        let transposed = samples.floats(cols * (rows + 2))
        let step = rows * 32 + 5
        let panels = [Float](repeating: 7, count: (cols + 31) / 32 * step)
        try compare(family, roundings: 0, "\(rows) x \(cols)") { t in
          inPlace(panels) { t.pack_panels(rows, cols, x, cols + 3, $0, step) }
        }
        try compare(family, roundings: 0, "\(rows) x \(cols) transposed") { t in
          inPlace(panels) { t.pack_panels_transposed(rows, cols, transposed, rows + 2, $0, step) }
        }
      }
    }
  }

  /// Every number of rows up to several tiles, every width that a tile cuts, both orders of the
  /// unpacked factor; what lies between the rows of the result stays.
  @Test(arguments: Family.vector) func products(family: Family) throws {
    for m in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17] {
      for n in [0, 1, 7, 15, 16, 17, 31, 32, 33, 48, 50, 64] {
        for k in [0, 1, 2, 3, 8, 33] {
          var samples = Samples(m * 10000 + n * 100 + k)
          let panels = samples.floats((n + 31) / 32 * 32 * k + 64)
          let (a, c) = (samples.floats((m + 1) * (k + 3) + 64), samples.floats(m * (n + 2)))
          for isTransposed in [false, true] {
            let (rowStep, kStep) = isTransposed ? (1, m + 2) : (k + 3, 1)
            let factor = isTransposed ? samples.floats(k * (m + 2)) : a
            for accumulates in [false, true] {
              try compare(
                family, roundings: Double(k + 2), scale: 8,
                "\(m) x \(n) x \(k), transposed \(isTransposed), adding \(accumulates)"
              ) { t in
                inPlace(c) {
                  t.panel_product(
                    m, n, k, factor, rowStep, kStep, panels, k * 32, accumulates, $0, n + 2)
                }
              }
            }
          }
        }
      }
    }
  }
}
