import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// A transformer block's feed-forward network: `down(activation(gate(x)) * up(x))`, or without a gate
/// `down(activation(up(x)))`.
struct FeedForward: Sendable {
  let gate: (any LinearLayer)?
  let up: any LinearLayer
  let down: any LinearLayer
  let activation: Activation

  func callAsFunction(_ x: Variable) -> Variable {
    guard let gate else { return down(up(x)(activation)) }
    return down(gate(x).gated(activation, by: up(x)))
  }

  /// Adds the network's output of `x`, `[rows, C]`, to `y`.
  func decode(
    _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding,
    addingTo y: UnsafeMutablePointer<Float>
  ) {
    let (up, down, gate) = (
      DecodingLinear(up), DecodingLinear(down), gate.map { DecodingLinear($0) }
    )
    let count = decoding.rows * up.outputSize
    withScratch(gate == nil ? count : 2 * count) { inner in
      if let gate {
        let raised = inner + count
        DecodingLinear.project(x, size: size, decoding, [(gate, inner), (up, raised)])
        lk_gated_forward(activation.kernel, count, inner, raised, inner)
      } else {
        DecodingLinear.project(x, size: size, decoding, [(up, inner)])
        lk_unary_forward(activation.kernel, count, inner, inner)
      }
      DecodingLinear.project(
        inner, size: up.outputSize, decoding, accumulates: true, [(down, y)])
    }
  }
}

// MARK: - Memory

extension FeedForward {
  /// The layers that read the block's normed input.
  var inputLayers: [any LinearLayer] { (gate.map { [$0] } ?? []) + [up] }

  /// The buffers that are kept for the backward pass, each in numbers a token: what the activation
  /// reads, or where no gradient reaches that, what the last layer reads.
  func keptWidths(isEntered: Bool) -> [Int] {
    Array(repeating: up.outputSize, count: isEntered && gate != nil ? 2 : 1)
  }

  /// The activation's product again and its gradient.
  var scratchWidths: [Int] { [up.outputSize, up.outputSize] }
}
