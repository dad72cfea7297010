import LoRAArchitectures
public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// Infused adapters (IA)³: outputs of a layer times a trained vector, or in feed-forward modules its
/// inputs.
///
/// ```swift
/// try model.inject(IA3(), named: "support", into: ["k_proj", "v_proj", "down_proj"])
/// ```
///
/// Trains `outputSize` numbers a layer (`inputSize` in feed-forward modules), which start at one. The
/// bias of a layer is scaled with its outputs. Several of these on one layer multiply, as in PEFT;
/// strength k takes `1 + k (l - 1)` for the vector l, so that of one alone the change is scaled.
/// Other methods' changes are taken on the base without these.
///
/// Source: Liu et al., *Few-shot parameter-efficient fine-tuning is better and cheaper than
/// in-context learning*, 2022.
public struct IA3: AdapterMethod, Sendable, Hashable, Codable {
  /// The modules whose inputs are scaled: those whose path ends with one of these.
  public var feedForward: [String]

  /// Creates a recipe.
  public init(feedForward: [String] = ["down_proj", "mlp.c_proj"]) {
    self.feedForward = feedForward
  }

  /// Reads a recipe; what it does not name is as the initializer has it.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&feedForward, .feedForward)
  }

  /// A fresh adapter that scales outputs.
  public func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> IA3Adapter {
    IA3Adapter(vector: Parameter(.ones([layer.outputSize])), scalesInput: false)
  }

  /// A fresh adapter that scales inputs if the path is that of a feed-forward module.
  public func makeAdapter(
    for layer: any LinearLayer, at path: String, using random: inout SeededRandom
  ) throws(AdapterError) -> IA3Adapter {
    guard feedForward.contains(where: path.hasSuffix) else {
      return try makeAdapter(for: layer, using: &random)
    }
    return IA3Adapter(vector: Parameter(.ones([layer.inputSize])), scalesInput: true)
  }
}

/// The vector of ``IA3`` on one layer.
public final class IA3Adapter: LinearAdapter {
  /// The factors, `[outputSize]`, or `[inputSize]` where they scale inputs.
  public let vector: Parameter
  /// Whether inputs are scaled rather than outputs.
  public let scalesInput: Bool

  /// Creates an adapter from its vector.
  public init(vector: Parameter, scalesInput: Bool) {
    require(vector.shape.count == 1, "a scaling of shape \(vector.shape)")
    self.vector = vector
    self.scalesInput = scalesInput
  }

  /// The vector, under the name that PEFT gives it.
  public var parameters: Named<Parameter> { ["ia3_l": vector] }

  /// The vector and what it scales.
  public var change: (any LayerChange)? {
    ScalingChange(vector: vector.value, scalesInput: scalesInput)
  }

  /// The vector and what it scales.
  public var effect: AdapterEffect {
    .scaling(ScalingEffect(vector: Variable(vector), scalesInput: scalesInput))
  }
}

// MARK: - From and to data

extension ScalingChange: AttachableChange {
  /// The vector as an adapter.
  package func makeAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter {
    try place.refuseEmbedding()
    guard vector.shape.count == 1 else {
      throw .shapeMismatch(
        layer: place.layer, expected: "a vector to scale by", found: "\(vector.shape)")
    }
    return IA3Adapter(
      vector: Parameter(vector, isTrainable: place.isTrainable), scalesInput: scalesInput)
  }
}

extension PEFTAdapterConfiguration.IA3: TrainableMethod {
  package static let recipes = [
    TrainingRecipe(
      name: "ia3", hyperparameters: [], targets: usualTargets, complete: setFeedForward,
      options: { _ in .ia3(.init(feedForward: .names([]))) })
  ]

  package func recipe(
    forPath path: String, of configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) -> any AdapterMethod {
    LoRAModels.IA3(feedForward: configuration.scalesInput(forPath: path) ? [path] : [])
  }

  /// Keys, values and what leaves the feed-forward block, as IA3's paper has it.
  @Sendable private static func usualTargets(
    of model: any Module
  ) -> PEFTAdapterConfiguration.Modules {
    let apart = model.layerNames(ofRoles: ["attn_k", "attn_v"])
    let attention = apart.isEmpty ? model.layerNames(ofRoles: ["attn_qkv"]) : apart
    // What leaves experts is no layer in the latest transformers.
    let hasExperts = model.namedModules.contains { $0.kind == .router }
    let last = hasExperts ? [] : model.layerNames(ofRoles: ["ffn_down"])
    let all = attention + last
    return .names(all.isEmpty ? ["k_proj", "v_proj", "down_proj"] : all)
  }

  /// Makes IA3 scale the inputs of what leaves a feed-forward block, as its paper has it. The names
  /// are some of the targets', which PEFT demands.
  @Sendable private static func setFeedForward(
    of configuration: inout PEFTAdapterConfiguration, for model: any Module
  ) {
    let known = model.layerNames(ofRoles: ["ffn_down"])
    let last = known.isEmpty ? ["down_proj", "mlp.c_proj"] : known
    var names: [String] = []
    switch configuration.targets {
    case .names(let targets): names = targets
    case .allLinear:
      // What the targets are saved as.
      let layers = model.linearLayers().filter { $0.layer !== model.outputHead }
        .map { (path: $0.path, module: $0.layer as any AdaptableModule) }
      let all =
        (try? model.adaptable(layers, by: LoRAModels.IA3(), isAll: true).modules) ?? layers
      names = Set(all.map { $0.path.split(separator: ".").last.map(String.init) ?? $0.path })
        .sorted()
      configuration.targets = .names(names)
    case .pattern, .unspecified: break
    }
    let feedForward = names.filter { name in
      last.contains { name == $0 || name.hasSuffix(".\($0)") }
    }
    let isPattern = if case .pattern = configuration.targets { true } else { false }
    configuration.method = .ia3(Self(feedForward: .names(isPattern ? last : feedForward)))
  }
}

extension Tensor {
  static func ones(_ shape: Shape) -> Tensor {
    Tensor(Array(repeating: Float(1), count: shape.elementCount), shape: shape)
  }
}
