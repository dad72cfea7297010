public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

// Transformers of every architecture, built of what `TransformerStructure` says. B is the batch, T the
// positions, C the hidden size, H and K the numbers of heads and of key heads, D the size of a head.

/// A decoder with its output head, of any `Architecture` that a structure describes.
public final class Transformer: PretrainedLanguageModel {
  /// The shape and the options that the model was made with.
  public let configuration: ModelConfiguration
  let embedding: TokenEmbedding
  package let blocks: [Block]
  let norm: (any Norm)?
  /// The output head; shares the embedding's table if the configuration ties them.
  public let head: any LinearLayer
  /// What logits are capped at; nil for none.
  public let logitSoftCap: Float?
  /// The names of Hugging Face checkpoints.
  public let children: Named<any Module>

  init(
    configuration: ModelConfiguration, embedding: TokenEmbedding, blocks: [Block],
    norm: (any Norm)?, head: any LinearLayer, logitSoftCap: Float?, children: Named<any Module>
  ) {
    self.configuration = configuration
    self.embedding = embedding
    self.blocks = blocks
    self.norm = norm
    self.head = head
    self.logitSoftCap = logitSoftCap
    self.children = children
  }

  /// The number of token ids.
  public var vocabularySize: Int { configuration.vocabularySize }
  /// The longest sequence.
  public var maximumPositions: Int { configuration.maximumPositions }
  /// The number of blocks.
  public var layerCount: Int { blocks.count }

  /// The hidden states after the last norm, `[batch, positions, hiddenSize]`.
  public func hiddenStates(_ tokens: Tensor, cache: KeyValueCache?) -> Variable {
    if let cache, let decoding = Decoding(of: tokens, cache: cache) {
      return hiddenStates(tokens, decoding)
    }
    var x = embedding(tokens, cache: cache)
    for (index, block) in blocks.enumerated() {
      // The last block would be computed again at once: keeping it costs no memory.
      if cache == nil, index + 1 < blocks.count {
        x = block.checkpointed(x) { block($0, cache: nil, layer: index) }
      } else {
        x = block(x, cache: cache, layer: index)
      }
    }
    cache?.advance(by: tokens.shape[1])
    return norm?(x) ?? x
  }

  /// The same of a few new tokens: see ``Decoding``.
  private func hiddenStates(_ tokens: Tensor, _ decoding: Decoding) -> Variable {
    let x = embedding(tokens, cache: decoding.cache).value
    let hidden = Tensor(shape: x.shape) { hidden in
      withExtendedLifetime(x) { hidden.update(from: x.floats, count: x.elementCount) }
      for (index, block) in blocks.enumerated() {
        block.decode(hidden, size: x.shape.innermost, decoding, layer: index)
      }
    }
    decoding.cache.advance(by: tokens.shape[1])
    return norm?(Variable(hidden)) ?? Variable(hidden)
  }
}

/// What makes vectors of tokens: a table, and perhaps one of positions.
struct TokenEmbedding: Sendable {
  let tokens: Embedding
  let positions: Embedding?
  /// What the tokens' vectors are multiplied by.
  let scale: Float?

  /// Tokens `[B, T]` behind what the cache holds to vectors `[B, T, C]`.
  func callAsFunction(_ ids: Tensor, cache: KeyValueCache?) -> Variable {
    let x = scale.map { tokens(ids).scaled(by: $0) } ?? tokens(ids)
    guard let positions else { return x }
    let (batch, count) = (ids.shape[0], ids.shape[1])
    // A position for every token: items of the batch may have adapters of their own, and sequences
    // of a cache differ in length.
    let starts = cache?.counts ?? Array(repeating: 0, count: batch)
    let places = starts.flatMap { ($0..<$0 + count).map(Int64.init) }
    return x + positions(Tensor(places, shape: ids.shape))
  }
}

/// Modules under a common name, as `self_attn` is in checkpoints: a level of names without arithmetic.
final class ModuleGroup: Module {
  let children: Named<any Module>

  init(_ children: Named<any Module>) { self.children = children }

  /// The children of a module that has `modules` at these paths below it, in their order: a group for
  /// each level of names in between. `prefix` goes before the last name of a list's elements, as in
  /// `layers.0`.
  static func tree(_ modules: [(path: String, module: any Module)]) -> Named<any Module> {
    var names: [String] = []
    var below: [String: [(path: String, module: any Module)]] = [:]
    for (path, module) in modules {
      let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
      if below[parts[0]] == nil { names.append(parts[0]) }
      below[parts[0], default: []].append((parts.count > 1 ? parts[1] : "", module))
    }
    return Named(
      names.map { name in
        let inner = below[name] ?? []
        if inner.count == 1, inner[0].path.isEmpty { return (name, inner[0].module) }
        return (name, ModuleGroup(tree(inner)))
      })
  }
}
