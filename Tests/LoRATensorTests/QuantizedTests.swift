import CLoRAKernels
import LoRATensor
import Testing

/// Random blocks with finite scales.
private func randomBlocks(_ format: DType, rows: Int, columns: Int, seed: Int) -> Tensor {
  var samples = Samples(seed)
  let size = format.blockBytes
  var bytes = (0..<rows * columns / format.blockElements * size).map { _ in
    UInt8(truncatingIfNeeded: samples.bits() >> 7)
  }
  // Scales below 1: the high byte of each of float16, at the block's start, but at Q6_K's end; MXFP4's
  // exponent.
  for start in stride(from: 0, to: bytes.count, by: size) {
    if format == .mxfp4 { bytes[start] = bytes[start] & 3 | 0x78 }
    for place in format == .mxfp4 ? [] : format == .q6K ? [209] : [1, 3] {
      bytes[start + place] = bytes[start + place] & 0x87 | 0x28
    }
  }
  return Tensor(blocks: bytes, shape: [rows, columns], dtype: format)
}

/// Products with a quantized matrix have the bits of products with its numbers.
@Suite struct QuantizedTests {
  @Test(arguments: DType.quantized) func productsAreThoseOfItsNumbers(format: DType) {
    // Tiles: 256 rows of the weight at the second width.
    for (out, inner) in [(70, 256), (600, 4352)] {
      let matrix = randomBlocks(format, rows: out, columns: inner, seed: 1)
      let numbers = matrix.converted(to: .float32)
      for rows in [1, 3, 4, 5, 40] {
        var samples = Samples(rows)
        let x = samples.floats(rows * inner)
        let bias = samples.floats(out)
        for beta in [0, 1] as [Float] {
          let start = samples.floats(rows * out)
          func product(_ weight: Tensor) -> [Float] {
            var y = start
            y.withUnsafeMutableBufferPointer { y in
              guard let y = y.baseAddress else { return }
              bias.withUnsafeBufferPointer { bias in
                multiply(
                  rows: rows, x, byTransposeOf: weight, bias: bias.baseAddress, beta: beta, into: y)
              }
            }
            return y
          }
          #expect(product(matrix) == product(numbers))
        }
      }
    }
  }

  /// Sums over a quantized weight's rows run tile by tile.
  @Test(arguments: DType.quantized) func transposedProductsAgree(format: DType) {
    for (out, inner) in [(70, 256), (600, 4352)] {
      let matrix = randomBlocks(format, rows: out, columns: inner, seed: 2)
      let numbers = matrix.converted(to: .float32)
      for rows in [1, 33] {
        var samples = Samples(rows)
        let dy = samples.floats(rows * out)
        func product(_ weight: Tensor) -> [Float] {
          var dx = [Float](repeating: .nan, count: rows * inner)
          dx.withUnsafeMutableBufferPointer { dx in
            guard let dx = dx.baseAddress else { return }
            multiply(rows: rows, dy, by: weight, into: dx)
          }
          return dx
        }
        let want = product(numbers)
        let size = want.map(abs).max() ?? 0
        expectClose(product(matrix), want, roundings: 32, scale: size, "\(format)")
      }
    }
  }

  @Test func threadsDoNotChangeABit() {
    let before = Threads.count
    defer { Threads.count = before }
    let matrix = randomBlocks(.q5K, rows: 700, columns: 4608, seed: 3)
    var samples = Samples(9)
    let (x, dy) = (samples.floats(9 * 4608), samples.floats(9 * 700))
    func run(_ threads: Int) -> [Float] {
      Threads.count = threads
      var y = [Float](repeating: 0, count: 9 * 700 + 2 * 700 + 9 * 4608)
      y.withUnsafeMutableBufferPointer { y in
        guard let y = y.baseAddress else { return }
        multiply(rows: 9, x, byTransposeOf: matrix, into: y)
        multiply(rows: 2, x, byTransposeOf: matrix, into: y + 9 * 700)
        multiply(rows: 9, dy, by: matrix, into: y + 11 * 700)
      }
      return y + matrix.converted(to: .float32).scalars()
    }
    #expect(run(1) == run(3))
  }

