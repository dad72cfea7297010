#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

/// Attention against its definition, over shapes that end within, at and behind tiles and blocks.
@Suite struct AttentionTests {
  struct Shapes: Sendable, CustomTestStringConvertible {
    var batch = 1
    var queries: Int
    var keys: Int
    var heads = 2
    var keyHeads = 1
    var size = 8
    var window: Int?
    var testDescription: String { "\(self)" }
  }

  static let shapes: [Shapes] = [
    Shapes(queries: 7, keys: 7), Shapes(queries: 8, keys: 8),
    Shapes(batch: 2, queries: 9, keys: 11),
    Shapes(queries: 64, keys: 64, size: 33), Shapes(queries: 65, keys: 65, window: 33),
    Shapes(queries: 129, keys: 129, heads: 3, keyHeads: 3, size: 5),
    Shapes(queries: 130, keys: 300, heads: 4, keyHeads: 2, size: 40),
    Shapes(queries: 20, keys: 270, window: 200), Shapes(queries: 300, keys: 300, window: 64),
    Shapes(batch: 3, queries: 70, keys: 70, heads: 6, keyHeads: 2, size: 16, window: 2),
    Shapes(batch: 20, queries: 10, keys: 10), Shapes(queries: 600, keys: 600, size: 4),
  ]

  @Test(arguments: shapes) func isWhatItsDefinitionSays(shapes: Shapes) throws {
    var random = SeededRandom(seed: 2, path: "attention")
    let (b, t, s) = (shapes.batch, shapes.queries, shapes.keys)
    let q = random.normal([b, t, shapes.heads, shapes.size], standardDeviation: 1.5)
    let k = random.normal([b, s, shapes.keyHeads, shapes.size], standardDeviation: 1.5)
    let (v, dy) = (random.normal(k.shape), random.normal(q.shape))
    let parameters = [q, k, v].map { Parameter($0) }
    let y = Variable(parameters[0]).attention(
      keys: Variable(parameters[1]), values: Variable(parameters[2]), window: shapes.window)
    let gradients = (y * Variable(dy)).sum().gradients()
    let expected = definition(shapes, q.scalars(), k.scalars(), v.scalars(), dy.scalars())
    let got = try [y.value] + parameters.map { try #require(gradients[$0]) }
    for (index, pair) in zip(got, expected).enumerated() {
      let want = Tensor(pair.1.map { Float($0) }, shape: pair.0.shape)
      let comparison = compare(pair.0, to: want)
      let name = ["y", "dq", "dk", "dv"][index]
      #expect(comparison.isWithin(relative: 4e-6), "\(name): \(comparison)")
    }
    // What is computed without a record has the same bits.
    let again = Variable(q).attention(keys: Variable(k), values: Variable(v), window: shapes.window)
    #expect(again.value == y.value)
  }

  /// Output and gradients of queries, keys and values, in double precision, one score at a time.
  private func definition(
    _ shapes: Shapes, _ q: [Float], _ k: [Float], _ v: [Float], _ dy: [Float]
  ) -> [[Double]] {
    let (T, S, H, K, D) = (
      shapes.queries, shapes.keys, shapes.heads, shapes.keyHeads, shapes.size
    )
    let scale = 1 / Double(D).squareRoot()
    var result = [q, k, v].map { [Double](repeating: 0, count: $0.count) }
    result.insert(result[0], at: 0)
    func dot(_ x: [Float], _ i: Int, _ y: [Float], _ j: Int) -> Double {
      (0..<D).reduce(0) { $0 + Double(x[i + $1]) * Double(y[j + $1]) }
    }
    for b in 0..<shapes.batch {
      for h in 0..<H {
        for t in 0..<T {
          let row = ((b * T + t) * H + h) * D
          let position = S - T + t
          let first = shapes.window.map { max(0, position - $0 + 1) } ?? 0
          let keys = (first...position).map { ((b * S + $0) * K + h / (H / K)) * D }
          let scores = keys.map { dot(q, row, k, $0) * scale }
          let largest = scores.max() ?? 0
          let weights = scores.map { exp($0 - largest) }
          let total = weights.reduce(0, +)
          let p = weights.map { $0 / total }
          let dp = keys.map { dot(dy, row, v, $0) }
          let mean = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
          for (index, key) in keys.enumerated() {
            let ds = p[index] * (dp[index] - mean) * scale
            for d in 0..<D {
              result[0][row + d] += p[index] * Double(v[key + d])
              result[1][row + d] += ds * Double(k[key + d])
              result[2][key + d] += ds * Double(q[row + d])
              result[3][key + d] += p[index] * Double(dy[row + d])
            }
          }
        }
      }
    }
    return result
  }
}
