import CLoRAKernels
import LoRAAutograd
import LoRATensor

// A pass of a few new tokens behind a cache. The same numbers as ``LlamaBody`` computes, in memory
// that one pass owns: projections of one input share a parallel region, keys and values are written
// where the cache holds them, and products are added straight to the hidden state. Such a pass is
// bound by reading the weights; whatever else it does is time in which memory waits.

extension LlamaBody {
  /// The hidden states after the last norm of `tokens`, `[1, T]`; the cache holds them afterwards.
  /// Nil, and nothing done, if there are too many tokens or a layer needs the general path.
  func decode(_ tokens: Tensor, cache: KeyValueCache) -> Tensor? {
    let rows = tokens.shape[1]
    guard tokens.shape[0] == 1, rows >= 1, rows <= mostFewRows, norm.slot.isUnused else {
      return nil
    }
    var layers: [DecodingBlock] = []
    layers.reserveCapacity(blocks.count)
    for block in blocks {
      guard let layer = DecodingBlock(block) else { return nil }
      layers.append(layer)
    }
    let x = embedding(tokens).value
    let size = x.shape.innermost
    return withScratch(rows * size) { hidden in
      withExtendedLifetime(x) { hidden.update(from: x.floats, count: rows * size) }
      for (index, layer) in layers.enumerated() {
        layer.run(hidden, rows: rows, size: size, cache: cache, index: index)
      }
      cache.advance(by: rows)
      return Tensor(shape: x.shape) { norm.apply(to: hidden, rows: rows, into: $0) }
    }
  }
}

/// One block's numbers for one pass.
private struct DecodingBlock {
  let block: LlamaBlock
  let query: DecodingLinear
  let key: DecodingLinear
  let value: DecodingLinear
  let output: DecodingLinear
  let gate: DecodingLinear
  let up: DecodingLinear
  let down: DecodingLinear
  let activation: lk_unary

  init?(_ block: LlamaBlock) {
    let (attention, mlp) = (block.attention, block.mlp)
    guard block.attentionNorm.slot.isUnused, block.mlpNorm.slot.isUnused,
      let activation = mlp.activation.gate, let query = DecodingLinear(attention.query),
      let key = DecodingLinear(attention.key), let value = DecodingLinear(attention.value),
      let output = DecodingLinear(attention.output), let gate = DecodingLinear(mlp.gate),
      let up = DecodingLinear(mlp.up), let down = DecodingLinear(mlp.down)
    else { return nil }
    self.block = block
    self.query = query
    self.key = key
    self.value = value
    self.output = output
    self.gate = gate
    self.up = up
    self.down = down
    self.activation = activation
  }

  /// Adds the block's attention and MLP to the hidden states `x`, `[T, C]`.
  func run(
    _ x: UnsafeMutablePointer<Float>, rows: Int, size: Int, cache: KeyValueCache, index: Int
  ) {
    withScratch(rows * size) { normed in
      block.attentionNorm.apply(to: x, rows: rows, into: normed)
      attend(normed, rows: rows, addingTo: x, cache: cache, index: index)
      block.mlpNorm.apply(to: x, rows: rows, into: normed)
      let width = gate.outputSize
      withScratch(2 * rows * width) { gated in
        let raised = gated + rows * width
        DecodingLinear.project(normed, rows: rows, [(gate, gated), (up, raised)])
        lk_gated_forward(activation, rows * width, gated, raised, gated)
        DecodingLinear.project(gated, rows: rows, accumulates: true, [(down, x)])
      }
    }
  }

  /// Adds the attention of the normed states to `x`.
  private func attend(
    _ normed: UnsafePointer<Float>, rows: Int, addingTo x: UnsafeMutablePointer<Float>,
    cache: KeyValueCache, index: Int
  ) {
    let attention = block.attention
    let d = attention.headSize
    let (heads, keyHeads) = (query.outputSize / d, key.outputSize / d)
    let first = cache.count
    let angles = attention.rotary(first..<first + rows)
    let half = angles.cosines.shape[1]
    withScratch(2 * rows * heads * d) { q in
      let attended = q + rows * heads * d
      cache.withRoom(for: rows, heads: keyHeads, size: d, layer: index) { keys, values in
        let start = first * keyHeads * d
        let (k, v) = (keys + start, values + start)
        DecodingLinear.project(normed, rows: rows, [(query, q), (key, k), (value, v)])
        withExtendedLifetime(angles) {
          for (states, count) in [(q, heads), (k, keyHeads)] {
            lk_rotary(
              rows, count, d, 2 * half, angles.cosines.floats, angles.sines.floats,
              angles.isAdjacent, false, states, count * d, states, count * d)
          }
        }
        attendHeads(
          q, keys, values, rows: rows, first: first, heads: heads, keyHeads: keyHeads,
          into: attended)
      }
      DecodingLinear.project(attended, rows: rows, accumulates: true, [(output, x)])
    }
  }

  /// Every head of every new position against the keys that it sees.
  private func attendHeads(
    _ q: UnsafePointer<Float>, _ keys: UnsafePointer<Float>, _ values: UnsafePointer<Float>,
    rows: Int, first: Int, heads: Int, keyHeads: Int, into y: UnsafeMutablePointer<Float>
  ) {
    let d = block.attention.headSize
    let width = keyHeads * d
    let scale = 1 / Float(d).squareRoot()
    let total = first + rows
    withScratch(heads * total) { scores in
      // A head of few keys is done before another thread would have begun.
      let tile = max(1, (1 << 15) / (total * d * rows))
      parallelTiles(heads, tile: tile) { range in
        for h in range {
          for row in 0..<rows {
            let end = first + row + 1
            let start = block.attention.window.map { max(0, end - $0) } ?? 0
            let offset = start * width + h / (heads / keyHeads) * d
            let at = (row * heads + h) * d
            lk_attention_row(
              end - start, d, q + at, keys + offset, width, values + offset, width, scale,
              scores + h * total, y + at)
          }
        }
      }
    }
  }
}

extension Activation {
  /// The kernel of a gate with this activation; nil if it is not one of a gate.
  fileprivate var gate: lk_unary? {
    switch self {
    case .silu: LK_SILU
    case .gelu: LK_GELU
    case .geluTanh: LK_GELU_TANH
    default: nil
    }
  }
}
