import CLoRAKernels
import LoRAArchitectures
package import LoRAAutograd
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
    /// Of what the attention to the source reads.
    var crossAttention: (any Norm)?
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
  /// The attention to a source, behind that to the sequence itself; nil for none.
  let crossAttention: CrossAttention?
  let feedForward: any BlockNetwork
  let arrangement: TransformerStructure.Block.Arrangement
  /// What the outputs of attention and network are multiplied by before they are added; nil: nothing.
  let residualScale: Float?
  /// What reads the block's own vector of each token; nil for none.
  let inputGate: BlockInputGate?
  /// What the block's output is multiplied by; nil: nothing.
  let outputScale: Parameter?
  package let children: Named<any Module>
  package let parameters: Named<Parameter>
  package let slot = AdapterSlot()

  init(
    norms: Norms, attention: Attention, crossAttention: CrossAttention? = nil,
    feedForward: any BlockNetwork,
    arrangement: TransformerStructure.Block.Arrangement, residualScale: Float? = nil,
    inputGate: BlockInputGate? = nil, outputScale: Parameter? = nil,
    parameters: Named<Parameter> = [:], children: Named<any Module>
  ) {
    self.inputGate = inputGate
    self.outputScale = outputScale
    self.parameters = parameters
    self.residualScale = residualScale
    self.norms = norms
    self.attention = attention
    self.crossAttention = crossAttention
    self.feedForward = feedForward
    self.arrangement = arrangement
    self.children = children
  }

  /// The block's output, and without a cache its keys and values.
  func callAsFunction(
    _ x: Variable, _ pass: TransformerPass, cache: KeyValueCache?, layer: Int, _ beside: BlockInput
  ) -> (output: Variable, states: KeysAndValues?) {
    let normed = norms.attention?(x) ?? x
    let (heads, states) = attention(
      normed, pass, cache: cache, layer: layer, reading: beside.states)
    let attended = slot.adapting(
      .attention, heads, residual: x,
      norm: norms.attentionSum.map { norm in { norm($0) } })
    var sum = x + scaled(norms.attentionOutput?(attended) ?? attended)
    if let norm = norms.attentionSum { sum = norm(sum) }
    if let read = reading(sum, pass, cache: cache, layer: layer) { sum = sum + scaled(read) }
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
    if let norm = norms.feedForwardSum { sum = norm(sum) }
    if let inputGate, let vectors = beside.vectors { sum = inputGate(sum, vectors) }
    return (outputScaled(sum), states)
  }

  private func outputScaled(_ x: Variable) -> Variable {
    guard let outputScale else { return x }
    return outputScale.isTrainable
      ? x * Variable(outputScale) : x.scaled(by: outputScale.value.item())
  }

  /// The same without a cache, of which only the inputs are kept while blocks are checkpointed.
  ///
  /// - Parameter givesStates: whether other blocks read the keys and values.
  func checkpointed(
    _ x: Variable, _ pass: TransformerPass, layer: Int, _ beside: BlockInput, givesStates: Bool
  ) -> (output: Variable, states: KeysAndValues?) {
    guard BlockCheckpointing.isOn, GradientMode.isRecording else {
      return self(x, pass, cache: nil, layer: layer, beside)
    }
    let hasVectors = beside.vectors != nil
    let source = crossAttention == nil ? nil : pass.source?.states
    let readsSource = source != nil
    let more = [beside.vectors, source, beside.states?.keys, beside.states?.values].compactMap {
      $0
    }
    // What others read leaves the block beside its output, as one variable.
    let joined = checkpointed([x] + more) { parts in
      var states = parts.dropFirst(hasVectors ? 2 : 1)
      let pass = readsSource ? pass.reading(states.popFirst()) : pass
      let read = BlockInput(
        vectors: hasVectors ? parts[1] : nil,
        states: states.count < 2
          ? nil
          : KeysAndValues(keys: states[states.startIndex], values: states[states.endIndex - 1]))
      let (y, own) = self(parts[0], pass, cache: nil, layer: layer, read)
      guard givesStates, let own else { return y }
      let shape = y.shape.replacingInnermost(with: self.attention.keyWidth)
      return .concatenated(
        [y, own.keys.reshaped(to: shape), own.values.reshaped(to: shape)], axis: 2)
    }
    guard givesStates else { return (joined, nil) }
    let (size, width) = (x.shape.innermost, attention.keyWidth)
    func states(_ start: Int) -> Variable {
      joined.sliced(axis: 2, start..<start + width)
        .reshaped(to: [x.shape[0], x.shape[1], attention.keyHeads, attention.headSize])
    }
    return (
      joined.sliced(axis: 2, 0..<size),
      KeysAndValues(keys: states(size), values: states(size + width))
    )
  }

  /// What the attention to the source adds to `x`; nil for nothing.
  private func reading(
    _ x: Variable, _ pass: TransformerPass, cache: KeyValueCache?, layer: Int
  ) -> Variable? {
    guard let crossAttention else { return nil }
    let normed = norms.crossAttention?(x) ?? x
    if let cache { return crossAttention(normed, cache, layer: layer) }
    return pass.source.map { crossAttention(normed, $0) }
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
      if let crossAttention {
        decoding.normalize(x, size: size, by: norms.crossAttention, into: normed)
        decoding.add(nil, size: size, times: residualScale, to: x, scratch: output) {
          crossAttention.decode(normed, size: size, decoding, layer: layer, addingTo: $0)
        }
      }
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
    if let inputGate, let vectors = decoding.blockVectors {
      withExtendedLifetime(vectors) {
        inputGate.decode(
          x, size: size, decoding, layer: layer, vectors.floats, width: vectors.shape.innermost)
      }
    }
    if let outputScale { lk_scale(decoding.rows * size, outputScale.value.item(), x, x) }
  }
}

