import LoRAAutograd
public import LoRAFormats
import LoRATensor

extension LayerSelector {
  /// The layers that a PEFT configuration targets: list, regular expression or `all-linear`, less
  /// what it excludes.
  public init(_ configuration: PEFTAdapterConfiguration) {
    let isAll = configuration.targets == .allLinear
    self.init(description: configuration.targets.text, includesEmbeddings: !isAll) {
      path, isOutputHead in
      configuration.matches(path: path) && !(isAll && isOutputHead)
    }
  }
}

extension Module {
  /// Reads a PEFT adapter and attaches it under `name`.
  ///
  /// Strict: every tensor of the file must belong to a linear layer of this model and fit it, and
  /// every layer that the configuration targets must have its factors; an adapter for another model
  /// is an error that names what does not fit.
  ///
  /// - Parameters:
  ///   - path: the folder that holds `adapter_config.json`.
  ///   - name: what the adapter is called from now on.
  ///   - isTrainable: whether training can go on from here; else the factors are frozen.
  ///   - allowsNoEffect: whether an adapter whose every contribution is zero is accepted, as a
  ///     fresh one is to train from. For inference it is an error: silence is a bug.
  ///   - enabled: whether it applies from now on, at strength 1.
  @discardableResult
  public func loadAdapter(
    from path: String, named name: String = "default", isTrainable: Bool = false,
    allowsNoEffect: Bool = false, enabled: Bool = true
  ) throws -> PEFTAdapterFile {
    let file = try PEFTAdapterFile(path: path)
    if !allowsNoEffect, file.description.hasNoEffect {
      throw FormatError(
        .invalidValue, file: path, problem: "every contribution of the adapter is zero",
        remedy: "it was never trained, or was saved before training; train it, or allow it by name")
    }
    try checkTargets(of: file, path: path)
    try checkSavedModules(of: file, path: path)
    try attach(
      file.description, named: name, isTrainable: isTrainable,
      dropout: Float(file.configuration.dropout), enabled: enabled)
    return file
  }

  /// Every targeted layer must have factors: a file that lost some would compute another function.
  private func checkTargets(of file: PEFTAdapterFile, path: String) throws {
    let present = Set(file.description.layers.map(\.path))
    for (layerPath, _) in modules(selectedBy: LayerSelector(file.configuration)) {
      guard present.contains(layerPath) else {
        throw FormatError(
          .missingTensor, file: path, subject: "layer '\(layerPath)'",
          problem: "adapter_config.json targets it, but the file has no factors for it",
          remedy: "the adapter is incomplete, or made for another model")
      }
    }
  }

  /// Writes the adapter called `name` as a PEFT directory, which PEFT loads as it is.
  ///
  /// - Parameters:
  ///   - name: the adapter to write.
  ///   - path: the folder to write; made if it is missing.
  ///   - configuration: a configuration to keep, as of the adapter that training started from; nil
  ///     describes the adapter by its layers, ranks and scales.
  ///   - baseModelName: what the configuration names as its base model.
  public func saveAdapter(
    _ name: String, to path: String, configuration: PEFTAdapterConfiguration? = nil,
    baseModelName: String? = nil
  ) throws {
    var description = try describeAdapter(name)
    let layers = try description.layers.map { layer in
      guard let change = layer.lowRank, change.isPlain else {
        throw AdapterError.unsupported(
          layer: layer.path, reason: "a PEFT LoRA file holds low-rank factors only")
      }
      return (path: layer.path, change: change)
    }
    var result =
      configuration
      ?? PEFTAdapterConfiguration(
        describing: layers, of: linearLayers().map(\.path),
        dropout: (adapters(named: name).first?.adapter as? any LowRankAdapter)?.dropoutRate)
    if let baseModelName { result.baseModelName = baseModelName }
    // The adapter's scale is a float32, the configuration's follows from alpha and rank: one is the
    // other rounded, for a rank of 3 for example.
    for (index, layer) in layers.enumerated() {
      var change = layer.change
      let scale = result.scale(forPath: layer.path)
      if abs(scale - change.scale) <= 1e-6 * abs(scale) { change.scale = scale }
      if let alpha = configuration?.alpha(forPath: layer.path) { change.alpha = alpha }
      description.layers[index].change = .lowRank(change)
    }
    description.metadata["format"] = "pt"
    try PEFTAdapterFile(configuration: result, description: description).write(to: path)
  }
}

extension PEFTAdapterConfiguration {
  /// A configuration that gives each layer its rank and scale: the commonest of each as the rule,
  /// the others as patterns. Targets are the last components of the paths if those say the same
  /// among `all` of the model's linear layers, else whole paths.
  init(
    describing layers: [(path: String, change: LowRankChange)], of all: [String], dropout: Float?
  ) {
    func commonest<Value: Hashable & Comparable>(_ values: [Value]) -> Value? {
      Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
        .max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
    }
    let rank = commonest(layers.map(\.change.rank)) ?? 1
    let alpha = commonest(layers.map(\.change.alpha)) ?? 1
    self.init(
      rank: rank, alpha: alpha, dropout: Double(dropout ?? 0),
      targets: .names(Self.targetNames(layers.map(\.path), of: all)))
    rankPattern = layers.filter { $0.change.rank != rank }.map {
      Override(key: $0.path, value: $0.change.rank)
    }
    alphaPattern = layers.filter { $0.change.alpha != alpha }.map {
      Override(key: $0.path, value: $0.change.alpha)
    }
  }

  private static func targetNames(_ paths: [String], of all: [String]) -> [String] {
    func last(_ path: String) -> String { path.split(separator: ".").last.map(String.init) ?? path }
    let names = Set(paths.map(last))
    let matched = all.filter { names.contains(last($0)) }
    return matched.count == paths.count ? names.sorted() : paths
  }
}

extension PEFTAdapterConfiguration.Modules {
  /// The choice as errors name it.
  fileprivate var text: String {
    switch self {
    case .names(let names): "[" + names.map { "'\($0)'" }.joined(separator: ", ") + "]"
    case .pattern(let pattern): "regex:\(pattern)"
    case .allLinear: "all-linear"
    case .unspecified: "null"
    }
  }
}
