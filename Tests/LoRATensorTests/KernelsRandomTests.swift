import CLoRAKernels
import Testing

/// Random numbers: the published vectors, the same bits in every family, and their distributions.
@Suite struct KernelsRandomTests {
  /// The known answers that come with "Parallel random numbers: as easy as 1, 2, 3".
  @Test(arguments: [LK_FAMILY_REFERENCE, LK_FAMILY_GENERIC, LK_FAMILY_AVX2].map { $0.rawValue })
  func publishedVectors(id: UInt32) throws {
    guard let table = lk_family_table(lk_family(id))?.pointee else { return }
    var out = [UInt32](repeating: 0, count: 4)
    table.random_bits(4, 0, 0, 0, &out)
    #expect(out == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
    table.random_bits(4, .max, .max, .max, &out)
    #expect(out == [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd])
    table.random_bits(4, 0x299f_31d0_a409_3822, 0x0370_7344_1319_8a2e, 0x85a3_08d3_243f_6a88, &out)
    #expect(out == [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1])
  }

  @Test(arguments: Family.vector) func sameBitsInEveryFamily(family: Family) throws {
    let table = try family.table()
    let reference = try Family.reference()
    for n in Array(0...70) + [1023, 1024, 1025, 5003] {
      for block in [0, 12345, UInt64.max - 2] {  // the counter wraps
        var bits = [UInt32](repeating: 9, count: n)
        var want = bits
        table.random_bits(n, 42, 7, block, &bits)
        reference.random_bits(n, 42, 7, block, &want)
        #expect(bits == want, "bits, \(n) from \(block)")
        let floats = [Float](repeating: 9, count: n)
        func draws(_ t: lk_kernel_table) -> [UInt32] {
          let uniform = inPlace(floats) { t.random_uniform(n, 42, 7, block, -0.3, 0.9, $0) }
          let normal = inPlace(floats) { t.random_normal(n, 42, 7, block, 0.1, 0.02, $0) }
          let dropped = inPlace(floats) { t.dropout(n, 0.3, 42, 7, block & ~3, $0, $0) }
          return (uniform + normal + dropped).map(\.bitPattern)
        }
        #expect(draws(table) == draws(reference), "draws, \(n) from \(block)")
      }
    }
  }

  @Test(arguments: Family.vector) func uniform(family: Family) throws {
    let table = try family.table()
    let n = 100_000
    var x = [Float](repeating: 0, count: n)
    table.random_uniform(n, 1, 2, 0, -1, 3, &x)
    #expect(x.allSatisfy { $0 >= -1 && $0 < 3 })
    let mean = table.sum(n, x) / Double(n)
    let variance = table.sum_squares(n, x) / Double(n) - mean * mean
    // Five standard errors: 4 / sqrt(12 n), and about 0.9 of the variance / sqrt(n).
    #expect(abs(mean - 1) < 5 * 4 / (12 * Double(n)).squareRoot())
    #expect(abs(variance - 16.0 / 12) < 5 * 16 / 12 * 0.9 / Double(n).squareRoot())
    // Where rounding would reach the upper end.
    table.random_uniform(n, 1, 2, 0, 16_777_215, 16_777_216, &x)
    #expect(x.allSatisfy { $0 == 16_777_215 })
  }

  @Test(arguments: Family.vector) func normal(family: Family) throws {
    let table = try family.table()
    let n = 200_000
    var x = [Float](repeating: 0, count: n)
    table.random_normal(n, 3, 0, 0, 0, 1, &x)
    let root = Double(n).squareRoot()
    var moments = [0.0, 0, 0, 0, 0]
    var within = 0
    for value in x {
      var power = 1.0
      for i in 0..<5 {
        moments[i] += power / Double(n)
        power *= Double(value)
      }
      within += abs(value) < 1 ? 1 : 0
    }
    // Five standard errors of each: the moments of a normal are 0, 1, 0, 3.
    #expect(abs(moments[1]) < 5 / root)
    #expect(abs(moments[2] - 1) < 5 * 2.0.squareRoot() / root)
    #expect(abs(moments[3]) < 5 * 15.0.squareRoot() / root)
    #expect(abs(moments[4] - 3) < 5 * 96.0.squareRoot() / root)
    #expect(abs(Double(within) / Double(n) - 0.6826895) < 5 * 0.466 / root)
    #expect(x.allSatisfy { abs($0) < 6 })
    // Neighbours, which share a radius, are uncorrelated.
    var product = 0.0
    for i in stride(from: 0, to: n, by: 2) { product += Double(x[i]) * Double(x[i + 1]) }
    #expect(abs(product / Double(n / 2)) < 5 / Double(n / 2).squareRoot())
    var scaled = [Float](repeating: 0, count: n)
    table.random_normal(n, 3, 0, 0, 2, 0.5, &scaled)
    #expect(zip(x, scaled).allSatisfy { abs($1 - (2 + 0.5 * $0)) < 1e-6 })
  }

  @Test(arguments: Family.vector) func dropout(family: Family) throws {
    let table = try family.table()
    let n = 100_000
    let ones = [Float](repeating: 1, count: n)
    for p in [0.1, 0.5, 0.9] as [Float] {
      let y = inPlace(ones) { table.dropout(n, p, 5, 6, 0, $0, $0) }
      let kept = y.count { $0 != 0 }
      #expect(y.allSatisfy { $0 == 0 || $0 == 1 / (1 - p) })
      let expected = Double(n) * (1 - Double(p))
      #expect(abs(Double(kept) - expected) < 5 * (expected * Double(p)).squareRoot())
      // A part drawn on its own has the mask of the whole.
      let part = inPlace(Array(ones[0..<1000])) { table.dropout(1000, p, 5, 6, 4096, $0, $0) }
      #expect(part == Array(y[4096..<5096]))
      let other = inPlace(ones) { table.dropout(n, p, 5, 7, 0, $0, $0) }
      #expect(other != y)
    }
    #expect(inPlace(ones) { table.dropout(n, 0, 5, 6, 0, $0, $0) } == ones)
    let infinite = [Float](repeating: .infinity, count: 8)
    #expect(inPlace(infinite) { table.dropout(8, 1, 5, 6, 0, $0, $0) }.allSatisfy { $0 == 0 })
  }
}
