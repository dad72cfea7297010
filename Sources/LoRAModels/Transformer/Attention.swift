import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// Self-attention with grouped heads, with or without rotary positions.
struct Attention: Sendable {
  /// What makes queries, keys and values.
  enum Projections: Sendable {
    /// Without a layer for values they are the keys as they were before norm and positions.
    case separate(query: any LinearLayer, key: any LinearLayer, value: (any LinearLayer)?)
    /// Keys and values are those of an earlier block.
    case queries(any LinearLayer, keysOf: Int)
    /// One layer, whose outputs are all queries, all keys, all values; or by key head, those of each.
    case fused(any LinearLayer, byHead: Bool)
  }

  /// Norms of queries and keys before they get their positions.
  struct HeadNorms: Sendable {
    let query: any Norm
    /// Nil where keys are those of another block.
    let key: (any Norm)?
    /// Whether each head is normalized for itself, not all heads together.
    let isPerHead: Bool
  }

  /// A norm of values, of each head, without a weight.
  struct ValueNorm: Sendable {
    let epsilon: Float
    let ones: Tensor
  }

  let projections: Projections
  let headNorms: HeadNorms?
  let valueNorm: ValueNorm?
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
  /// A score of each head that takes part in the softmax and has no value; nil for none.
  let sinks: Parameter?
  /// What scores get by distance; nil for nothing.
  var distanceBias: DistanceBias?

  /// The block whose keys and values are read; nil: its own.
  var keySource: Int? { if case .queries(_, let source) = projections { source } else { nil } }

  /// The numbers of a position's keys.
  var keyWidth: Int { keyHeads * headSize }

