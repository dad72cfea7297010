public import LoRAArchitectures
public import LoRAAutograd
public import LoRATensor

/// An encoder that reads a source and a decoder that writes a target, as T5's.
///
/// A sequence is both: the source's ids, ``targetStart``, and the ids of the target so far. What precedes
/// the first ``targetStart`` is read by the encoder, whose hidden states are those of these positions; the
/// rest is the decoder's. So the last id of a prompt is the one that begins the target, what follows is
/// predicted, scored and generated as by any language model, and a cache holds the keys and values of the
/// source once. A sequence without ``targetStart`` is a target that nothing precedes: `validate(_:)` and
/// whatever reads data refuse it.
public final class TransformerEncoderDecoder: LanguageModel, TransformerModel {
  /// The shape and the options that the model was made with.
  public let configuration: ModelConfiguration
  package let encoder: TransformerBody?
  package let body: TransformerBody
  /// The output head; shares the embedding's table if the configuration ties them.
  public let head: any LinearLayer
  /// The token that begins a target.
  public let targetStart: Int?
  /// The names of Hugging Face checkpoints.
  public let children: Named<any Module>

  init(
    configuration: ModelConfiguration, encoder: TransformerBody, body: TransformerBody,
    head: any LinearLayer, targetStart: Int, children: Named<any Module>
  ) {
    self.configuration = configuration
    self.encoder = encoder
    self.body = body
    self.head = head
    self.targetStart = targetStart
    self.children = children
  }

  /// The number of the decoder's blocks.
  public var layerCount: Int { body.blocks.count }

  /// The hidden states after the last norms, `[batch, positions, hiddenSize]`.
  public func hiddenStates(_ batch: TokenBatch) -> Variable { hiddenStates(batch, cache: nil) }

  /// The same behind what the cache holds. A pass that begins a cache has the sources; if it is of several
  /// sequences, their targets must be equally long.
  public func hiddenStates(_ tokens: Tensor, cache: KeyValueCache?) -> Variable {
    hiddenStates(TokenBatch(tokens), cache: cache)
  }

  private func hiddenStates(_ batch: TokenBatch, cache: KeyValueCache?) -> Variable {
    require(batch.types == nil, "an encoder-decoder knows no types of tokens")
    if let cache, cache.hasBegun { return body.hiddenStates(batch, cache: cache) }
    if let unpacked = batch.unpacked {
      let hidden = hiddenStates(unpacked.batch, cache: cache)
      let size = hidden.shape.innermost
      return hidden.reshaped(to: [hidden.shape.rowCount, size]).gathered(unpacked.places)
    }
    let parts = SourcesAndTargets(batch, start: targetStart ?? -1)
    var source: EncodedSource?
    if let sources = parts.sources, let encoder {
      source = EncodedSource(
        states: encoder.hiddenStates(sources, isLast: false), lengths: parts.sourceLengths)
    }
    if let cache {
      require(
        parts.targets.sequences == .whole,
        "a pass that begins a cache with targets of \(parts.targets.lengths) tokens: begin each alone"
      )
      if let source {
        for block in body.blocks { block.crossAttention?.begin(cache, source) }
      }
    }
    let target = body.hiddenStates(
      parts.targets, cache: cache, reading: cache == nil ? source : nil)
    return parts.joined(source?.states, target)
  }
}

/// The sources and the targets of a batch, each padded to the longest.
private struct SourcesAndTargets {
  /// Nil if no item has a source.
  let sources: TokenBatch?
  let sourceLengths: [Int]
  let targets: TokenBatch
  /// Where each position of the batch is among those of all sources and then of all targets.
  private let places: Tensor

  init(_ batch: TokenBatch, start: Int) {
    let (items, count) = (batch.count, batch.tokens.shape[1])
    let ids = batch.tokens.scalars(as: Int64.self)
    let sequences = batch.lengths.enumerated().map { item, length in
      ids[item * count..<item * count + length]
    }
    let lengths = sequences.map { sequence in
      (sequence.firstIndex(of: Int64(start)) ?? sequence.startIndex) - sequence.startIndex
    }
    func joined(_ parts: [ArraySlice<Int64>]) -> TokenBatch {
      TokenBatch(sequences: parts.map { $0.map { Int($0) } })
    }
    let (sourceWidth, targetWidth) = (
      lengths.max() ?? 0, zip(sequences, lengths).map { $0.count - $1 }.max() ?? 0
    )
    sourceLengths = lengths
    sources = sourceWidth == 0 ? nil : joined(zip(sequences, lengths).map { $0.prefix($1) })
    targets = joined(zip(sequences, lengths).map { $0.dropFirst($1) })
    var places: [Int64] = []
    places.reserveCapacity(items * count)
    for item in 0..<items {
      let (length, end) = (lengths[item], sequences[item].count)
      let first = items * sourceWidth + item * targetWidth
      for position in 0..<count {
        let place =
          position < length
          ? item * sourceWidth + position : position < end ? first + position - length : first
        places.append(Int64(place))
      }
    }
    self.places = Tensor(places, shape: [items, count])
  }

  /// The hidden states of the batch's positions.
  func joined(_ sources: Variable?, _ targets: Variable) -> Variable {
    let size = targets.shape.innermost
    func rows(_ x: Variable) -> Variable { x.reshaped(to: [x.shape.rowCount, size]) }
    guard let sources else {
      return targets.shape[1] == places.shape[1] ? targets : rows(targets).gathered(places)
    }
    return Variable.concatenated([rows(sources), rows(targets)]).gathered(places)
  }
}
