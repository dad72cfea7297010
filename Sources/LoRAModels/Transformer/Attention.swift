import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// Self-attention with grouped heads, with or without rotary positions.
struct Attention: Sendable {
  /// What makes queries, keys and values.
  enum Projections: Sendable {
    case separate(query: any LinearLayer, key: any LinearLayer, value: any LinearLayer)
    /// One layer, whose outputs are all queries, all keys, all values; or by key head, those of each.
    case fused(any LinearLayer, byHead: Bool)
  }

  /// Norms of queries and keys before they get their positions.
  struct HeadNorms: Sendable {
    let query: any Norm
    let key: any Norm
    /// Whether each head is normalized for itself, not all heads together.
    let isPerHead: Bool
  }

  let projections: Projections
  let headNorms: HeadNorms?
  let output: any LinearLayer
  let heads: Int
  let keyHeads: Int
  let headSize: Int
  let rotary: RotaryTable?
  /// That of queries, which may scale them by their position too.
  let queryRotary: RotaryTable?
  let mask: AttentionMask
  /// What scores are multiplied by.
  let scale: Float
  /// What scaled scores are capped at; nil for none.
  let softCap: Float?
  /// ALiBi's slope of each head; empty for none.
  let slopes: [Float]

  func callAsFunction(
    _ x: Variable, _ pass: TransformerPass, cache: KeyValueCache?, layer: Int
  ) -> Variable {
    let (batch, positions) = (x.shape[0], x.shape[1])
    let (q, k, v) = projected(x)
    let y: Variable
    if let cache {
      y = cache.attention(
        q, k, v, layer: layer, mask: mask, scale: scale, softCap: softCap,
        slopes: slopes
      ) { x, kind, positions in
        (kind == .query ? queryRotary : rotary).map { x.rotated(by: $0(positions)) } ?? x
      }
    } else {
      var (keys, values) = (rotated(k, by: rotary, pass), v)
      if pass.virtual.prefixCount > 0 {
        let prefix = pass.virtual.keysAndValues(layer: layer, batch: batch)
        keys = .concatenated([prefix.keys, keys], axis: 1)
        values = .concatenated([prefix.values, values], axis: 1)
      }
      y = rotated(q, by: queryRotary, pass).attention(
        keys: keys, values: values,
        mask: mask.limited(to: pass.sequences, behind: pass.virtual.prefixCount), scale: scale,
        softCap: softCap, slopes: slopes)
    }
    return output(y.reshaped(to: [batch, positions, heads * headSize]))
  }

  /// Queries or keys, `[B, T, heads, D]`, with their positions.
  private func rotated(
    _ x: Variable, by rotary: RotaryTable?, _ pass: TransformerPass
  ) -> Variable {
    guard let rotary else { return x }
    guard let positions = pass.positions else {
      let first = pass.virtual.firstPosition
      return x.rotated(by: rotary(first..<first + x.shape[1]))
    }
    // Each item has positions of its own: to the rotation all are one.
    return x.reshaped(to: [1, x.shape[0] * x.shape[1], x.shape[2], x.shape[3]])
      .rotated(by: rotary(positions)).reshaped(to: x.shape)
  }

  /// Queries `[B, T, H, D]`, keys and values `[B, T, K, D]`.
  private func projected(_ x: Variable) -> (Variable, Variable, Variable) {
    let (batch, positions) = (x.shape[0], x.shape[1])
    func split(_ x: Variable, _ heads: Int) -> Variable {
      x.reshaped(to: [batch, positions, heads, headSize])
    }
    let parts: (query: Variable, key: Variable, value: Variable)
    switch projections {
    case .separate(let query, let key, let value):
      parts = (query(x), key(x), value(x))
    case .fused(let layer, byHead: true):
      let shared = heads / keyHeads
      let all = layer(x).reshaped(to: [batch, positions, keyHeads, shared + 2, headSize])
      func part(_ range: Range<Int>) -> Variable {
        all.sliced(axis: 3, range)
          .reshaped(to: [batch, positions, keyHeads * range.count * headSize])
      }
      parts = (part(0..<shared), part(shared..<shared + 1), part(shared + 1..<shared + 2))
    case .fused(let layer, byHead: false):
      let all = layer(x)
      let (q, k) = (heads * headSize, keyHeads * headSize)
      parts = (
        all.sliced(axis: 2, 0..<q), all.sliced(axis: 2, q..<q + k),
        all.sliced(axis: 2, q + k..<q + 2 * k)
      )
    }
    let value = split(parts.value, keyHeads)
    guard let norms = headNorms else {
      return (split(parts.query, heads), split(parts.key, keyHeads), value)
    }
    if norms.isPerHead {
      return (
        norms.query(split(parts.query, heads)), norms.key(split(parts.key, keyHeads)), value
      )
    }
    return (split(norms.query(parts.query), heads), split(norms.key(parts.key), keyHeads), value)
  }
}