  /// The output, and without a cache the keys and values that were read.
  ///
  /// - Parameter states: those of an earlier block, if they are read; a cache holds them.
  func callAsFunction(
    _ x: Variable, _ pass: TransformerPass, cache: KeyValueCache?, layer: Int,
    reading states: KeysAndValues? = nil
  ) -> (output: Variable, states: KeysAndValues?) {
    let (batch, positions) = (x.shape[0], x.shape[1])
    let (q, own) = projected(x)
    let y: Variable
    var read: KeysAndValues?
    if let cache {
      y = cache.attention(
        q, own?.keys, own?.values, layer: keySource ?? layer, mask: mask, scale: scale,
        softCap: softCap,
        slopes: slopes, sinks: sinks.map { Variable($0) },
        bias: distanceBias.map { bias in { bias(queries: $0, keys: $1) } }
      ) { x, kind, positions in
        (kind == .query ? queryRotary : rotary).map { x.rotated(by: $0(positions)) } ?? x
      }
    } else {
      guard
        let all = states
          ?? own.map({
            KeysAndValues(keys: rotated($0.keys, by: rotary, pass), values: $0.values)
          })
      else { misuse("attention to the keys of block \(keySource ?? 0), which has none") }
      var (keys, values) = (all.keys, all.values)
      read = all
      if pass.virtual.prefixCount > 0 {
        let prefix = pass.virtual.keysAndValues(layer: layer, batch: batch)
        keys = .concatenated([prefix.keys, keys], axis: 1)
        values = .concatenated([prefix.values, values], axis: 1)
      }
      y = rotated(q, by: queryRotary, pass).attention(
        keys: keys, values: values,
        mask: mask.limited(to: pass.sequences, behind: pass.virtual.count), scale: scale,
        softCap: softCap, slopes: slopes, sinks: sinks.map { Variable($0) },
        bias: distanceBias?(queries: positions, keys: keys.shape[1]))
    }
    return (output(y.reshaped(to: [batch, positions, heads * headSize])), read)
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

  /// Queries `[B, T, H, D]`, keys and values `[B, T, K, D]`, without positions; nil for those of another
  /// block.
  private func projected(_ x: Variable) -> (queries: Variable, own: KeysAndValues?) {
    let (batch, positions) = (x.shape[0], x.shape[1])
    func split(_ x: Variable, _ heads: Int) -> Variable {
      x.reshaped(to: [batch, positions, heads, headSize])
    }
    let parts: (query: Variable, key: Variable, value: Variable)
    switch projections {
    case .separate(let query, let key, let value):
      let k = key(x)
      parts = (query(x), k, value?(x) ?? k)
    case .queries(let query, _):
      let q = query(x)
      guard let norms = headNorms else { return (split(q, heads), nil) }
      return (
        norms.isPerHead ? norms.query(split(q, heads)) : split(norms.query(q), heads), nil
      )
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
    var value = split(parts.value, keyHeads)
    if let valueNorm {
      value = value.rmsNorm(weight: Variable(valueNorm.ones), epsilon: valueNorm.epsilon)
    }
    guard let norms = headNorms, let keyNorm = norms.key else {
      return (
        split(parts.query, heads), KeysAndValues(keys: split(parts.key, keyHeads), values: value)
      )
    }
    if norms.isPerHead {
      return (
        norms.query(split(parts.query, heads)),
        KeysAndValues(keys: keyNorm(split(parts.key, keyHeads)), values: value)
      )
    }
    return (
      split(norms.query(parts.query), heads),
      KeysAndValues(keys: split(keyNorm(parts.key), keyHeads), values: value)
    )
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
      if case .queries(let query, _) = projections {
        DecodingLinear.project(x, size: size, decoding, [(DecodingLinear(query), q)])
        normalize(q, heads: heads, by: headNorms?.query, decoding)
        for (index, sequence) in sequences.enumerated() {
          rotate(
            q + index * decoding.positions * queries, heads, by: queryRotary,
            rows: decoding.positions, first: sequence.count)
        }
        // A sequence alone has its keys and values projected to where the cache holds them.
      } else if sequences.count == 1, case .separate = projections {
        let sequence = sequences[0]
        sequence.withRoom(
          for: rows, heads: keyHeads, size: headSize, layer: layer, window: mask.cachedPositions
        ) { k, v in
          project(x, size: size, decoding, q: q, k: k, v: v)
          normalize(q: q, k: k, v: v, decoding)
          rotate(q, heads, by: queryRotary, rows: rows, first: sequence.count)
          rotate(k, keyHeads, by: rotary, rows: rows, first: sequence.count)
        }
      } else {
        project(x, size: size, decoding, q: q, k: k, v: v)
        normalize(q: q, k: k, v: v, decoding)
        for (index, sequence) in sequences.enumerated() {
          let (new, first) = (decoding.positions, index * decoding.positions)
          rotate(
            q + first * queries, heads, by: queryRotary, rows: new, first: sequence.count)
          rotate(k + first * keys, keyHeads, by: rotary, rows: new, first: sequence.count)
          sequence.withRoom(
            for: new, heads: keyHeads, size: headSize, layer: layer, window: mask.cachedPositions
          ) {
            $0.update(from: k + first * keys, count: new * keys)
            $1.update(from: v + first * keys, count: new * keys)
          }
        }
      }
      for sequence in sequences {
        guard let (keys, values, start) = sequence.held(layer: keySource ?? layer) else { continue }
        let first = sequence.count - start
        let bias = distanceBias?(queries: decoding.positions, keys: first + decoding.positions)
          .value
        held.append(
          DecodedSequence(
            keys: keys, values: values, first: first, bias: bias?.converted(to: .float32)))
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
        [(DecodingLinear(query), q), (DecodingLinear(key), k)]
          + (value.map { [(DecodingLinear($0), v)] } ?? []))
      if value == nil { v.update(from: k, count: decoding.rows * keyWidth) }
    case .queries: misuse("an attention that has no keys projects them")
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
    q: UnsafeMutablePointer<Float>, k: UnsafeMutablePointer<Float>,
    v: UnsafeMutablePointer<Float>, _ decoding: Decoding
  ) {
    normalize(q, heads: heads, by: headNorms?.query, decoding)
    normalize(k, heads: keyHeads, by: headNorms?.key, decoding)
    if let valueNorm {
      withExtendedLifetime(valueNorm.ones) {
        lk_rmsnorm(
          decoding.rows * keyHeads, headSize, v, valueNorm.ones.floats, valueNorm.epsilon, v, nil)
      }
    }
  }

  private func normalize(
    _ x: UnsafeMutablePointer<Float>, heads: Int, by norm: (any Norm)?, _ decoding: Decoding
  ) {
    guard let norm, let norms = headNorms else { return }
    let parts = norms.isPerHead ? heads : 1
    decoding.normalize(x, parts: parts, size: heads * headSize / parts, by: norm, into: x)
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
    let sinkScores = sinks?.value.scalars()
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
              let bias = sequence.bias(
                h, heads: heads, query: row, of: positions, key: seen.lowerBound)
              let offset = seen.lowerBound * width + h / (heads / keyHeads) * headSize
              let at = ((index / heads * positions + row) * heads + h) * headSize
              lk_attention_row(
                seen.count, headSize, q + at, sequence.keys.floats + offset, width,
                sequence.values.floats + offset, width, scale, softCap ?? 0,
                slopes.isEmpty ? 0 : slopes[h], bias, scores + index * most, y + at)
              if let sinks = sinkScores {
                share(
                  with: sinks[h], count: seen.count, slope: slopes.isEmpty ? 0 : slopes[h], q + at,
                  sequence.keys.floats + offset, width, scores + index * most, y + at)
              }
            }
          }
        }
      }
    }
  }
}

