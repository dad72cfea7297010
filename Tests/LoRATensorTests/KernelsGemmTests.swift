import CLoRAKernels
import Testing

/// A product for the kernels: how each factor lies in memory, and what is added.
private struct GemmCase: CustomTestStringConvertible {
  var m: Int
  var n: Int
  var k: Int
  var elements = (a: LK_F32, b: LK_F32)
  /// Whether the rows of a factor are contiguous; otherwise its columns are.
  var along = (a: true, b: true)
  /// Elements between the end of a row (or column) and the next.
  var gap = 0
  var rounds = false
  var tails: [Int] = []
  /// In how many parts the sums are cut, and how many of them are packed at a time.
  var chunks = 1
  var together = 1
  var alpha: Float = 1
  var beta: Float = 0

  var testDescription: String {
    "\(m) x \(n) x \(k), a \(elements.a) \(along.a), b \(elements.b) \(along.b), gap \(gap), "
      + "rounds \(rounds), tails \(tails), chunks \(chunks) by \(together), alpha \(alpha), beta \(beta)"
  }

  /// The product computed by `kernels` as a caller would, its columns and panels in several parts.
  func run(_ kernels: lk_kernel_table) -> [Float] {
    var samples = Samples(m * 10_007 + n * 101 + k)
    let tile = kernels.gemm_shape()
    let a = Matrix(rows: m, k, elements.a, along.a, gap, &samples)
    let b = Matrix(rows: n, k, elements.b, along.b, gap, &samples)
    let left = tails.map { Matrix(rows: m, $0, LK_F32, true, gap, &samples) }
    let right = tails.map { Matrix(rows: n, $0, LK_F32, along.b, gap, &samples) }
    let ldc = n + gap
    // What lies between the rows must stay as it is; beta 0 must not read c.
    var c = samples.floats(m * ldc)
    if beta == 0 { for i in 0..<m { for j in 0..<n { c[i * ldc + j] = .nan } } }
    let depth = tails.reduce(0, +)
    let room = room(kernels, tailDepth: depth)
    // What lies behind the room must stay as it is.
    let guardWords = 64
    var packed = [UInt32](repeating: 0x7fc0_7fc0, count: room.packed + guardWords)
    var packedTail = [Float](repeating: .nan, count: room.packed_tail + guardWords)
    defer {
      #expect(packed.suffix(guardWords).allSatisfy { $0 == 0x7fc0_7fc0 }, "\(testDescription)")
      #expect(packedTail.suffix(guardWords).allSatisfy { $0.isNaN }, "\(testDescription)")
    }
    return inPlace(c) { c in
      packed.withUnsafeMutableBufferPointer { packed in
        packedTail.withUnsafeMutableBufferPointer { packedTail in
          let tails = zip(left, right).map {
            lk_gemm_tail(a: $0.factor, b: $1.factor, depth: $0.depth)
          }
          tails.withUnsafeBufferPointer { tails in
            var g = lk_gemm()
            (g.m, g.n, g.k, g.a, g.b, g.chunks) = (m, n, k, a.factor, b.factor, chunks)
            (g.rounds, g.alpha, g.beta, g.c, g.ldc) = (rounds, alpha, beta, c, ldc)
            (g.packed, g.packed_tail) = (packed.baseAddress, packedTail.baseAddress)
            (g.tails, g.tail_count, g.tail_depth) = (tails.baseAddress, tails.count, depth)
            let panels = (m + tile.rows - 1) / tile.rows
            for first in stride(from: 0, to: chunks, by: together) {
              (g.first_chunk, g.end_chunk) = (first, min(chunks, first + together))
              for panel in (0..<panels).reversed() {
                kernels.gemm_pack(&g, panel, panel + 1)
                kernels.gemm_pack_tails(&g, panel, panel + 1)
              }
              // In two parts each way, at a multiple of the tile's columns.
              let middle = min(n, tile.columns)
              for columns in [0..<middle, middle..<n] {
                for part in [0..<panels / 2, panels / 2..<panels] {
                  kernels.gemm_multiply(
                    &g, part.lowerBound, part.upperBound, columns.lowerBound, columns.upperBound)
                }
              }
            }
          }
        }
      }
      withExtendedLifetime((a, b, left, right)) {}
    }
  }

  /// The room that packing so many chunks at a time takes.
  private func room(_ kernels: lk_kernel_table, tailDepth: Int) -> lk_gemm_words {
    var (g, most) = (lk_gemm(), lk_gemm_words())
    (g.m, g.n, g.k, g.chunks, g.rounds, g.tail_depth) = (m, n, k, chunks, rounds, tailDepth)
    for first in stride(from: 0, to: chunks, by: together) {
      (g.first_chunk, g.end_chunk) = (first, min(chunks, first + together))
      let room = kernels.gemm_room(&g)
      most.packed = max(most.packed, room.packed)
      most.packed_tail = max(most.packed_tail, room.packed_tail)
    }
    return most
  }

  func check(_ family: Family, _ sourceLocation: SourceLocation = #_sourceLocation) throws {
    try compare(
      family, roundings: 8, scale: 2 * Float(k + tails.reduce(0, +) + 1).squareRoot() * 4,
      testDescription, sourceLocation: sourceLocation, run)
  }
}

/// A factor with memory of its own.
private final class Matrix {
  let depth: Int
  let factor: lk_factor
  private let memory: UnsafeMutableRawPointer