  @Test func damagedScalesAreFound() {
    for format in DType.quantized {
      let blocks = randomBlocks(format, rows: 5, columns: 512, seed: 4)
      #expect(blocks.firstNonFiniteIndex() == nil)
      let single: [DType] = [.q4_0, .q5_0, .q8_0, .q6K]
      let places =
        format == .mxfp4 ? [0] : format == .q6K ? [209] : single.contains(format) ? [1] : [1, 3]
      for place in places {
        for high in (format == .mxfp4 ? [0xfd, 0xff] : [0x7c, 0xfe]) as [UInt8] {
          // The last block of the fourth row.
          let block = 4 * 512 / format.blockElements - 1
          var damaged = blocks
          damaged.withUnsafeMutableBytes { $0[block * format.blockBytes + place] = high }
          #expect(damaged.firstNonFiniteIndex() == block * format.blockElements)
        }
      }
    }
  }

  @Test(arguments: Family.vector) func familiesAgreeToTheBit(family: Family) throws {
    let (table, reference) = (try family.table(), try Family.reference())
    for format in DType.quantized {
      let kernel = try #require(
        [
          DType.q4_0: LK_Q4_0, .q4_1: LK_Q4_1, .q5_0: LK_Q5_0, .q5_1: LK_Q5_1,
          .q8_0: LK_Q8_0, .q4K: LK_Q4_K, .q5K: LK_Q5_K, .q6K: LK_Q6_K,
          .mxfp4: LK_MXFP4,
        ][format])
      let (rows, columns) = (6, 2304)
      let blocks = rows * columns / format.blockElements
      let bytes = randomBlocks(format, rows: rows, columns: columns, seed: 5)
        .withUnsafeBytes { Array($0) }
      func numbers(_ table: lk_kernel_table) -> [UInt32] {
        var y = [Float](repeating: .nan, count: rows * columns)
        table.dequantize(kernel, blocks, bytes, &y)
        return y.map(\.bitPattern)
      }
      #expect(numbers(table) == numbers(reference), "\(format)")

      var samples = Samples(6)
      let source =
        samples.floats(rows * columns / 2) + samples.floats(rows * columns / 2, -1e-4, 3e-4)
      func stored(_ table: lk_kernel_table) -> [UInt8]? {
        var y = [UInt8](repeating: 0, count: bytes.count)
        return table.quantize(kernel, blocks, source, &y) ? y : nil
      }
      #expect(stored(table) == stored(reference), "\(format)")
      #expect((stored(table) != nil) == format.isQuantizable)

      let x = samples.floats(11 * columns)
      // The size of a sum of so many terms of either sign.
      let largest = numbers(reference).map { abs(Float(bitPattern: $0)) }.max() ?? 0
      let scale = 2 * largest * Float(columns).squareRoot()
      for count in 1...11 {
        try compare(family, roundings: 8, scale: scale, "\(format), \(count) rows") { table in
          var y = [Float](repeating: 0.5, count: count * rows)
          table.gemv_blocks(kernel, count, rows, columns, x, bytes, &y, rows, count % 2 == 0)
          return y
        }
      }
    }
  }

  @Test func quantizingLosesLittle() {
    var samples = Samples(7)
    let source = Tensor(samples.floats(8 * 256), shape: [8, 256])
    for (format, bound) in [(DType.q8_0, 0.01), (.q5_1, 0.08), (.q4_0, 0.27)] {
      let back = source.converted(to: format).converted(to: .float32)
      let worst = (back - source).scalars().map { Double(abs($0)) }.max() ?? 1
      #expect(worst < bound && worst > bound / 20, "\(format): \(worst)")
    }
  }
}
