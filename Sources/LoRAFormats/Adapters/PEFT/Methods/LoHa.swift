import LoRAFiles
import LoRATensor

// PEFT's `LOHA`.

extension PEFTAdapterConfiguration {
  /// What LoHa has.
  package struct LoHa: Sendable, Hashable {
    /// The probability of dropping an output of the change while training.
    package var rankDropout: Double
    /// The probability of leaving out a layer's change while training.
    package var moduleDropout: Double
    /// Whether convolutions are kept in Tucker form (`use_effective_conv2d`).
    package var usesTuckerForm: Bool

    /// Creates LoHa's options.
    package init(
      rankDropout: Double = 0, moduleDropout: Double = 0, usesTuckerForm: Bool = false
    ) {
      self.rankDropout = rankDropout
      self.moduleDropout = moduleDropout
      self.usesTuckerForm = usesTuckerForm
    }
  }
}

extension PEFTAdapterConfiguration.Method {
  /// `LOHA`.
  package static func loha(_ options: PEFTAdapterConfiguration.LoHa) -> Self { Self(options) }
}

extension PEFTAdapterConfiguration.LoHa: PEFTMethod {
  static let peftType = "LOHA"
  static let initializationKey = "init_weights"
  static let rankKeys = PEFTRankKeys.rankAndAlpha("alpha")
  static let keys: [PEFTKey<Self>] = [
    .probability("rank_dropout", \.rankDropout),
    .probability("module_dropout", \.moduleDropout),
    .flag("use_effective_conv2d", \.usesTuckerForm),
  ]
  static let parts = [
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
  ].map { PEFTPart($0) }

  init() { self.init(rankDropout: 0) }

  func change(_ layer: inout PEFTLayerReader) throws(FormatError) -> HadamardChange {
    let rank = layer.rank
    let (b1, a1) = (try layer.require("hada_w1_a"), try layer.require("hada_w1_b"))
    let (b2, a2) = (try layer.require("hada_w2_a"), try layer.require("hada_w2_b"))
    var t1: PEFTLayerReader.Part?
    var t2: PEFTLayerReader.Part?
    if layer.names["hada_t1"] != nil || layer.names["hada_t2"] != nil {
      (t1, t2) = (try layer.require("hada_t1"), try layer.require("hada_t2"))
    }
    let isTucker = t1 != nil
    for part in [b1, b2] {
      // In Tucker form [rank, outputs], otherwise [outputs, rank].
      guard part.tensor.shape.count == 2, part.tensor.shape[isTucker ? 0 : 1] == rank else {
        throw layer.mismatch(
          part, isTucker ? "expected [\(rank), outputs]" : "expected [outputs, \(rank)]",
          remedy: PEFTLayerReader.rankRemedy)
      }
    }
    for part in [a1, a2] {
      guard part.tensor.shape.count == 2, part.tensor.shape[0] == rank else {
        throw layer.mismatch(
          part, "expected [\(rank), inputs]", remedy: PEFTLayerReader.rankRemedy)
      }
    }
    for (part, other) in [(b2, b1), (a2, a1)] where part.tensor.shape != other.tensor.shape {
      throw layer.mismatch(part, "expected \(other.tensor.shape), the shape of '\(other.name)'")
    }
    for core in [t1, t2].compactMap({ $0 }) {
      try layer.checkCore(core)
      guard core.tensor.shape == t1?.tensor.shape else {
        throw layer.mismatch(core, "expected the shape of '\(t1?.name ?? "")'")
      }
    }
    return HadamardChange(
      b1: b1.tensor, a1: a1.tensor, b2: b2.tensor, a2: a2.tensor, t1: t1?.tensor, t2: t2?.tensor,
      alpha: layer.alpha, scale: layer.scale)
  }

  func tensors(
    of change: HadamardChange, _ layer: PEFTLayerWriter
  ) throws(FormatError) -> [(part: String, tensor: Tensor)] {
    try layer.check(rank: change.rank, scale: change.scale)
    guard change.magnitude == nil else { throw layer.inexpressible("LoHa with magnitudes") }
    return [
      ("hada_w1_a", change.b1), ("hada_w1_b", change.a1), ("hada_w2_a", change.b2),
      ("hada_w2_b", change.a2),
    ]
      + [("hada_t1", change.t1), ("hada_t2", change.t2)].compactMap { name, tensor in
        tensor.map { (name, $0) }
      }
  }

  static func describing(
    _ changes: [(path: String, change: HadamardChange)], of description: AdapterDescription,
    keeping kept: Self?
  ) throws(FormatError) -> Self {
    var options = kept ?? Self()
    for (path, change) in changes where change.magnitude != nil {
      throw PEFTAdapterConfiguration.withMagnitudes(path, change)
    }
    options.usesTuckerForm = changes.contains { $0.change.t1 != nil }
    return options
  }
}
