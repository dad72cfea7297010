import CLoRAKernels
import LoRATensor
import Testing

/// The kernels of decoding against the plain reference, and the products that share a region.
@Suite struct KernelsDecodingTests {
  @Test(arguments: Family.vector) func attentionOfOneQuery(family: Family) throws {
    for keys in [0, 1, 2, 3, 17, 255, 256, 257, 600] {
      for size in [1, 2, 4, 15, 16, 20, 32, 64, 80, 130] {
        for (gap, cap, slope, isBiased) in [
          (0, 0, 0, false), (3, 0, 0, false), (3, 0.7, 0, false), (3, 0, 0.1, false),
          (0, 2, 0.01, false), (0, 0, 0, true), (3, 0.7, 0.01, true),
        ] as [(Int, Float, Float, Bool)] {
          var samples = Samples(keys * 1000 + size * 10 + gap)
          let (ldk, ldv) = (size + gap, size + 2 * gap)
          let q = samples.floats(size)
          let (k, v) = (samples.floats(keys * ldk), samples.floats(keys * ldv))
          let scores = [Float](repeating: .nan, count: keys)
          let bias: [Float]? = isBiased ? samples.floats(keys) : nil
          try compare(
            family, roundings: 64, scale: 1,
            "\(keys) keys of size \(size), cap \(cap), slope \(slope), bias \(isBiased)"
          ) {
            t in
            inPlace(scores + [Float](repeating: .nan, count: size)) {
              t.attention_row(keys, size, q, k, ldk, v, ldv, 0.3, cap, slope, bias, $0, $0 + keys)
            }
          }
        }
      }
    }
  }

  /// Several products in one region are the same bits as one after the other, at any number of
  /// threads.
  @Test func productsInOneRegion() {
    let before = Threads.count
    defer { Threads.count = before }
    var samples = Samples(1)
    let shapes = [(300, 70), (1, 70), (0, 70), (1000, 33), (17, 1)]
    for rows in 1...mostFewRows {
      for type in [DType.float32, .bfloat16, .float16] {
        let weights = shapes.map { out, inner in
          Tensor(samples.floats(out * inner), shape: [out, inner]).converted(to: type)
        }
        let inputs = shapes.map { Tensor(samples.floats(rows * $0.1)) }
        let starts = shapes.map { Tensor(samples.floats(rows * $0.0)) }
        func run(together: Bool, threads: Int) -> [Tensor] {
          Threads.count = threads
          let results = starts.map { start in
            Tensor(shape: start.shape) { y in
              start.withUnsafeElements(of: Float.self) { x in
                if let x = x.baseAddress { y.update(from: x, count: start.elementCount) }
              }
            }
          }
          let products = shapes.indices.map { index in
            FewRowsProduct(
              inputs[index].floats, byTransposeOf: weights[index], accumulates: index % 2 == 0,
              into: UnsafeMutablePointer(mutating: results[index].floats))
          }
          withExtendedLifetime((inputs, results)) {
            if together { return multiplyFewRows(rows: rows, products) }
            for product in products { multiplyFewRows(rows: rows, [product]) }
          }
          return results
        }
        let expected = run(together: false, threads: 1)
        for threads in [1, 2, 5] {
          #expect(run(together: true, threads: threads) == expected, "\(rows) rows, \(type)")
        }
      }
    }
  }
}
