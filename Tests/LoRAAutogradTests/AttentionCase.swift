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

/// One attention with random inputs, and its definition: one score at a time, in double precision.
struct AttentionCase: Sendable, CustomTestStringConvertible {
  var batch = 1
  var queries: Int
  var keys: Int
  var heads = 2
  var keyHeads = 1
  var size = 8
  var mask = AttentionMask.causal()
  var softCap: Float?
  /// ALiBi's slopes of the heads, for masks under which a query sees nothing behind its position.
  var slopes: [Float] = []
  /// A score of each head that has no value; empty for none.
  var sinks: [Float] = []
  /// Whether scores have a bias by distance.
  var isBiased = false
  /// Whether query t of batch item b sees key s, said without the mask.
  var sees: @Sendable (_ b: Int, _ t: Int, _ s: Int) -> Bool = { _, _, _ in true }

  var testDescription: String {
    let sizes = "\(batch) x \(queries) queries, \(keys) keys, size \(size)"
    return
      "\(sizes), heads \(heads) to \(keyHeads), soft cap \(softCap ?? 0), slopes \(slopes), "
      + "bias \(isBiased), \(mask)"
  }

  /// Queries, keys, values and the gradient of the output.
  func inputs() -> (q: Tensor, k: Tensor, v: Tensor, dy: Tensor) {
    var random = SeededRandom(seed: 2, path: "attention")
    let q = random.normal([batch, queries, heads, size], standardDeviation: 1.5)
    let k = random.normal([batch, keys, keyHeads, size], standardDeviation: 1.5)
    return (q, k, random.normal(k.shape), random.normal(q.shape))
  }

  /// What each head's scores get by distance.
  var bias: Tensor? {
    guard isBiased else { return nil }
    var random = SeededRandom(seed: 3, path: "bias")
    return random.normal([heads, keys + queries - 1], standardDeviation: 2)
  }

  /// What there is beside queries, keys and values: sinks, and the bias.
  private var others: [Tensor] {
    (sinks.isEmpty ? [] : [Tensor(sinks)]) + (bias.map { [$0] } ?? [])
  }

  func attention(
    _ q: Variable, _ k: Variable, _ v: Variable, bias: Variable? = nil
  ) -> Variable {
    attention(q, k, v, sinks: Variable(Tensor(sinks)), bias: bias)
  }

  private func attention(
    _ q: Variable, _ k: Variable, _ v: Variable, sinks: Variable, bias: Variable?
  ) -> Variable {
    q.attention(
      keys: k, values: v, mask: mask, softCap: softCap, slopes: slopes,
      sinks: self.sinks.isEmpty ? nil : sinks, bias: bias)
  }

