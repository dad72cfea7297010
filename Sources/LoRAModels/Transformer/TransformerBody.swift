import LoRAAutograd
import LoRATensor

// B is the batch, T the positions, C the hidden size, H and K the numbers of heads and of key heads, D
// the size of a head.

/// What all transformers share: from tokens to hidden states.
package struct TransformerBody: Sendable {
  let embedding: TokenEmbedding
  package let blocks: [Block]
  let norm: (any Norm)?
  /// What the hidden states are multiplied by before the head; nil: nothing.
  let outputScale: Float?
  /// Leads from the hidden states to the size of a token's vector; nil if they are as large.
  let projection: (any LinearLayer)?
  /// What makes a vector of each token for each block; nil for none.
  package var blockInputs: BlockInputs?

  /// The hidden states after the last norm, `[B, T, C]`.
  ///
  /// - Parameters:
  ///   - virtual: the virtual tokens before those of `batch`; a cache holds the keys and values of those
  ///     that have some.
  ///   - source: what cross attention sees; a cache holds the keys and values of its own.
  ///   - isLast: whether nothing comes behind but the head.
  ///   - kept: how many of the virtual tokens' hidden states, the last ones, are given back too.
  func hiddenStates(
    _ batch: TokenBatch, cache: KeyValueCache? = nil,
    behind virtual: AppliedVirtualTokens = AppliedVirtualTokens(), keeping kept: Int = 0,
    reading source: EncodedSource? = nil, isLast: Bool = true
  ) -> Variable {
    let tokens = batch.tokens
    if let cache, virtual.embeddings.isEmpty, let decoding = Decoding(of: tokens, cache: cache) {
      return hiddenStates(tokens, decoding)
    }
    let pass = TransformerPass(
      sequences: batch.sequences, positions: batch.positions, virtual: virtual, source: source)
    var x = embedding(batch, cache: cache, behind: virtual)
    let vectors = blockInputs?(tokens, x)
    // Asked once: in the loop Swift 6.3's optimizer crashes on it.
    let keySources = blocks.map(\.attention.keySource)
    let sources = Set(keySources.compactMap { $0 })
    var held: [Int: KeysAndValues] = [:]
    for (index, block) in blocks.enumerated() {
      let beside = BlockInput(
        vectors: vectors.flatMap { blockInputs?.vectors(ofBlock: index, among: $0) },
        states: cache == nil ? keySources[index].flatMap { held[$0] } : nil)
      var states: KeysAndValues?
      // The last block would be computed again at once: keeping it costs no memory.
      if cache == nil, !isLast || index + 1 < blocks.count {
        (x, states) = block.checkpointed(
          x, pass, layer: index, beside, givesStates: sources.contains(index))
      } else {
        (x, states) = block(x, pass, cache: cache, layer: index, beside)
      }
      if sources.contains(index) { held[index] = states }
    }
    cache?.advance(by: x.shape[1])
    let (count, all) = (kept + tokens.shape[1], x.shape[1])
    if all > count { x = x.sliced(axis: 1, all - count..<all) }
    return finished(x)
  }

  private func finished(_ x: Variable) -> Variable {
    let normed = norm?(x) ?? x
    let y = projection?(normed) ?? normed
    return outputScale.map { y.scaled(by: $0) } ?? y
  }

  /// The same of a few new tokens: see ``Decoding``.
  private func hiddenStates(_ tokens: Tensor, _ decoding: Decoding) -> Variable {
    let vectors = embedding(TokenBatch(tokens), cache: decoding.cache)
    var decoding = decoding
    decoding.blockVectors = blockInputs?(tokens, vectors).value.converted(to: .float32)
    let x = vectors.value
    let hidden = Tensor(shape: x.shape) { hidden in
      withExtendedLifetime(x) { hidden.update(from: x.floats, count: x.elementCount) }
      for (index, block) in blocks.enumerated() {
        block.decode(hidden, size: x.shape.innermost, decoding, layer: index)
      }
    }
    decoding.cache.advance(by: tokens.shape[1])
    return finished(Variable(hidden))
  }
}

/// What the blocks of one pass share.
struct TransformerPass: Sendable {
  /// The sequences of each batch item.
  let sequences: TokenBatch.Sequences
  /// The position of every token, `[B * T]`; nil: those of each item are counted from 0, or from the
  /// virtual tokens on.
  let positions: [Int]?
  /// The virtual tokens before each item.
  let virtual: AppliedVirtualTokens
  /// What cross attention sees, where no cache holds its keys and values; nil for nothing.
  var source: EncodedSource?

  /// The same pass with other states of the source, which may be differentiated apart.
  func reading(_ states: Variable?) -> TransformerPass {
    var pass = self
    if let source, let states {
      pass.source = EncodedSource(states: states, lengths: source.lengths)
    }
    return pass
  }
}

/// What makes vectors of tokens: a table, and perhaps those of positions and of types.
struct TokenEmbedding: Sendable {
  let tokens: Embedding
  let positions: Embedding?
  /// How many rows of that table precede the first position's.
  let positionOffset: Int
  let types: Embedding?
  /// What the tokens' vectors are multiplied by.
  let scale: Float?
  /// The norm of the sum.
  let norm: (any Norm)?
  /// Leads from the size of a token's vector to the hidden size; nil if they are the same.
  let projection: (any LinearLayer)?

  /// Tokens behind what the cache holds to vectors `[B, V + T, C]`, those of V virtual tokens first.
  func callAsFunction(
    _ batch: TokenBatch, cache: KeyValueCache?,
    behind virtual: AppliedVirtualTokens = AppliedVirtualTokens()
  ) -> Variable {
    let ids = batch.tokens
    let plain = projection?(tokens(ids)) ?? tokens(ids)
    var vectors = scale.map { plain.scaled(by: $0) } ?? plain
    if cache == nil, let noise = EmbeddingNoise.current {
      vectors = vectors + Variable(noise.noise(for: batch, size: vectors.shape.innermost))
    }
    var x = virtual.before(vectors)
    if let positions {
      let starts =
        cache?.counts ?? Array(repeating: virtual.firstPosition, count: batch.tokens.shape[0])
      x = x + positions(places(of: batch, count: x.shape[1], starts: starts))
    }
    if let types {
      let missing = x.shape[1] - (batch.types?.shape[1] ?? 0)
      var kinds = batch.types.map { [$0] } ?? []
      if missing > 0 {
        // Virtual tokens are of the first type, as PEFT's.
        kinds.insert(.zeros([ids.shape[0], missing], dtype: .int64), at: 0)
      }
      x = x + types(.concatenated(kinds, axis: 1))
    }
    return norm?(x) ?? x
  }

  /// A position for every token: items of the batch may have adapters of their own, and sequences of a
  /// cache differ in length.
  private func places(of batch: TokenBatch, count: Int, starts: [Int]) -> Tensor {
    if let positions = batch.positions {
      return Tensor(
        positions.map { Int64($0 + positionOffset) }, shape: batch.tokens.shape)
    }
    return Tensor(
      starts.flatMap { start in
        (start + positionOffset..<start + positionOffset + count).map(Int64.init)
      }, shape: [starts.count, count])
  }
}

extension AttentionMask {
  /// The same among the sequences of a batch, behind `count` more keys that each of them sees.
  func limited(to sequences: TokenBatch.Sequences, behind count: Int) -> AttentionMask {
    switch sequences {
    case .whole: self
    case .padded(let lengths): padded(to: lengths.map { $0 + count })
    case .packed(let lengths): packed(lengths)
    }
  }
}
