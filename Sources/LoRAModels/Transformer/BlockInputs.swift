import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// What a block reads beside the hidden states.
struct BlockInput: Sendable {
  /// A vector of each token that is the block's own, `[B, T, size]`.
  var vectors: Variable?
  /// The keys and values of an earlier block.
  var states: KeysAndValues?
}

/// The keys and values of a block, keys with their positions, `[B, T, K, D]`.
struct KeysAndValues: Sendable {
  let keys: Variable
  let values: Variable
}

/// What makes a vector of each token for each block: a second table, and a layer that reads the token's
/// vector. Both are scaled, the layer's output normalized, and their sum divided by the root of 2.
///
/// Source: Google DeepMind, *Gemma 3n* and *Gemma 4*, as transformers computes them.
package struct BlockInputs: Sendable {
  let tokens: Embedding
  let projection: any LinearLayer
  let norm: any Norm
  /// The size of a block's vector.
  package let size: Int

  /// The vectors of all blocks, one after the other, `[B, T, blocks * size]`, of tokens with the vectors
  /// `x`, `[B, T, C]`.
  func callAsFunction(_ ids: Tensor, _ x: Variable) -> Variable {
    let read = projection(x).scaled(by: 1 / Float(x.shape.innermost).squareRoot())
    let all = read.shape
    let parts: Shape = [all[0], all[1], all[2] / size, size]
    let looked = tokens(ids).scaled(by: Float(size).squareRoot())
    return (norm(read.reshaped(to: parts)).reshaped(to: all) + looked)
      .scaled(by: Float(0.5).squareRoot())
  }

  /// Those of one block.
  func vectors(ofBlock index: Int, among all: Variable) -> Variable {
    all.sliced(axis: 2, index * size..<(index + 1) * size)
  }

  /// What is kept of a token for the backward pass, in numbers, without what an adapter keeps: what the
  /// norm reads, and the vectors.
  package func keptWidths(_ training: TrainedLayers) -> [Int] {
    let all = projection.outputSize
    return [all, all / size, all]
  }
}

/// The part of a block that reads its own vector of each token: `norm(down(activation(gate(x)) * vector))`
/// is added to x.
struct BlockInputGate: Sendable {
  let gate: any LinearLayer
  let down: any LinearLayer
  let norm: any Norm
  let activation: Activation

  func callAsFunction(_ x: Variable, _ vectors: Variable) -> Variable {
    x + norm(down(gate(x).gated(activation, by: vectors)))
  }

  /// The same of `x`, `[rows, C]`, in place; `vectors` are those of all blocks, `[rows, width]`.
  func decode(
    _ x: UnsafeMutablePointer<Float>, size: Int, _ decoding: Decoding, layer: Int,
    _ vectors: UnsafePointer<Float>, width: Int
  ) {
    let (rows, inner) = (decoding.rows, gate.outputSize)
    withScratch(rows * (2 * inner + size)) { gated in
      let own = gated + rows * inner
      let output = own + rows * inner
      DecodingLinear.project(x, size: size, decoding, [(DecodingLinear(gate), gated)])
      for row in 0..<rows {
        (own + row * inner).update(from: vectors + row * width + layer * inner, count: inner)
      }
      lk_gated_forward(activation.kernel, rows * inner, gated, own, gated)
      DecodingLinear.project(gated, size: inner, decoding, [(DecodingLinear(down), output)])
      decoding.normalize(output, size: size, by: norm, into: output)
      lk_add_row(1, rows * size, output, x)
    }
  }

  /// The layers, both of which read what the block computes.
  var layers: [any LinearLayer] { [gate, down] }

  /// The buffers that are kept: what the gate reads if it is trained, what the activation reads, what
  /// the norm reads.
  func keptWidths(isEntered: Bool, _ training: TrainedLayers) -> [Int] {
    (training.contains([gate]) ? [gate.inputSize] : [])
      + (isEntered ? [gate.outputSize, gate.outputSize] : [gate.outputSize]) + norm.keptWidths
  }
}
