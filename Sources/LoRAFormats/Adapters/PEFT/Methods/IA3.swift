import LoRAFiles
import LoRATensor

// PEFT's `IA3`.

extension PEFTAdapterConfiguration {
  /// What IA3 has.
  package struct IA3: Sendable, Hashable {
    /// The modules whose inputs are scaled rather than their outputs (`feedforward_modules`). As in
    /// PEFT a name is any end of a path, here not only after a dot.
    package var feedForward: Modules
    /// Whether the base keeps its weights as [in, out], as GPT-2 does (`fan_in_fan_out`).
    package var hasTransposedBase: Bool

    /// Creates IA3's options.
    package init(feedForward: Modules, hasTransposedBase: Bool = false) {
      self.feedForward = feedForward
      self.hasTransposedBase = hasTransposedBase
    }

    /// Whether the inputs of the module at `path` are scaled.
    func scalesInput(forPath path: String) -> Bool {
      switch feedForward {
      case .names(let names):
        names.contains { path.utf8.reversed().starts(with: $0.utf8.reversed()) }
      case .pattern(let text): PathPattern.matchesWhole(text, path)
      case .allLinear, .unspecified: false
      }
    }
  }

  /// Whether IA3 scales the inputs of the module at `path`; false for other methods.
  package func scalesInput(forPath path: String) -> Bool {
    (method.options as? IA3)?.scalesInput(forPath: path) ?? false
  }
}

extension PEFTAdapterConfiguration.Method {
  /// `IA3`.
  package static func ia3(_ options: PEFTAdapterConfiguration.IA3) -> Self { Self(options) }
}

extension PEFTAdapterConfiguration.IA3: PEFTMethod {
  static let peftType = "IA3"
  static let initializationKey = "init_ia3_weights"
  static let rankKeys = PEFTRankKeys.none
  static let keys: [PEFTKey<Self>] = [
    .modules("feedforward_modules", \.feedForward),
    .flag("fan_in_fan_out", \.hasTransposedBase),
  ]
  static let parts = [PEFTPart("ia3_l")]

  init() { self.init(feedForward: .unspecified) }

  // MARK: Tensors

  func change(_ layer: inout PEFTLayerReader) throws(FormatError) -> ScalingChange {
    let vector = try layer.require("ia3_l")
    let shape = vector.tensor.shape
    guard shape.count == 2 else {
      throw FormatError(
        shape.count == 4 ? .unsupported : .shapeMismatch, file: layer.file, tensor: vector.name,
        "expected [outputs, 1] or [1, inputs], found \(shape)",
        remedy: shape.count == 4 ? "IA3 on convolutions is not supported" : "")
    }
    let scalesInput =
      feedForward == .unspecified
      ? shape[0] == 1 && shape[1] != 1 : scalesInput(forPath: layer.path)
    guard shape[scalesInput ? 0 : 1] == 1 else {
      throw layer.mismatch(
        vector,
        scalesInput
          ? "expected [1, inputs], as 'feedforward_modules' names the module"
          : "expected [outputs, 1], as 'feedforward_modules' does not name the module")
    }
    return ScalingChange(
      vector: vector.tensor.reshaped(to: [vector.tensor.elementCount]), scalesInput: scalesInput)
  }

  func tensors(
    of change: ScalingChange, _ layer: PEFTLayerWriter
  ) throws(FormatError) -> [(part: String, tensor: Tensor)] {
    guard
      feedForward == .unspecified || scalesInput(forPath: layer.path) == change.scalesInput
    else {
      throw layer.mismatch(
        "it scales \(change.scalesInput ? "inputs" : "outputs"), which 'feedforward_modules' "
          + "does not say")
    }
    let count = change.vector.elementCount
    return [("ia3_l", change.vector.reshaped(to: change.scalesInput ? [1, count] : [count, 1]))]
  }

  // MARK: Describing

  static func describing(
    _ changes: [(path: String, change: ScalingChange)], of description: AdapterDescription,
    keeping kept: Self?
  ) throws(FormatError) -> Self { kept ?? Self(feedForward: .names([])) }

