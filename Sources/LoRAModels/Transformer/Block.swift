import LoRAAutograd
import LoRATensor

/// One layer of a transformer: attention and a feed-forward network, each after a norm and added to its
/// input.
package final class Block: Module {
  let attentionNorm: any Norm
  let attention: Attention
  let feedForwardNorm: any Norm
  let feedForward: FeedForward
  package let children: Named<any Module>

  init(
    attentionNorm: any Norm, attention: Attention, feedForwardNorm: any Norm,
    feedForward: FeedForward, children: Named<any Module>
  ) {
    self.attentionNorm = attentionNorm
    self.attention = attention
    self.feedForwardNorm = feedForwardNorm
    self.feedForward = feedForward
    self.children = children
  }

  func callAsFunction(_ x: Variable, cache: KeyValueCache?, layer: Int) -> Variable {
    let attended = x + attention(attentionNorm(x), cache: cache, layer: layer)
    return attended + feedForward(feedForwardNorm(attended))
  }

  /// The same of the hidden states `x`, `[rows, C]`, in place.
  func decode(_ x: UnsafeMutablePointer<Float>, size: Int, _ decoding: Decoding, layer: Int) {
    withScratch(decoding.rows * size) { normed in
      decoding.normalize(x, size: size, by: attentionNorm, into: normed)
      attention.decode(normed, size: size, decoding, layer: layer, addingTo: x)
      decoding.normalize(x, size: size, by: feedForwardNorm, into: normed)
      feedForward.decode(normed, size: size, decoding, addingTo: x)
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
    // The first norm keeps its input if a gradient flows into the block; if not, those who read its
    // output keep that.
    let attends = flowsIn || training.contains(attention.inputLayers)
    let flowsOn = attends || training.contains([attention.output])
    let entersNetwork = flowsOn || training.contains(feedForward.inputLayers)
    var widths = linearLayers.flatMap { training.keptWidths(of: $0) }
    if attends { widths += attentionNorm.keptWidths }
    widths += attention.keptWidths(attends: attends, training)
    if entersNetwork { widths += feedForwardNorm.keptWidths }
    return widths + feedForward.keptWidths(isEntered: entersNetwork)
  }

  /// The buffers of the widest moment of the backward pass: the gradients of the residual stream and of
  /// the norms' outputs, of the attention, of the feed-forward network.
  package var scratchWidths: [Int] {
    let size = attention.output.outputSize
    return Array(repeating: size, count: 4) + attention.scratchWidths + feedForward.scratchWidths
  }

  /// The linear layers of the block.
  package var linearLayers: [any LinearLayer] {
    attention.inputLayers + [attention.output] + feedForward.inputLayers + [feedForward.down]
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

  /// Whether the whole model is trained.
  package let isFull: Bool
  private let layers: [ObjectIdentifier: Layer]

  /// Creates a description from that of each layer.
  package init(isFull: Bool, layers: [ObjectIdentifier: Layer]) {
    self.isFull = isFull
    self.layers = layers
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
