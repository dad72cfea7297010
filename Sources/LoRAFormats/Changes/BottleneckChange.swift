package import LoRATensor

/// Small networks beside the parts of a block: down, an activation, up (bottleneck adapters).
///
/// Source: Houlsby et al., *Parameter-efficient transfer learning for NLP*, 2019; Pfeiffer et al.,
/// *AdapterHub*, 2020; He et al., *Towards a unified view of parameter-efficient transfer learning*,
/// 2022.
package struct BottleneckChange: MeasuredChange {
  /// What a network reads.
  package enum Input: Sendable, Hashable {
    /// The output of the part that it stands behind (Houlsby).
    case output
    /// That output added to the block's input, normed where the block norms sums (Pfeiffer).
    case sum
    /// What the part's output is added to (He, "parallel").
    case residual
  }

  /// One network: `up(activation(down(x)))`.
  package struct Network: Sendable {
    /// [width, hidden size].
    package var down: Tensor
    /// [width].
    package var downBias: Tensor
    /// [hidden size, width].
    package var up: Tensor
    /// [hidden size].
    package var upBias: Tensor

    package init(down: Tensor, downBias: Tensor, up: Tensor, upBias: Tensor) {
      (self.down, self.downBias, self.up, self.upBias) = (down, downBias, up, upBias)
    }

    /// The numbers between down and up.
    package var width: Int { down.shape[0] }
  }

  /// Behind the attention.
  package var attention: Network?
  /// Behind the feed-forward network.
  package var feedForward: Network?
  package var input: Input
  /// By its name in files, as in "relu".
  package var activation: String
  package var scale: Double

  package init(
    attention: Network?, feedForward: Network?, input: Input, activation: String, scale: Double
  ) {
    (self.attention, self.feedForward, self.input) = (attention, feedForward, input)
    (self.activation, self.scale) = (activation, scale)
  }

  /// The networks, with names for messages.
  package var networks: [(name: String, network: Network)] {
    (attention.map { [("attention", $0)] } ?? [])
      + (feedForward.map { [("feed-forward", $0)] } ?? [])
  }

  package var site: ChangeSite { .block }
  package var methodName: String { "bottleneck" }
  package var tensors: [(name: String, tensor: Tensor)] {
    networks.flatMap { name, network in
      [
        ("\(name) down", network.down), ("\(name) down bias", network.downBias),
        ("\(name) up", network.up), ("\(name) up bias", network.upBias),
      ]
    }
  }
  /// Whether all networks give zeros.
  package var hasNoEffect: Bool {
    isNothing(scale) || networks.allSatisfy { $0.network.up.isZero && $0.network.upBias.isZero }
  }
  package var extents: String {
    networks.map { "\($0.name) \($0.network.down.shape[1])-\($0.network.width)" }
      .joined(separator: ", ")
  }
}