extension Block {
  /// The size of a hidden state.
  package var hiddenSize: Int { attention.output.outputSize }
  /// The block whose keys and values are read; nil: its own.
  package var keySource: Int? { attention.keySource }
  /// The numbers of a position's keys.
  package var keyWidth: Int { attention.keyWidth }

  /// The general pass in the place of the short one. Virtual tokens are in the cache.
  private func decodeGenerally(
    _ x: UnsafeMutablePointer<Float>, size: Int, _ decoding: Decoding, layer: Int
  ) {
    let pass = TransformerPass(
      sequences: .whole, positions: nil, virtual: AppliedVirtualTokens())
    let vectors = inputGate.flatMap { gate in
      decoding.blockVectors.map {
        let size = gate.gate.outputSize
        return Variable($0).sliced(axis: 2, layer * size..<(layer + 1) * size)
      }
    }
    decoding.general(x, size) {
      self($0, pass, cache: decoding.cache, layer: layer, BlockInput(vectors: vectors)).output
    }
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
  ///   - sourceFlows: whether one flows into what made the source.
  ///   - training: what is trained of each layer.
  package func keptWidths(
    flowsIn: Bool, sourceFlows: Bool = false, _ training: TrainedLayers
  ) -> [Int] {
    // A norm keeps its input if a gradient flows through it; if not, those who read its output keep
    // that. Without a norm its reader keeps the input, unless that is what a norm of a sum made: then the
    // sum is kept.
    let size = attention.output.outputSize
    let attends = flowsIn || training.contains(attention.inputLayers)
    let attended =
      attends || training.hasPrefix || training.contains([attention.output])
      || training.changes(.attention, of: self)
    let reads = readsSource(attended, sourceFlows: sourceFlows, training)
    let flowsOn = attended || reads || training.contains(crossAttention.map { [$0.output] } ?? [])
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
    if let crossAttention {
      widths += [crossAttention.query, crossAttention.output].flatMap {
        training.keptWidths(of: $0)
      }
      if reads { widths += norms.crossAttention?.keptWidths ?? [size] }
      widths += crossAttention.keptWidths(attends: reads, training)
    }
    if attended {
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
    if let inputGate {
      let isEntered = leavesNetwork || flowsOn || flowsIn
      widths += inputGate.layers.flatMap { training.keptWidths(of: $0) }
      if isEntered || training.contains(inputGate.layers) {
        widths += inputGate.keptWidths(isEntered: isEntered, training)
      }
    }
    return widths
  }

  /// Whether a gradient reaches the attention to the source.
  private func readsSource(
    _ flows: Bool, sourceFlows: Bool, _ training: TrainedLayers
  ) -> Bool {
    guard let crossAttention else { return false }
    return flows || sourceFlows
      || training.contains(crossAttention.inputLayers + crossAttention.sourceLayers)
  }

  /// The same that it keeps of the source, in numbers a token of that.
  package func keptSourceWidths(
    flowsIn: Bool, sourceFlows: Bool, _ training: TrainedLayers
  ) -> [Int] {
    guard let crossAttention else { return [] }
    let flows =
      flowsIn || training.contains(attention.inputLayers + [attention.output])
      || training.changes(.attention, of: self)
    return crossAttention.sourceLayers.flatMap { training.keptWidths(of: $0) }
      + crossAttention.keptSourceWidths(
        attends: readsSource(flows, sourceFlows: sourceFlows, training))
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
    attention.inputLayers + [attention.output]
      + (crossAttention.map { $0.inputLayers + $0.sourceLayers + [$0.output] } ?? [])
      + feedForward.inputLayers + feedForward.outputLayers + (inputGate?.layers ?? [])
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