  /// Names of the modules whose inputs are scaled, of the same kind as the targets: PEFT wants them
  /// to be among those.
  func complete(
    _ configuration: inout PEFTAdapterConfiguration, describing description: AdapterDescription
  ) {
    let changes = description.layers.compactMap { layer in
      (layer.change as? ScalingChange).map { (path: layer.path, scalesInput: $0.scalesInput) }
    }
    func isRight(_ options: Self) -> Bool {
      changes.allSatisfy { options.scalesInput(forPath: $0.path) == $0.scalesInput }
    }
    if isRight(self) { return }
    var options = self
    let scaled = changes.filter(\.scalesInput).map(\.path)
    if case .names(let names) = configuration.targets {
      options.feedForward = .names(
        names.filter { name in scaled.contains { isPath($0, namedBy: name) } })
      configuration.method = .ia3(options)
      if isRight(options) { return }
    }
    configuration.targets = .names(description.layers.map(\.path))
    options.feedForward = .names(scaled)
    configuration.method = .ia3(options)
  }

  func unmatched(layers: [String], in configuration: PEFTAdapterConfiguration) -> [String] {
    func isUsed(_ modules: PEFTAdapterConfiguration.Modules) -> Bool {
      layers.contains(where: Self(feedForward: modules).scalesInput)
    }
    switch feedForward {
    case .names(let names):
      return names.filter { !isUsed(.names([$0])) }.map {
        "feedforward_modules: '\($0)' matches no adapted layer"
      }
    case .pattern(let text):
      return isUsed(feedForward)
        ? [] : ["feedforward_modules: '\(text)' matches no adapted layer"]
    case .allLinear, .unspecified: return []
    }
  }

  // MARK: Defaults

  static func defaultTargets(
    forModelType modelType: String
  ) -> PEFTAdapterConfiguration.Modules? {
    defaults.first { $0.modelTypes.contains(modelType) }.map { .names($0.targets) }
  }

  mutating func resolve(forModelType modelType: String) {
    guard feedForward == .unspecified,
      let entry = Self.defaults.first(where: { $0.modelTypes.contains(modelType) })
    else { return }
    feedForward = .names(entry.feedForward)
  }

  /// Source: PEFT 0.21.2, `TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING` and
  /// `..._FEEDFORWARD_MODULES_MAPPING`.
  private static let defaults:
    [(modelTypes: Set<String>, targets: [String], feedForward: [String])] = [
      (["t5"], ["k", "v", "wo"], ["wo"]),
      (["mt5"], ["k", "v", "wi_1"], []),
      (["gpt2", "gpt_bigcode"], ["c_attn", "mlp.c_proj"], ["mlp.c_proj"]),
      (["bloom"], ["query_key_value", "mlp.dense_4h_to_h"], ["mlp.dense_4h_to_h"]),
      (["roberta", "bert"], ["key", "value", "output.dense"], ["output.dense"]),
      (["opt"], ["q_proj", "k_proj", "fc2"], ["fc2"]),
      (["gptj"], ["q_proj", "v_proj", "fc_out"], ["fc_out"]),
      (
        ["gpt_neox", "RefinedWebModel", "RefinedWeb", "falcon"],
        ["query_key_value", "dense_4h_to_h"], ["dense_4h_to_h"]
      ),
      (["gpt_neo"], ["q_proj", "v_proj", "c_proj"], ["c_proj"]),
      (["bart", "phi"], ["q_proj", "v_proj", "fc2"], ["fc2"]),
      (["llama", "mistral"], ["k_proj", "v_proj", "down_proj"], ["down_proj"]),
      (
        ["llama4", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3"],
        ["q_proj", "v_proj", "down_proj"], ["down_proj"]
      ),
      (["mixtral"], ["k_proj", "v_proj", "w2"], ["w2"]),
      (["deberta-v2"], ["key_proj", "value_proj", "output.dense"], ["output.dense"]),
      (["deberta"], ["in_proj", "output.dense"], ["output.dense"]),
    ]
}
