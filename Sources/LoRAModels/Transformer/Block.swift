import LoRAArchitectures
import LoRAAutograd
import LoRATensor

/// One layer of a transformer: attention and a feed-forward network, or several, each added to its input.
///
/// Adapters of a block stand behind the layers that project back to the hidden size, before the norms of
/// what is added.
package final class Block: AdaptableBlock {
  /// The norms, each of which may be missing.
  struct Norms: Sendable {
    /// Of what the attention reads.
    var attention: (any Norm)?
    /// Of the attention's output, before it is added.
    var attentionOutput: (any Norm)?
    /// Of what the network reads.
    var feedForward: (any Norm)?
    /// Of the network's output, before it is added.
    var feedForwardOutput: (any Norm)?
    /// Of the sum that the attention is part of.
    var attentionSum: (any Norm)?
    /// Of the sum that the network is part of.
    var feedForwardSum: (any Norm)?
  }

  let norms: Norms
  let attention: Attention
  let feedForward: any BlockNetwork
  let arrangement: TransformerStructure.Block.Arrangement
  /// What the outputs of attention and network are multiplied by before they are added; nil: nothing.
  let residualScale: Float?
  package let children: Named<any Module>
  package let slot = AdapterSlot()

  init(
    norms: Norms, attention: Attention, feedForward: any BlockNetwork,
    arrangement: TransformerStructure.Block.Arrangement, residualScale: Float? = nil,
    children: Named<any Module>
  ) {
    self.residualScale = residualScale
    self.norms = norms
    self.attention = attention
    self.feedForward = feedForward
    self.arrangement = arrangement
    self.children = children
  }

  func callAsFunction(
    _ x: Variable, _ pass: TransformerPass, cache: KeyValueCache?, layer: Int
  ) -> Variable {
    let normed = norms.attention?(x) ?? x
    let attended = slot.adapting(
      .attention, attention(normed, pass, cache: cache, layer: layer), residual: x,
      norm: norms.attentionSum.map { norm in { norm($0) } })
    var sum = x + scaled(norms.attentionOutput?(attended) ?? attended)
    if let norm = norms.attentionSum { sum = norm(sum) }
    let input: Variable
    switch arrangement {
    case .sequential: input = norms.feedForward?(sum) ?? sum
    case .parallel: input = norms.feedForward?(x) ?? x
    case .parallelBehindOneNorm: input = normed
    }
    let raised = slot.adapting(
      .feedForward, feedForward(input), residual: sum,
      norm: norms.feedForwardSum.map { norm in { norm($0) } })
    sum = sum + scaled(norms.feedForwardOutput?(raised) ?? raised)
    return norms.feedForwardSum?(sum) ?? sum
  }

  private func scaled(_ x: Variable) -> Variable { residualScale.map { x.scaled(by: $0) } ?? x }

  /// The same of the hidden states `x`, `[rows, C]`, in place.
  func decode(_ x: UnsafeMutablePointer<Float>, size: Int, _ decoding: Decoding, layer: Int) {
    guard slot.isUnused else { return decodeGenerally(x, size: size, decoding, layer: layer) }
    let count = decoding.rows * size
    withScratch(3 * count) { normed in
      let (input, output) = (normed + count, normed + 2 * count)
      decoding.normalize(x, size: size, by: norms.attention, into: normed)
      // Read before the attention is added.
      if arrangement == .parallel {
        decoding.normalize(x, size: size, by: norms.feedForward, into: input)
      }
      decoding.add(
        norms.attentionOutput, size: size, times: residualScale, to: x, scratch: output
      ) {
        attention.decode(normed, size: size, decoding, layer: layer, addingTo: $0)
      }
      decoding.normalize(x, size: size, by: norms.attentionSum, into: x)
      if arrangement == .sequential {
        decoding.normalize(x, size: size, by: norms.feedForward, into: input)
      }
      let read = arrangement == .parallelBehindOneNorm ? normed : input
      decoding.add(
        norms.feedForwardOutput, size: size, times: residualScale, to: x, scratch: output
      ) {
        feedForward.decode(read, size: size, decoding, addingTo: $0)
      }
      decoding.normalize(x, size: size, by: norms.feedForwardSum, into: x)
    }
  }
}

extension Block {
  /// The size of a hidden state.
  package var hiddenSize: Int { attention.output.outputSize }

  /// The general pass in the place of the short one. Virtual tokens are in the cache.
  private func decodeGenerally(
    _ x: UnsafeMutablePointer<Float>, size: Int, _ decoding: Decoding, layer: Int
  ) {
    let pass = TransformerPass(
      sequences: .whole, positions: nil, virtual: AppliedVirtualTokens())
    decoding.general(x, size) { self($0, pass, cache: decoding.cache, layer: layer) }
      .withUnsafeElements(of: Float.self) { result in
        if let from = result.baseAddress { x.update(from: from, count: result.count) }
      }
  }
}

// MARK: - Memory

