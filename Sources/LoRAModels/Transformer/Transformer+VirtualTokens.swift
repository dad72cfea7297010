package import LoRAAutograd
import LoRAFormats
package import LoRATensor

extension Transformer {
  /// The longest sequence, behind the virtual tokens that apply now.
  public var maximumPositions: Int {
    max(0, configuration.maximumPositions - virtualTokenCount)
  }
}

extension TransformerModel {
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
  /// Whether it is a decoder: an encoder's first hidden state stands for the whole sequence.
  public var takesPrompts: Bool { self is any LanguageModel }

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
    return slot.grouped(shape: batch.tokens.shape) { items in
      guard let items else { return begun(batch, cache: cache) }
      return begun(batch.only(items), cache: cache?.only(items))
    }
  }

  private func begun(_ batch: TokenBatch, cache: KeyValueCache?) -> Variable {
    var virtual = slot.virtualTokens
    guard virtual.count > 0 else { return body.hiddenStates(batch, cache: cache) }
    if case .packed = batch.sequences {
      misuse("packed sequences behind virtual tokens: give each an item of the batch")
    }
    guard self is any LanguageModel else {
      // An encoder's tokens keep their places, as the papers' and the adapters package's do.
      virtual.shiftsPositions = false
      return body.hiddenStates(batch, behind: virtual)
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
