import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// What an encoder has made of each item's source.
struct EncodedSource: Sendable {
  /// The hidden states, `[B, S, C]`.
  let states: Variable
  /// How many of them each item has; the rest is padding.
  let lengths: [Int]
}

/// Attention of every position to all of a source, whose keys and values are made once.
struct CrossAttention: Sendable {
  let query: any LinearLayer
  let key: any LinearLayer
  let value: any LinearLayer
  let output: any LinearLayer
  let heads: Int
  let headSize: Int
  /// What scores are multiplied by.
  let scale: Float

  /// The attention of `x`, `[B, T, C]`, to a source.
  func callAsFunction(_ x: Variable, _ source: EncodedSource) -> Variable {
    // A node of the block's own: what keys and values give to the source is added up before it is added to
    // other blocks' gradients, so that the sum has the same bits if the block is computed twice.
    let (keys, values) = keysAndValues(source.states.reshaped(to: source.states.shape))
    return result(
      queries(x).attention(
        keys: keys, values: values, mask: .cross(lengths: source.lengths), scale: scale))
  }

  /// The same, to what each sequence of a cache has of a source.
  func callAsFunction(_ x: Variable, _ cache: KeyValueCache, layer: Int) -> Variable {
    let queries = queries(x)
    let items = cache.sequences.enumerated().map { index, sequence -> Variable in
      let q = queries.sliced(axis: 0, index..<index + 1)
      guard let source = sequence.source(layer: layer) else {
        return Variable(.zeros(q.shape))
      }
      func all(_ x: Tensor) -> Variable {
        Variable(x.reshaped(to: [1, x.shape[0], heads, headSize]))
      }
      return q.attention(
        keys: all(source.keys), values: all(source.values), mask: .cross(), scale: scale)
    }
    return result(items.count == 1 ? items[0] : .concatenated(items))
  }

  /// Gives each sequence of a cache the keys and values of its source.
  func begin(_ cache: KeyValueCache, _ source: EncodedSource) {
    let (keys, values) = keysAndValues(source.states)
    let size = heads * headSize
    for (index, sequence) in cache.sequences.enumerated() {
      let length = source.lengths[index]
      func part(_ x: Variable) -> Tensor {
        x.value.sliced(axis: 0, index..<index + 1).sliced(axis: 1, 0..<length)
          .reshaped(to: [length, size])
      }
      sequence.appendSource(keys: part(keys), values: part(values))
    }
  }

  private func queries(_ x: Variable) -> Variable {
    query(x).reshaped(to: [x.shape[0], x.shape[1], heads, headSize])
  }

  private func keysAndValues(_ states: Variable) -> (keys: Variable, values: Variable) {
    let shape: Shape = [states.shape[0], states.shape[1], heads, headSize]
    return (key(states).reshaped(to: shape), value(states).reshaped(to: shape))
  }

  private func result(_ attended: Variable) -> Variable {
    output(
      attended.reshaped(to: [attended.shape[0], attended.shape[1], heads * headSize]))
  }
}

// MARK: - A few new tokens

extension CrossAttention {
  /// Adds the attention's output of `x`, `[rows, C]`, to `y`.
  func decode(
    _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding, layer: Int,
    addingTo y: UnsafeMutablePointer<Float>
  ) {
    let (rows, width) = (decoding.rows, heads * headSize)
    let sources = decoding.cache.sequences.map { $0.source(layer: layer) }
    withScratch(2 * rows * width) { q in
      let attended = q + rows * width
      DecodingLinear.project(x, size: size, decoding, [(DecodingLinear(query), q)])
      attend(q, sources, positions: decoding.positions, into: attended)
      DecodingLinear.project(
        attended, size: width, decoding, accumulates: true, [(DecodingLinear(output), y)])
    }
  }

  private func attend(
    _ q: UnsafePointer<Float>, _ sources: [(keys: Tensor, values: Tensor)?], positions: Int,
    into y: UnsafeMutablePointer<Float>
  ) {
    let width = heads * headSize
    let most = max(1, sources.map { $0?.keys.shape[0] ?? 0 }.max() ?? 1)
    let count = sources.count * heads
    withExtendedLifetime(sources) {
      withScratch(count * most) { scores in
        parallelTiles(count, tile: max(1, (1 << 15) / (most * headSize * positions))) { range in
          for index in range {
            let (item, h) = (index / heads, index % heads)
            for row in item * positions..<(item + 1) * positions {
              let at = row * width + h * headSize
              guard let source = sources[item] else {
                lk_fill(headSize, 0, y + at)
                continue
              }
              lk_attention_row(
                source.keys.shape[0], headSize, q + at, source.keys.floats + h * headSize, width,
                source.values.floats + h * headSize, width, scale, 0, 0, nil,
                scores + index * most, y + at)
            }
          }
        }
      }
    }
  }
}

// MARK: - Memory

extension CrossAttention {
  /// The layers that read the block's hidden states.
  var inputLayers: [any LinearLayer] { [query] }
  /// The layers that read the source.
  var sourceLayers: [any LinearLayer] { [key, value] }

  /// The buffers that are kept for the backward pass, each in numbers a token: queries, the result and a
  /// sum for each head; or, where only the output's layer is trained, its input.
  func keptWidths(attends: Bool, _ training: TrainedLayers) -> [Int] {
    let width = heads * headSize
    if attends { return [width, width, heads] }
    return training.contains([output]) ? [width] : []
  }

  /// What is kept of each token of the source: keys and values.
  func keptSourceWidths(attends: Bool) -> [Int] {
    attends ? [heads * headSize, heads * headSize] : []
  }
}
