import CLoRAKernels
import LoRATensor

// A sink is a score without a value: attention with it is that without, times the share of the sum that the
// keys have. The backward pass reads outputs and logarithms of sums alone, so that these, with the sinks in
// them, give the gradients of everything else.

extension AttentionProblem {
  /// `output` and `lse` of attention without sinks to those with sinks, in place.
  func share(_ output: inout Tensor, _ lse: inout Tensor?, with sinks: [Float]) {
    guard var sums = lse.take() else { return }
    output.withUnsafeMutableBytes { output in
      sums.withUnsafeMutableBytes { lse in
        guard let y = output.baseAddress?.assumingMemoryBound(to: Float.self),
          let sum = lse.baseAddress?.assumingMemoryBound(to: Float.self)
        else { return }
        parallelFor(B * H) { index in
          let (b, h) = (index / H, index % H)
          for row in 0..<T {
            let place = index * T + row
            let (share, all) = AttentionSinks.share(of: sum[place], beside: sinks[h])
            let at = y + queryOffset(b, row, h)
            lk_scale(D, share, at, at)
            sum[place] = all
          }
        }
      }
    }
    lse = sums
  }

  /// The gradient of the sinks, `[H]`.
  func gradient(ofSinks sinks: [Float], _ dy: Tensor, output: Tensor, lse: Tensor) -> Tensor {
    var sums = [Double](repeating: 0, count: H)
    var dots = [Float](repeating: 0, count: T)
    withExtendedLifetime((dy, output, lse)) {
      for b in 0..<B {
        for h in 0..<H {
          let at = queryOffset(b, 0, h)
          lk_row_dots(T, D, dy.floats + at, H * D, output.floats + at, H * D, &dots)
          for row in 0..<T {
            let sum = lse.floats[(b * H + h) * T + row]
            sums[h] -= exponential(Double(sinks[h]) - Double(sum)) * Double(dots[row])
          }
        }
      }
    }
    return Tensor(sums.map { Float($0) })
  }
}

/// What sinks leave of attention.
package enum AttentionSinks {
  /// The share that keys have the logarithm of whose sum is `lse`, beside a sink, and the logarithm of the sum
  /// of both.
  static func share(of lse: Float, beside sink: Float) -> (share: Float, all: Float) {
    if lse == -.infinity { return (0, sink) }
    let rest = exponential(Double(sink) - Double(lse))
    guard rest.isFinite else { return (0, sink) }
    return (Float(1 / (1 + rest)), Float(Double(lse) + naturalLogarithm(1 + rest)))
  }

  /// The share that keys have one of which has this scaled score and this probability among them.
  ///
  /// - Parameters:
  ///   - softCap: what scores are capped at; nil for none.
  ///   - bias: what is subtracted of the score then.
  package static func share(
    ofScore score: Float, softCap: Float?, bias: Float, probability: Float, beside sink: Float
  ) -> Float {
    let capped = softCap.map { $0 * Float(hyperbolicTangent(Double(score / $0))) } ?? score
    let lse = capped - bias - Float(naturalLogarithm(Double(probability)))
    return share(of: lse, beside: sink).share
  }
}