extension Block {
  /// The buffers that the block keeps for its backward pass, each in float32 numbers a token.
  ///
  /// - Parameters:
  ///   - flowsIn: whether a gradient flows through the block into what is below it.
  ///   - training: what is trained of each layer.
  package func keptWidths(flowsIn: Bool, _ training: TrainedLayers) -> [Int] {
    // A norm keeps its input if a gradient flows through it; if not, those who read its output keep
    // that. Without a norm its reader keeps the input, unless that is what a norm of a sum made: then the
    // sum is kept.
    let size = attention.output.outputSize
    let attends = flowsIn || training.contains(attention.inputLayers)
    let flowsOn =
      attends || training.hasPrefix || training.contains([attention.output])
      || training.changes(.attention, of: self)
    let isSequential = arrangement == .sequential
    let entersNetwork =
      (isSequential ? flowsOn : flowsIn) || training.contains(feedForward.inputLayers)
    let leavesNetwork =
      entersNetwork || training.contains(feedForward.outputLayers)
      || training.changes(.feedForward, of: self)
    var widths =
      (attention.inputLayers + [attention.output]).flatMap { training.keptWidths(of: $0) }
      + feedForward.adapterWidths(training) + training.keptWidths(of: self)
    if attends {
      widths +=
        norms.attention?.keptWidths ?? (norms.feedForwardSum != nil && flowsIn ? [] : [size])
    }
    widths += attention.keptWidths(attends: attends || training.hasPrefix, training)
    if flowsOn {
      widths += norms.attentionOutput?.keptWidths ?? []
      widths += norms.attentionSum?.keptWidths ?? []
    }
    if entersNetwork, arrangement != .parallelBehindOneNorm {
      widths +=
        norms.feedForward?.keptWidths ?? (norms.attentionSum != nil && flowsOn ? [] : [size])
    }
    if entersNetwork || training.contains(feedForward.outputLayers) {
      widths += feedForward.keptWidths(isEntered: entersNetwork, training)
    }
    if leavesNetwork {
      widths += norms.feedForwardOutput?.keptWidths ?? []
      widths += norms.feedForwardSum?.keptWidths ?? []
    }
    return widths
  }

  /// The buffers of the widest moment of the backward pass: the gradients of the residual stream and of
  /// the norms' outputs, and those of the attention or of the feed-forward network, one after the other.
  package var scratchWidths: [Int] {
    let size = attention.output.outputSize
    let (attended, raised) = (attention.scratchWidths, feedForward.scratchWidths)
    return Array(repeating: size, count: 4)
      + (attended.reduce(0, +) > raised.reduce(0, +) ? attended : raised)
  }

  /// The linear layers of the block.
  package var linearLayers: [any LinearLayer] {
    attention.inputLayers + [attention.output] + feedForward.inputLayers
      + feedForward.outputLayers
  }
}

/// What is trained of a model's linear layers, as far as activations are kept for it.
package struct TrainedLayers {
  /// What is trained of one layer.
  package struct Layer {
    /// The rank of its adapter, 0 for none.
    package var rank: Int
    /// What the adapter keeps beside the down-projected input, in numbers a token.
    package var keptWidth: Int

    /// Creates a description from its parts.
    package init(rank: Int, keptWidth: Int) {
      self.rank = rank
      self.keptWidth = keptWidth
    }
  }

  /// An adapter of a block.
  package struct Change {
    /// The parts that it changes.
    package var parts: Set<BlockEffect.Part>
    /// What it keeps, in numbers a token.
    package var keptWidth: Int

    /// Creates a description from its parts.
    package init(parts: Set<BlockEffect.Part>, keptWidth: Int) {
      self.parts = parts
      self.keptWidth = keptWidth
    }
  }

  /// Whether the whole model is trained.
  package let isFull: Bool
  private let layers: [ObjectIdentifier: Layer]
  private let blocks: [ObjectIdentifier: Change]
  /// Whether keys and values are trained that come before the tokens' in every layer.
  package let hasPrefix: Bool

  /// Creates a description from that of each layer and block.
  package init(
    isFull: Bool, layers: [ObjectIdentifier: Layer], blocks: [ObjectIdentifier: Change] = [:],
    hasPrefix: Bool = false
  ) {
    self.isFull = isFull
    self.hasPrefix = hasPrefix
    self.layers = layers
    self.blocks = blocks
  }

  /// Whether an adapter of the block itself is trained.
  package func changes(_ block: Block) -> Bool { blocks[ObjectIdentifier(block)] != nil }

  /// Whether one is trained that changes `part`.
  func changes(_ part: BlockEffect.Part, of block: Block) -> Bool {
    blocks[ObjectIdentifier(block)]?.parts.contains(part) ?? false
  }

  /// What one keeps.
  func keptWidths(of block: Block) -> [Int] {
    blocks[ObjectIdentifier(block)].map { [$0.keptWidth] } ?? []
  }

  /// Whether anything of `layers` is trained.
  package func contains(_ layers: [any LinearLayer]) -> Bool {
    isFull || layers.contains { (self.layers[ObjectIdentifier($0)]?.rank ?? 0) > 0 }
  }

  /// What the adapter of `layer` keeps.
  func keptWidths(of layer: any LinearLayer) -> [Int] {
    guard let layer = layers[ObjectIdentifier(layer)] else { return [] }
    return [layer.rank, layer.keptWidth]
  }
}
