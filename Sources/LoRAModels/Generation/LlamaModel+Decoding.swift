import CLoRAKernels
import LoRAAutograd
import LoRATensor

// A pass of a few new tokens behind a cache, of one sequence or one each of several. The same numbers as ``LlamaBody`` computes, in memory
// that one pass owns: projections of one input share a parallel region, keys and values are written
// where the cache holds them, and products are added straight to the hidden state. Such a pass is
// bound by reading the weights; whatever else it does is time in which memory waits.

extension LlamaBody {
  /// The most sequences that are decoded together this way: more are a matrix product's business.
  private static var mostSequences: Int { 64 }

  /// The hidden states after the last norm of `tokens`, `[1, T]` or `[sequences, 1]`; the cache holds
  /// them afterwards. Nil, and nothing done, if there are too many tokens or a layer needs the
  /// general path.
  func decode(_ tokens: Tensor, cache: KeyValueCache) -> Tensor? {
    let (sequences, positions) = (tokens.shape[0], tokens.shape[1])
    let rows = sequences * positions
    guard sequences == cache.sequences.count, rows >= 1, norm.slot.isUnused,
      sequences == 1 ? rows <= mostFewRows : positions == 1 && rows <= Self.mostSequences
    else { return nil }
    // A choice for other rows than these: the general path says so.
    if let rows = AdapterScope.current?.groupOfRow, rows.count != sequences { return nil }
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
      cache.advance(by: positions)
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
    let d = block.attention.headSize
    let (heads, keyHeads) = (query.outputSize / d, key.outputSize / d)
    withScratch(2 * rows * heads * d) { q in
      let attended = q + rows * heads * d
      if cache.sequences.count == 1 {
        let sequence = cache.sequences[0]
        sequence.withRoom(for: rows, heads: keyHeads, size: d, layer: index) { keys, values in
          let start = sequence.count * keyHeads * d
          let (k, v) = (keys + start, values + start)
          DecodingLinear.project(normed, rows: rows, [(query, q), (key, k), (value, v)])
          rotate([(q, heads), (k, keyHeads)], rows: rows, first: sequence.count)
          attendHeads(
            q, [DecodedSequence(keys: keys, values: values, first: sequence.count)], rows: rows,
            heads: heads, keyHeads: keyHeads, into: attended)
        }
      } else {
        attendSequences(
          normed, cache.sequences, index: index, heads: heads, keyHeads: keyHeads, q: q,
          into: attended)
      }
      DecodingLinear.project(attended, rows: rows, accumulates: true, [(output, x)])
    }
  }

  /// The attention of one new position of each sequence.
  private func attendSequences(
    _ normed: UnsafePointer<Float>, _ sequences: [CachedSequence], index: Int, heads: Int,
    keyHeads: Int, q: UnsafeMutablePointer<Float>, into attended: UnsafeMutablePointer<Float>
  ) {
    let (d, rows) = (block.attention.headSize, sequences.count)
    let width = keyHeads * d
    withScratch(2 * rows * width) { k in
      let v = k + rows * width
      DecodingLinear.project(normed, rows: rows, [(query, q), (key, k), (value, v)])
      var held: [(keys: Tensor, values: Tensor)] = []
      for (row, sequence) in sequences.enumerated() {
        rotate(
          [(q + row * heads * d, heads), (k + row * width, keyHeads)], rows: 1,
          first: sequence.count)
        sequence.withRoom(for: 1, heads: keyHeads, size: d, layer: index) { keys, values in
          (keys + sequence.count * width).update(from: k + row * width, count: width)
          (values + sequence.count * width).update(from: v + row * width, count: width)
        }
        if let memory = sequence.held(layer: index) { held.append(memory) }
      }
      withExtendedLifetime(held) {
        attendHeads(
          q,
          zip(held, sequences).map { memory, sequence in
            DecodedSequence(
              keys: memory.keys.floats, values: memory.values.floats, first: sequence.count)
          }, rows: 1, heads: heads, keyHeads: keyHeads, into: attended)
      }
    }
  }

  /// Gives queries and keys, `[rows, heads, size]`, their positions from `first` on.
  private func rotate(
    _ states: [(UnsafeMutablePointer<Float>, heads: Int)], rows: Int, first: Int
  ) {
    let d = block.attention.headSize
    let angles = block.attention.rotary(first..<first + rows)
    let half = angles.cosines.shape[1]
    withExtendedLifetime(angles) {
      for (states, count) in states {
        lk_rotary(
          rows, count, d, 2 * half, angles.cosines.floats, angles.sines.floats,
          angles.isAdjacent, false, states, count * d, states, count * d)
      }
    }
  }

  /// Every head of every new position, `rows` of each sequence, against the keys that it sees.
  private func attendHeads(
    _ q: UnsafePointer<Float>, _ sequences: [DecodedSequence], rows: Int, heads: Int,
    keyHeads: Int, into y: UnsafeMutablePointer<Float>
  ) {
    let d = block.attention.headSize
    let width = keyHeads * d
    let scale = 1 / Float(d).squareRoot()
    let most = (sequences.map(\.first).max() ?? 0) + rows
    let count = sequences.count * heads
    withScratch(count * most) { scores in
      // A head of few keys is done before another thread would have begun.
      let tile = max(1, (1 << 15) / (most * d * rows))
      parallelTiles(count, tile: tile) { range in
        for index in range {
          let (sequence, h) = (sequences[index / heads], index % heads)
          for row in 0..<rows {
            let end = sequence.first + row + 1
            let start = block.attention.window.map { max(0, end - $0) } ?? 0
            let offset = start * width + h / (heads / keyHeads) * d
            let at = ((index / heads * rows + row) * heads + h) * d
            lk_attention_row(
              end - start, d, q + at, sequence.keys + offset, width, sequence.values + offset,
              width, scale, scores + index * most, y + at)
          }
        }
      }
    }
  }
}

/// What a sequence's cache holds of one layer.
private struct DecodedSequence {
  /// `[positions, heads, size]`.
  let keys: UnsafePointer<Float>
  let values: UnsafePointer<Float>
  /// The position of the first new token.
  let first: Int

  init(keys: UnsafePointer<Float>, values: UnsafePointer<Float>, first: Int) {
    self.keys = keys
    self.values = values
    self.first = first
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
