import LoRAArchitectures
package import LoRAAutograd
package import LoRATensor

extension Transformer {
  /// The longest sequence, behind the virtual tokens that apply now.
  public var maximumPositions: Int {
    max(0, configuration.longestSequence - virtualTokenCount)
  }
}

extension OneStackTransformer {
  /// The number of blocks.
  public var layerCount: Int { body.blocks.count }
  /// The size of a hidden state.
  public var hiddenSize: Int { configuration.hiddenSize }
  /// The number of heads of keys and values.
  public var keyHeadCount: Int { configuration.keyValueHeadCount }
  /// The size of a head.
  public var headSize: Int { configuration.headSize }
  /// The vectors of the tokens.
  public var inputEmbedding: Embedding { body.embedding.tokens }
  /// Whether it has a head: PEFT says of no other model what a prompt does to it. Vectors of another size
  /// than the blocks' (OPT-350M) could not stand beside those of tokens.
  public var takesPrompts: Bool {
    (self is any LanguageModel || self is any Classifier) && body.embedding.projection == nil
  }

  /// Of a model whose layers read vectors of tokens that are their own, or the keys of other layers.
  public var refusalOfVirtualTokens: String? {
    if body.blockInputs != nil {
      return
        "every layer of '\(configuration.architecture)' reads a vector of each token, and virtual "
        + "tokens have none: LoRA can be used instead"
    }
    let first = body.blocks.first?.attention
    let isUniform = body.blocks.allSatisfy { block in
      block.attention.keySource == nil && block.attention.keyHeads == first?.keyHeads
        && block.attention.headSize == first?.headSize
    }
    return isUniform
      ? nil
      : "the layers of '\(configuration.architecture)' have keys of several sizes, or read each "
        + "other's: LoRA can be used instead"
  }

  /// The hidden states of the last virtual token, which predicts the first token, and of `tokens`.
  public func hiddenStatesFromLastVirtualToken(_ tokens: Tensor) -> Variable? {
    let virtual = slot.virtualTokens
    if virtual.embeddings.isEmpty { return nil }
    return body.hiddenStates(TokenBatch(tokens), behind: virtual, keeping: 1)
  }

  /// The hidden states of `batch` behind the virtual tokens that apply, or behind what the cache holds:
  /// virtual tokens come before the first tokens of a sequence.
  func hiddenStates(_ batch: TokenBatch, cache: KeyValueCache?) -> Variable {
    guard cache?.hasBegun != true else { return body.hiddenStates(batch, cache: cache) }
    // Items of the batch may have virtual tokens of their own, and not as many.
    var longest = self is any SequenceClassifier ? promptCount : 0
    if case .packed = batch.sequences { longest = 0 }
    return slot.grouped(shape: batch.tokens.shape) { items in
      guard let items else { return begun(batch, cache: cache) }
      let hidden = begun(batch.only(items), cache: cache?.only(items))
      let missing = batch.tokens.shape[1] + longest - hidden.shape[1]
      guard missing > 0 else { return hidden }
      let padding = Tensor.zeros([items.count, missing, hidden.shape[2]])
      return .concatenated([hidden, Variable(padding)], axis: 1)
    }
  }

  private func begun(_ batch: TokenBatch, cache: KeyValueCache?) -> Variable {
    var virtual = slot.virtualTokens
    guard virtual.count > 0 else { return body.hiddenStates(batch, cache: cache) }
    if let unpacked = batch.unpacked {
      // Every sequence has the virtual tokens before its own: an item for each, and then back.
      var hidden = begun(unpacked.batch, cache: cache)
      let (all, size) = (hidden.shape[1], hidden.shape.innermost)
      // A sequence classifier's begin with those of a prompt, for which a packed batch has no place.
      let before = all - unpacked.batch.tokens.shape[1]
      if before > 0 { hidden = hidden.sliced(axis: 1, before..<all) }
      return hidden.reshaped(to: [hidden.shape.rowCount, size]).gathered(unpacked.places)
    }
    guard self is any LanguageModel else {
      // Behind keys and values an encoder's tokens keep their places, as the papers' and the adapters
      // package's do. A prompt is part of the sequence that a head reads, as PEFT has it.
      virtual.shiftsPositions = false
      return body.hiddenStates(
        batch, behind: virtual, keeping: self is any SequenceClassifier ? virtual.promptCount : 0)
    }
    if let cache, virtual.prefixCount > 0 {
      cache.begin(with: virtual, layerCount: body.blocks.count)
    }
    // What follows a token changes nothing: padding is read as tokens.
    return body.hiddenStates(
      TokenBatch(batch.tokens, types: batch.types), cache: cache, behind: virtual)
  }
}

extension TokenBatch {
  /// A batch with an item for each sequence of a packed one, and for each position here the place among
  /// all positions there, int64, `[batch, positions]`; the first one's for padding. Nil if none is packed.
  var unpacked: (batch: TokenBatch, places: Tensor)? {
    guard case .packed(let lengths) = sequences else { return nil }
    let (ids, kinds) = (tokens.scalars(as: Int64.self), types?.scalars(as: Int64.self))
    let (width, longest) = (tokens.shape[1], lengths.joined().max() ?? 0)
    var places = Array(repeating: Int64(0), count: ids.count)
    var apart: (ids: [[Int]], types: [[Int]]) = ([], [])
    for (item, lengths) in lengths.enumerated() {
      var start = item * width
      for length in lengths {
        let range = start..<start + length
        for (offset, position) in range.enumerated() {
          places[position] = Int64(apart.ids.count * longest + offset)
        }
        apart.ids.append(ids[range].map { Int($0) })
        if let kinds { apart.types.append(kinds[range].map { Int($0) }) }
        start += length
      }
    }
    return (
      TokenBatch(sequences: apart.ids, types: kinds == nil ? nil : apart.types),
      Tensor(places, shape: tokens.shape)
    )
  }

  /// Some items of the batch.
  func only(_ items: [Int]) -> TokenBatch {
    func chosen(_ tensor: Tensor) -> Tensor {
      .concatenated(items.map { tensor[rows: $0..<$0 + 1] })
    }
    let types = types.map(chosen)
    return switch sequences {
    case .whole: TokenBatch(chosen(tokens), types: types)
    case .padded(let lengths):
      TokenBatch(chosen(tokens), lengths: items.map { lengths[$0] }, types: types)
    case .packed(let lengths):
      TokenBatch(chosen(tokens), packed: items.map { lengths[$0] }, types: types)
    }
  }
}