extension Attention {
  /// Leaves a sink its share of an output `y`: `probabilities` are those of the keys alone, of which the
  /// largest and its score give the logarithm of the sum.
  private func share(
    with sink: Float, count: Int, slope: Float, _ q: UnsafePointer<Float>,
    _ keys: UnsafePointer<Float>, _ width: Int, _ probabilities: UnsafePointer<Float>,
    _ y: UnsafeMutablePointer<Float>
  ) {
    guard count > 0 else { return }
    let place = lk_argmax(count, probabilities)
    let share = AttentionSinks.share(
      ofScore: Float(lk_dot(headSize, q, keys + place * width)) * scale, softCap: softCap,
      bias: slope * Float(count - 1 - place), probability: probabilities[place], beside: sink)
    lk_scale(headSize, share, y, y)
  }
}

/// What a sequence's cache holds of one layer, `[positions, K, D]`, and how much of it was there before
/// this pass.
private struct DecodedSequence {
  let keys: Tensor
  let values: Tensor
  let first: Int
  /// What scores get by distance, `[heads, positions + new - 1]`; nil for nothing.
  let bias: Tensor?

  /// That of a head for the new query `query` and the keys from `key` on.
  func bias(
    _ head: Int, heads: Int, query: Int, of queries: Int, key: Int
  ) -> UnsafePointer<Float>? {
    bias.map { $0.floats + head * $0.shape[1] + queries - 1 - query + key }
  }
}

// MARK: - Memory

extension Attention {
  /// The layers that read the block's normed input.
  var inputLayers: [any LinearLayer] {
    switch projections {
    case .separate(let query, let key, let value): [query, key] + (value.map { [$0] } ?? [])
    case .queries(let query, _): [query]
    case .fused(let layer, _): [layer]
    }
  }

  /// The buffers that are kept for the backward pass, each in numbers a token: queries, keys, values,
  /// the result and a sum for each head; or, where only the output's layer is trained, its input.
  /// Nobody keeps what a fused projection was sliced from.
  func keptWidths(attends: Bool, _ training: TrainedLayers) -> [Int] {
    // What the other block keeps is not counted twice.
    let (queries, keys) = (heads * headSize, keySource == nil ? keyWidth : 0)
    guard attends else { return training.contains([output]) ? [queries] : [] }
    var widths = [queries, queries, keys, keys, heads]
    if valueNorm != nil, keySource == nil {
      var isProjected = true
      if case .separate(_, _, nil) = projections { isProjected = false }
      widths += isProjected ? [keys, keyHeads] : [keyHeads]
    }
    guard let headNorms else { return widths }
    // What the norms read, and a number for each part that they normalize.
    if headNorms.query is HeadwiseNorm {
      return widths + headNorms.query.keptWidths + (headNorms.key?.keptWidths ?? [])
    }
    widths += [queries, headNorms.isPerHead ? heads : 1]
    return keys == 0 ? widths : widths + [keys, headNorms.isPerHead ? keyHeads : 1]
  }

  /// The gradients of queries, keys, values and the result, and of what they are sliced from.
  var scratchWidths: [Int] {
    let (queries, keys) = (heads * headSize, keyHeads * headSize)
    let separate = [queries, queries, keys, keys]
    if case .fused = projections { return separate + [queries + 2 * keys] }
    return separate
  }
}