// MARK: - A few new tokens

extension Attention {
  /// Adds the attention's output of `x`, `[rows, C]`, to `y`.
  func decode(
    _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding, layer: Int,
    addingTo y: UnsafeMutablePointer<Float>
  ) {
    let rows = decoding.rows
    let (queries, keys) = (heads * headSize, keyHeads * headSize)
    withScratch(2 * rows * (queries + keys)) { q in
      let attended = q + rows * queries
      let k = attended + rows * queries
      let v = k + rows * keys
      let sequences = decoding.cache.sequences
      var held: [DecodedSequence] = []
      held.reserveCapacity(sequences.count)
      // A sequence alone has its keys and values projected to where the cache holds them.
      if sequences.count == 1, case .separate = projections {
        let sequence = sequences[0]
        sequence.withRoom(for: rows, heads: keyHeads, size: headSize, layer: layer) { all, values in
          let start = sequence.count * keys
          project(x, size: size, decoding, q: q, k: all + start, v: values + start)
          normalize(q: q, k: all + start, decoding)
          rotate(q, heads, by: queryRotary, rows: rows, first: sequence.count)
          rotate(all + start, keyHeads, by: rotary, rows: rows, first: sequence.count)
        }
      } else {
        project(x, size: size, decoding, q: q, k: k, v: v)
        normalize(q: q, k: k, decoding)
        for (index, sequence) in sequences.enumerated() {
          let (new, first) = (decoding.positions, index * decoding.positions)
          rotate(
            q + first * queries, heads, by: queryRotary, rows: new, first: sequence.count)
          rotate(k + first * keys, keyHeads, by: rotary, rows: new, first: sequence.count)
          sequence.withRoom(for: new, heads: keyHeads, size: headSize, layer: layer) {
            let start = sequence.count * keys
            ($0 + start).update(from: k + first * keys, count: new * keys)
            ($1 + start).update(from: v + first * keys, count: new * keys)
          }
        }
      }
      for sequence in sequences {
        guard let (keys, values) = sequence.held(layer: layer) else { continue }
        held.append(DecodedSequence(keys: keys, values: values, first: sequence.count))
      }
      attend(q, held, positions: decoding.positions, into: attended)
      DecodingLinear.project(
        attended, size: queries, decoding, accumulates: true, [(DecodingLinear(output), y)])
    }
  }

  private func project(
    _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding, q: UnsafeMutablePointer<Float>,
    k: UnsafeMutablePointer<Float>, v: UnsafeMutablePointer<Float>
  ) {
    switch projections {
    case .separate(let query, let key, let value):
      DecodingLinear.project(
        x, size: size, decoding,
        [(DecodingLinear(query), q), (DecodingLinear(key), k), (DecodingLinear(value), v)])
    case .fused(let layer, let byHead):
      let (queries, keys) = (heads * headSize, keyHeads * headSize)
      let width = queries + 2 * keys
      withScratch(decoding.rows * width) { all in
        DecodingLinear.project(x, size: size, decoding, [(DecodingLinear(layer), all)])
        for row in 0..<decoding.rows {
          var from = all + row * width
          if byHead {
            let shared = queries / keyHeads
            for head in 0..<keyHeads {
              (q + row * queries + head * shared).update(from: from, count: shared)
              (k + row * keys + head * headSize).update(from: from + shared, count: headSize)
              (v + row * keys + head * headSize)
                .update(from: from + shared + headSize, count: headSize)
              from += shared + 2 * headSize
            }
            continue
          }
          (q + row * queries).update(from: from, count: queries)
          (k + row * keys).update(from: from + queries, count: keys)
          (v + row * keys).update(from: from + queries + keys, count: keys)
        }
      }
    }
  }