  /// The output and the gradients of queries, keys, values, sinks and bias that the library computes.
  func computed(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ dy: Tensor) throws -> [Tensor] {
    let parameters = ([q, k, v] + others).map { Parameter($0) }
    let last = Variable(parameters[parameters.count - 1])
    let y = attention(
      Variable(parameters[0]), Variable(parameters[1]), Variable(parameters[2]),
      sinks: sinks.isEmpty ? last : Variable(parameters[3]), bias: isBiased ? last : nil)
    let gradients = y.gradients(from: dy)
    return try [y.value] + parameters.map { try #require(gradients[$0]) }
  }

  /// The same by definition.
  func expected(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ dy: Tensor) -> [Tensor] {
    let (T, S, H, K, D) = (queries, keys, heads, keyHeads, size)
    let scale = 1 / Double(D).squareRoot()
    let (x, dyScalars) = ([q, k, v].map { $0.scalars().map(Double.init) }, dy.scalars())
    let added = bias?.scalars().map(Double.init) ?? []
    let shapes = ([q, q, k, v] + others).map(\.shape)
    let biasIndex = shapes.count - 1
    var result = shapes.map { [Double](repeating: 0, count: $0.elementCount) }
    func dot(_ x: [Double], _ i: Int, _ y: [Double], _ j: Int) -> Double {
      (0..<D).reduce(0) { $0 + x[i + $1] * y[j + $1] }
    }
    let g = dyScalars.map(Double.init)
    for b in 0..<batch {
      for h in 0..<H {
        for t in 0..<T {
          let row = ((b * T + t) * H + h) * D
          let visible = (0..<S).filter { sees(b, t, $0) }
          let keys = visible.map { ((b * S + $0) * K + h / (H / K)) * D }
          // Each score and its derivative by the one before the cap.
          let slope = slopes.isEmpty ? 0 : Double(slopes[h])
          let scores = zip(keys, visible).map { key, s in
            let score = dot(x[0], row, x[1], key) * scale
            var bias = -slope * Double(S - T + t - s)
            if isBiased { bias += added[h * (S + T - 1) + s - t + T - 1] }
            guard let cap = softCap.map(Double.init) else { return (score + bias, 1.0) }
            let t = tanh(score / cap)
            return (cap * t + bias, 1 - t * t)
          }
          let largest = scores.map { $0.0 }.max() ?? 0
          let weights = scores.map { exp($0.0 - largest) }
          let sink = sinks.isEmpty ? 0 : exp(Double(sinks[h]) - largest)
          let total = weights.reduce(0, +) + sink
          let p = weights.map { $0 / total }
          let dp = keys.map { dot(g, row, x[2], $0) }
          let mean = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
          if !sinks.isEmpty { result[4][h] -= sink / total * mean }
          for (index, key) in keys.enumerated() {
            let ds = p[index] * (dp[index] - mean) * scores[index].1 * scale
            if isBiased {
              result[biasIndex][h * (S + T - 1) + visible[index] - t + T - 1] += ds / scale
            }
            for d in 0..<D {
              result[0][row + d] += p[index] * x[2][key + d]
              result[1][row + d] += ds * x[1][key + d]
              result[2][key + d] += ds * x[0][row + d]
              result[3][key + d] += p[index] * g[row + d]
            }
          }
        }
      }
    }
    return zip(result, shapes).map { Tensor($0.map { Float($0) }, shape: $1) }
  }

  /// Compares all with the definition.
  func check(relative: Double = 4e-6, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let (q, k, v, dy) = inputs()
    let (got, want) = (try computed(q, k, v, dy), expected(q, k, v, dy))
    for (index, name) in ["y", "dq", "dk", "dv", "dsinks or dbias", "dbias"].prefix(want.count)
      .enumerated()
    {
      let comparison = compare(got[index], to: want[index])
      #expect(
        comparison.isWithin(relative: relative), "\(name): \(comparison)",
        sourceLocation: sourceLocation)
    }
    // What is computed without a record has the same bits.
    let again = attention(Variable(q), Variable(k), Variable(v), bias: bias.map { Variable($0) })
    #expect(again.value == got[0], sourceLocation: sourceLocation)
  }
}

extension AttentionCase {
  /// A causal mask of a window, and what it means.
  func causal(window: Int?) -> AttentionCase {
    var result = self
    let (T, S) = (queries, keys)
    result.mask = .causal(window: window)
    result.sees = { _, t, s in
      let position = S - T + t
      return s <= position && position - s < window ?? S
    }
    return result
  }

  func bidirectional(window: Int? = nil, lengths: [Int]? = nil) -> AttentionCase {
    var result = self
    let (T, S) = (queries, keys)
    result.mask = .bidirectional(window: window, lengths: lengths)
    result.sees = { b, t, s in
      let position = S - T + t
      let length = lengths?[b] ?? S
      return position < length && s < length && abs(position - s) < window ?? S
    }
    return result
  }

  func packed(_ lengths: [[Int]], isCausal: Bool, window: Int? = nil) -> AttentionCase {
    var result = self
    let (T, S) = (queries, keys)
    // The number of the sequence that a position belongs to, none for padding.
    let owners = lengths.map { item in
      item.enumerated().flatMap { Array(repeating: $0 as Int?, count: $1) }
        + Array(repeating: nil, count: S - item.reduce(0, +))
    }
    result.mask = .packed(lengths, isCausal: isCausal, window: window)
    result.sees = { b, t, s in
      let position = S - T + t
      guard let own = owners[b][position], owners[b][s] == own else { return false }
      return abs(position - s) < window ?? S && (!isCausal || s <= position)
    }
    return result
  }

  func cross(lengths: [Int]? = nil) -> AttentionCase {
    var result = self
    result.mask = .cross(lengths: lengths)
    result.sees = { b, _, s in lengths.map { s < $0[b] } ?? true }
    return result
  }

  func sinking(_ sinks: [Float]) -> AttentionCase {
    var result = self
    result.sinks = sinks
    return result
  }

  func sloped(_ slopes: [Float]) -> AttentionCase {
    var result = self
    result.slopes = slopes
    return result
  }

  func biased() -> AttentionCase {
    var result = self
    result.isBiased = true
    return result
  }

  func capped(_ softCap: Float) -> AttentionCase {
    var result = self
    result.softCap = softCap
    return result
  }
}
