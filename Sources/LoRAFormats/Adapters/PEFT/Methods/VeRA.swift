package import LoRAFiles
import LoRAJSON
package import LoRATensor

extension PEFTAdapterConfiguration {
  /// What VeRA has, PEFT's `VERA`.
  package struct VeRA: Sendable, Hashable {
    package var dropout = 0.0
    /// The seed of the projections that all layers share.
    package var projectionKey = 0
    /// Whether the file holds the projections; else they are drawn again.
    package var savesProjections = true
    /// What λ_d starts as.
    package var initialScale = 0.1

    package init(dropout: Double = 0) { self.dropout = dropout }
  }
}

extension PEFTAdapterConfiguration.Method {
  package static func vera(_ options: PEFTAdapterConfiguration.VeRA) -> Self { Self(options) }
}

/// W + diag(λ_b) B diag(λ_d) A. A, [r, inputs of the widest layer], and B, [outputs of it, r], are
/// random and shared by all layers, which take the first columns and rows.
package struct VeRAChange: MeasuredChange {
  /// λ_b, [out], and λ_d, [r].
  package var outputScale, rankScale: Tensor
  /// A and B; nil where they are not drawn yet.
  package var projections: (a: Tensor, b: Tensor)?
  /// The seed that gives them; nil where only the file does.
  package var key: Int?
  package init(_ b: Tensor, _ d: Tensor, _ projections: (a: Tensor, b: Tensor)?, key: Int?) {
    (outputScale, rankScale, self.projections, self.key) = (b, d, projections, key)
  }

  package var methodName: String { "VeRA" }
  package var tensors: [(name: String, tensor: Tensor)] {
    [("lambda_b", outputScale), ("lambda_d", rankScale)]
  }
  package var hasNoEffect: Bool { outputScale.isZero || rankScale.isZero }
  package var rankAndAlpha: (rank: Int?, alpha: Double)? {
    (rankScale.elementCount, Double(rankScale.elementCount))
  }

  package func check(fits weight: Shape, layer: String, file: String) throws(FormatError) {
    guard weight.count != 2 || weight[0] != outputScale.elementCount else { return }
    try FormatError.check(outputScale.shape, fits: weight, layer: layer, file: file)
  }

  /// The projections that PEFT draws, in its order.
  package func draw(inputs: Int, outputs: Int) -> (a: Tensor, b: Tensor) {
    let rank = rankScale.elementCount
    var random = TorchGenerator(seed: key ?? 0)
    return (random.kaimingUniform([rank, inputs]), random.kaimingUniform([outputs, rank]))
  }
}

extension PEFTAdapterConfiguration.VeRA: PEFTMethod {
  static let peftType = "VERA"
  static let initializationKey = "init_weights"
  static let rankKeys = PEFTRankKeys.rank(default: 256)
  static let absentKeys: Set = ["exclude_modules"]
  static let keys: [PEFTKey<Self>] = [
    .probability("vera_dropout", \.dropout), .integer("projection_prng_key", \.projectionKey),
    .flag("save_projection", \.savesProjections), .number("d_initial", \.initialScale),
    .ignored("fan_in_fan_out", written: false),
    .refused("bias", "biases of the base are trained along", written: "none") { $0 == "none" },
  ]
  static let parts = [PEFTPart("vera_lambda_b"), PEFTPart("vera_lambda_d")]
  static let sharedTensors: Set = ["base_model.vera_A", "base_model.vera_B"]
  init() { self.init(dropout: 0) }
  func scale(alpha: Double, rank: Int) -> Double { 1 }

  func change(_ layer: inout PEFTLayerReader) throws(FormatError) -> VeRAChange {
    let (b, d) = (try layer.require("vera_lambda_b"), try layer.require("vera_lambda_d"))
    guard b.tensor.shape.count == 1 else { throw layer.mismatch(b, "expected [outputs]") }
    guard d.tensor.shape == [layer.rank] else {
      throw layer.mismatch(d, "expected [\(layer.rank)]", remedy: "check 'r'")
    }
    guard savesProjections else { return VeRAChange(b.tensor, d.tensor, nil, key: projectionKey) }
    let first = try layer.shared("base_model.vera_A")
    let second = try layer.shared("base_model.vera_B")
    for (part, axis) in [(first, 0), (second, 1)]
    where part.tensor.shape.count != 2 || part.tensor.shape[axis] != layer.rank {
      throw layer.mismatch(part, axis == 0 ? "expected [r, inputs]" : "expected [outputs, r]")
    }
    return VeRAChange(b.tensor, d.tensor, (first.tensor, second.tensor), key: nil)
  }

  func tensors(
    of change: VeRAChange, _ layer: PEFTLayerWriter
  ) throws(FormatError) -> [(part: String, tensor: Tensor)] {
    try layer.check(rank: change.rankScale.elementCount, scale: 1)
    let own = [("vera_lambda_b", change.outputScale), ("vera_lambda_d", change.rankScale)]
    if savesProjections, let (a, b) = change.projections {
      return own + [("base_model.vera_A", a), ("base_model.vera_B", b)]
    }
    if !savesProjections, change.key == projectionKey { return own }
    throw layer.mismatch("its projections are not as 'save_projection' and the key say")
  }

  static func describing(
    _ changes: [(path: String, change: VeRAChange)], of description: AdapterDescription,
    keeping kept: Self?
  ) throws(FormatError) -> Self {
    let first = changes[0].change
    var options = kept ?? Self()
    options.projectionKey = first.key ?? options.projectionKey
    options.savesProjections =
      first.projections != nil && (options.savesProjections || first.key == nil)
    return options
  }
}