  private func normalize(
    q: UnsafeMutablePointer<Float>, k: UnsafeMutablePointer<Float>, _ decoding: Decoding
  ) {
    guard let norms = headNorms else { return }
    let (queries, keys) = norms.isPerHead ? (heads, keyHeads) : (1, 1)
    decoding.normalize(
      q, parts: queries, size: heads * headSize / queries, by: norms.query, into: q)
    decoding.normalize(k, parts: keys, size: keyHeads * headSize / keys, by: norms.key, into: k)
  }

  /// Gives queries or keys, `[rows, heads, D]`, their positions from `first` on.
  private func rotate(
    _ states: UnsafeMutablePointer<Float>, _ heads: Int, by rotary: RotaryTable?, rows: Int,
    first: Int
  ) {
    guard let angles = rotary?(first..<first + rows) else { return }
    withExtendedLifetime(angles) {
      lk_rotary(
        rows, heads, headSize, 2 * angles.cosines.shape[1], angles.cosines.floats,
        angles.sines.floats, angles.isAdjacent, false, states, heads * headSize, states,
        heads * headSize)
    }
  }

  /// Every head of every new position, `positions` of each sequence, against the keys that it sees.
  private func attend(
    _ q: UnsafePointer<Float>, _ sequences: [DecodedSequence], positions: Int,
    into y: UnsafeMutablePointer<Float>
  ) {
    mask.checkCaching()
    let width = keyHeads * headSize
    let most = (sequences.map(\.first).max() ?? 0) + positions
    let count = sequences.count * heads
    withExtendedLifetime(sequences) {
      withScratch(count * most) { scores in
        // A head of few keys is done before another thread would have begun.
        let tile = max(1, (1 << 15) / (most * headSize * positions))
        parallelTiles(count, tile: tile) { range in
          for index in range {
            let (sequence, h) = (sequences[index / heads], index % heads)
            for row in 0..<positions {
              let last = sequence.first + row
              let seen = mask.visibleKeys(at: last, of: last + 1)
              let offset = seen.lowerBound * width + h / (heads / keyHeads) * headSize
              let at = ((index / heads * positions + row) * heads + h) * headSize
              lk_attention_row(
                seen.count, headSize, q + at, sequence.keys.floats + offset, width,
                sequence.values.floats + offset, width, scale, softCap ?? 0,
                slopes.isEmpty ? 0 : slopes[h], scores + index * most, y + at)
            }
          }
        }
      }
    }
  }
}

/// What a sequence's cache holds of one layer, `[positions, K, D]`, and how much of it was there before
/// this pass.
private struct DecodedSequence {
  let keys: Tensor
  let values: Tensor
  let first: Int
}

// MARK: - Memory

extension Attention {
  /// The layers that read the block's normed input.
  var inputLayers: [any LinearLayer] {
    switch projections {
    case .separate(let query, let key, let value): [query, key, value]
    case .fused(let layer, _): [layer]
    }
  }

  /// The buffers that are kept for the backward pass, each in numbers a token: queries, keys, values,
  /// the result and a sum for each head; or, where only the output's layer is trained, its input.
  /// Nobody keeps what a fused projection was sliced from.
  func keptWidths(attends: Bool, _ training: TrainedLayers) -> [Int] {
    let (queries, keys) = (heads * headSize, keyHeads * headSize)
    if attends {
      let attended = [queries, queries, keys, keys, heads]
      guard let headNorms else { return attended }
      // What the norms read, and a number for each part that they normalize.
      if headNorms.query is HeadwiseNorm {
        return attended + headNorms.query.keptWidths + headNorms.key.keptWidths
      }
      return attended
        + (headNorms.isPerHead ? [queries, heads, keys, keyHeads] : [queries, 1, keys, 1])
    }
    return training.contains([output]) ? [queries] : []
  }

  /// The gradients of queries, keys, values and the result, and of what they are sliced from.
  var scratchWidths: [Int] {
    let (queries, keys) = (heads * headSize, keyHeads * headSize)
    let separate = [queries, queries, keys, keys]
    if case .fused = projections { return separate + [queries + 2 * keys] }
    return separate
  }
}
