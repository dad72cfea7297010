import CLoRAKernels
import LoRAArchitectures
import LoRAAutograd
import LoRATensor

/// A transformer block's feed-forward network: `down(activation(gate(x)) * up(x))`, or without a gate
/// `down(activation(up(x)))`.
struct FeedForward: BlockNetwork {
  let gate: (any LinearLayer)?
  let up: any LinearLayer
  let down: any LinearLayer
  /// Whether `up` makes the gate's values too, and before its own.
  let isFused: Bool
  let activation: Activation
  /// The limits of a fused gate whose outputs are gates and ups in turn; nil: the activation.
  let clamp: TransformerStructure.FeedForward.Clamp?

  init(
    gate: (any LinearLayer)?, up: any LinearLayer, isFused: Bool = false, down: any LinearLayer,
    activation: Activation, clamp: TransformerStructure.FeedForward.Clamp? = nil
  ) {
    self.clamp = clamp
    (self.gate, self.up, self.isFused, self.down) = (gate, up, isFused, down)
    self.activation = activation
  }

  func callAsFunction(_ x: Variable) -> Variable {
    if let clamp { return down(up(x).clampedGate(alpha: clamp.alpha, limit: clamp.limit)) }
    if isFused {
      let (both, size) = (up(x), down.inputSize)
      let axis = both.shape.count - 1
      return down(
        both.sliced(axis: axis, 0..<size)
          .gated(activation, by: both.sliced(axis: axis, size..<2 * size)))
    }
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
    if isFused { return decodeFused(x, size: size, decoding, addingTo: y) }
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

extension FeedForward {
  private func decodeFused(
    _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding,
    addingTo y: UnsafeMutablePointer<Float>
  ) {
    let inner = down.inputSize
    withScratch(3 * decoding.rows * inner) { both in
      let gated = both + 2 * decoding.rows * inner
      DecodingLinear.project(x, size: size, decoding, [(DecodingLinear(up), both)])
      if let clamp {
        lk_clamped_gate_forward(
          decoding.rows * inner, clamp.alpha, clamp.limit, both, gated)
      }
      for row in 0..<decoding.rows where clamp == nil {
        let gate = both + 2 * row * inner
        lk_gated_forward(activation.kernel, inner, gate, gate + inner, gated + row * inner)
      }
      DecodingLinear.project(
        gated, size: inner, decoding, accumulates: true, [(DecodingLinear(down), y)])
    }
  }
}

// MARK: - Memory

extension FeedForward {
  var inputLayers: [any LinearLayer] { (gate.map { [$0] } ?? []) + [up] }
  var outputLayers: [any LinearLayer] { [down] }

  /// What the activation reads, or where no gradient reaches that, what the last layer reads.
  func keptWidths(isEntered: Bool, _ training: TrainedLayers) -> [Int] {
    Array(repeating: down.inputSize, count: isEntered && (gate != nil || isFused) ? 2 : 1)
  }

  /// The activation's product again and its gradient, and the gradient of what a fused layer's outputs are
  /// cut from: those of the halves lie where the product and its gradient were.
  var scratchWidths: [Int] {
    [down.inputSize, down.inputSize] + (isFused ? [up.outputSize] : [])
  }
}