  init(
    rows: Int, _ depth: Int, _ element: lk_element, _ along: Bool, _ gap: Int,
    _ samples: inout Samples
  ) {
    self.depth = depth
    let (outer, inner) = along ? (rows, depth) : (depth, rows)
    let count = max(1, outer * (inner + gap))
    memory = .allocate(byteCount: count * 4, alignment: 4)
    let values = samples.floats(count)
    if element == LK_F32 {
      memory.initializeMemory(as: Float.self, from: values, count: count)
    } else {
      let narrow = memory.bindMemory(to: UInt16.self, capacity: count)
      if element == LK_BF16 {
        lk_bf16_from_f32(count, values, narrow)
      } else {
        lk_f16_from_f32(count, values, narrow)
      }
    }
    let stride = inner + gap
    factor = lk_factor(
      data: memory, element: element, row_stride: along ? stride : 1,
      depth_stride: along ? 1 : stride)
  }

  deinit { memory.deallocate() }
}

@Suite struct KernelsGemmTests {
  private static let types: [(lk_element, lk_element, Bool)] = [
    (LK_F32, LK_F32, false), (LK_F32, LK_BF16, false), (LK_F32, LK_F16, false),
    (LK_F32, LK_F32, true), (LK_F32, LK_BF16, true), (LK_BF16, LK_BF16, true),
  ]

  @Test("every small shape", arguments: Family.vector)
  func smallShapes(_ family: Family) throws {
    for (a, b, rounds) in Self.types {
      for m in Array(1...14) + [25] {
        for n in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 65] {
          for k in [1, 2, 3, 7, 8, 9, 16, 17, 33] {
            var product = GemmCase(m: m, n: n, k: k)
            product.elements = (a, b)
            product.rounds = rounds
            product.along = (a: (m + k) % 2 == 0, b: (n + k) % 3 != 0)
            product.gap = (m + n) % 3
            try product.check(family)
          }
        }
      }
    }
  }

  @Test("every layout, with tails, alpha and beta", arguments: Family.vector)
  func layouts(_ family: Family) throws {
    for (a, b, rounds) in Self.types {
      for along in [(true, true), (true, false), (false, true), (false, false)] {
        for tails in [[], [4], [1, 16], [3, 2, 5]] {
          for (alpha, beta): (Float, Float) in [(1, 0), (1, 1), (-0.5, 0.25), (2, 0)] {
            var product = GemmCase(m: 23, n: 49, k: 40)
            (product.elements, product.rounds, product.tails) = ((a, b), rounds, tails)
            (product.along, product.alpha, product.beta) = (along, alpha, beta)
            try product.check(family)
            (product.k, product.gap) = (65, 5)
            try product.check(family)
          }
        }
      }
    }
  }

  @Test("the longest chunk, and none", arguments: Family.vector)
  func chunks(_ family: Family) throws {
    let depth = try family.table().gemm_shape().depth
    for rounds in [false, true] {
      for k in [0, depth - 1, depth] {
        var product = GemmCase(m: 13, n: 35, k: rounds ? 2 * k : k)
        (product.rounds, product.beta, product.tails) = (rounds, 1, [int(LK_GEMM_TAIL)])
        product.elements.b = LK_BF16
        try product.check(family)
        product.elements.b = LK_F16
        product.along.b = false
        try product.check(family)
      }
    }
  }

  @Test("several chunks, some packed at a time: the same bits", arguments: Family.vector)
  func chunksTogether(_ family: Family) throws {
    let kernels = try family.table()
    for (a, b, rounds) in Self.types {
      for along in [(true, true), (false, false)] {
        for (k, chunks) in [(67, 3), (259, 5), (12, 4)] {
          var product = GemmCase(m: 25, n: 70, k: k)
          (product.elements, product.rounds, product.along) = ((a, b), rounds, along)
          (product.chunks, product.tails) = (chunks, [3, 2])
          (product.alpha, product.beta) = (-0.5, 0.25)
          try product.check(family)
          let alone = product.run(kernels).map(\.bitPattern)
          for together in 2...chunks {
            product.together = together
            #expect(product.run(kernels).map(\.bitPattern) == alone, "\(product)")
          }
        }
      }
    }
  }

  @Test("NaN and infinity go through", arguments: Family.vector)
  func specialValues(_ family: Family) throws {
    let kernels = try family.table()
    for value: Float in [.nan, .infinity] {
      for rounds in [false, true] {
        let a: [Float] = [1, value, 1, 1]
        let b: [Float] = [1, 2, 3, 4]
        var packed = [UInt32](repeating: 0, count: 64)
        let c = inPlace([0]) { c in
          a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
              packed.withUnsafeMutableBufferPointer { packed in
                var g = lk_gemm()
                (g.m, g.n, g.k, g.rounds, g.alpha) = (1, 1, 4, rounds, 1)
                (g.chunks, g.first_chunk, g.end_chunk) = (1, 0, 1)
                g.a = lk_factor(
                  data: a.baseAddress, element: LK_F32, row_stride: 4, depth_stride: 1)
                g.b = lk_factor(
                  data: b.baseAddress, element: LK_F32, row_stride: 4, depth_stride: 1)
                (g.c, g.ldc, g.packed) = (c, 1, packed.baseAddress)
                kernels.gemm_pack(&g, 0, 1)
                kernels.gemm_multiply(&g, 0, 1, 0, 1)
              }
            }
          }
        }
        #expect(value.isNaN ? c[0].isNaN : c[0] == value)
      }
    }
  }

  private func int(_ value: Int32) -> Int { Int(value) }
}
