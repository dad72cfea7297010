package import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
public import LoRAFormats
import LoRATensor

extension LayerSelector {
  /// The layers that a PEFT configuration targets: list, regular expression or `all-linear`, less
  /// what it excludes; and the parameters that it targets of a model with `modules`.
  package init(_ configuration: PEFTAdapterConfiguration, modules: [TensorName] = []) {
    let isAll = configuration.targets == .allLinear
    self.init(
      description: configuration.choice, includesEmbeddings: !isAll,
      includesPairs: !configuration.targetParameters.isEmpty, isAllLinear: isAll
    ) { path, isOutputHead in
      if let parameter = modules.adapterPath(ofModelPath: path),
        configuration.matches(path: parameter)
      {
        return true
      }
      if modules.kind(ofModelPath: path) == .expertPair { return false }
      return configuration.matches(path: path) && !(isAll && isOutputHead)
    }
  }
}

extension Module {
  /// Opens the adapter at `path`, of any format, and attaches it under `name`:
  /// ``loadAdapter(_:named:isTrainable:allowsNoEffect:allowsOtherBase:enabled:)`` of `AdapterFile(path:)`.
  ///
  /// - Parameters:
  ///   - path: the adapter, as a folder that holds PEFT's `adapter_config.json`.
  ///   - name: what the adapter is called from now on.
  ///   - isTrainable: whether training can go on from here; else the factors are frozen.
  ///   - allowsNoEffect: whether an adapter whose every contribution is zero is accepted.
  ///   - allowsOtherBase: whether an adapter that was made for another base is accepted.
  ///   - enabled: whether it applies from now on, at strength 1.
  @discardableResult
  public func loadAdapter(
    from path: String, named name: String = "default", isTrainable: Bool = false,
    allowsNoEffect: Bool = false, allowsOtherBase: Bool = false, enabled: Bool = true
  ) throws -> AdapterFile {
    let file = try AdapterFile(path: path)
    try loadAdapter(
      file, named: name, isTrainable: isTrainable, allowsNoEffect: allowsNoEffect,
      allowsOtherBase: allowsOtherBase, enabled: enabled)
    return file
  }

  /// Throws for an adapter whose every contribution is zero, unless that is allowed.
  func refuseNoEffect(
    of description: AdapterDescription, path: String, _ allowsNoEffect: Bool
  ) throws(FormatError) {
    guard !allowsNoEffect, description.hasNoEffect else { return }
    throw FormatError(
      .invalidValue, file: path, problem: "every contribution of the adapter is zero",
      remedy: "it was never trained, or was saved before training; train it, or allow it with "
        + "--allow-no-effect (in Swift: allowsNoEffect)")
  }

  /// Throws if the file's names differ from this model's by what they begin with: another program,
  /// or a model wrapped in another, wrote them.
  func checkPrefix(of present: Set<String>, path: String) throws {
    let own = Set(adaptableModules().map(\.path))
    for name in present.sorted() where !own.contains(name) {
      let similar = own.sorted().first { $0.hasSuffix(".\(name)") || name.hasSuffix(".\($0)") }
      guard let similar else { continue }
      throw FormatError(
        .unexpectedTensor, file: path, subject: "tensors of layer '\(name)'",
        problem: "the model has no such layer, but one called '\(similar)': the prefixes differ",
        remedy: "rename the tensors as the model names its layers, after 'base_model.model.'")
    }
  }

  /// What the names of an adapter that was made on this model's body may lack.
  var bodyPrefixes: [String] {
    let prefix = (self as? any PretrainedTokenModel)?.configuration.architecture.bodyPrefix ?? ""
    return prefix.isEmpty ? [] : [prefix]
  }

  /// Whether this is the body of a model alone, whose layers PEFT names without ``bodyPrefixes``.
  var isBodyAlone: Bool { self is TransformerEncoder }

  /// Writes the adapter called `name` as a PEFT directory, which PEFT loads as it is: on transformers'
  /// class of the same kind of model, which is `AutoModel` for an encoder without a head.
  ///
  /// - Parameters:
  ///   - name: the adapter to write.
  ///   - path: the folder to write; made if it is missing.
  ///   - configuration: a configuration to keep, as of the adapter that training started from: what
  ///     does not describe the adapter is put right. nil describes it by its layers, ranks and scales.
  ///   - baseModelName: what the configuration names as its base model.
  ///   - otherFiles: more files of the folder, as ``PretrainedModel/labelledConfiguration()`` for
  ///     `config.json`.
  ///   - record: what the adapter says of its making.
  public func saveAdapter(
    _ name: String, to path: String, configuration: PEFTAdapterConfiguration? = nil,
    baseModelName: String? = nil, otherFiles: [(name: String, content: [UInt8])] = [],
    record: AdapterRecord? = nil
  ) throws {
    let naming = isBodyAlone ? bodyPrefixes.first.map(AdapterNaming.withoutPrefix) : nil
    var description = try describeAdapter(name).renamed(naming?.inFile ?? { $0 })
    let parameters = try description.parameterNames(namedModules)
    description = description.renamingLayers(parameters).carrying(record)
    var paths = adaptableModules().filter { $0.module is any LinearLayer || $0.module is Embedding }
      .map(\.path)
    if !parameters.isEmpty {
      let names = namedModules
      paths = paths.map { names.adapterPath(ofModelPath: $0) ?? $0 }
    }
    var file = try PEFTAdapterFile(
      describing: description, among: naming.map { paths.compactMap($0.inFile) } ?? paths,
      keeping: configuration)
    if configuration == nil, var options = file.configuration.lora {
      options.dropout = dropout(ofAdapter: name)
      file.configuration.method = .lora(options)
    }
    if configuration == nil, let model = self as? any TokenModel {
      file.configuration.taskType = model.taskOfPEFT
    }
    if let baseModelName { file.configuration.baseModelName = baseModelName }
    try file.write(to: path, otherFiles: otherFiles)
  }

  /// The dropout that training goes on with: that of the first layer that has one.
  private func dropout(ofAdapter name: String) -> Double {
    for (_, adapter) in adapters(named: name) {
      if let rate = withoutGradients({ adapter.effect }).dropoutRate { return Double(rate) }
    }
    return 0
  }
}

extension TokenModel {
  /// The task that PEFT is told of. A classifier's has PEFT save the head too, and of others PEFT wants
  /// methods that only language models have.
  fileprivate var taskOfPEFT: String? {
    switch self {
    case let model as any LanguageModel:
      model.targetStart == nil ? "CAUSAL_LM" : "SEQ_2_SEQ_LM"
    case is any Classifier: nil
    default: "FEATURE_EXTRACTION"
    }
  }
}

extension PEFTAdapterConfiguration {
  /// What chooses layers, as errors name it.
  fileprivate var choice: String {
    var text = targets.text
    if !targetParameters.isEmpty { text += " and target_parameters \(targetParameters)" }
    if let layersToTransform, !layersToTransform.isEmpty {
      text += " with layers_to_transform \(layersToTransform)"
    }
    if !layersPattern.isEmpty { text += " with layers_pattern \(layersPattern)" }
    if let excluded { text += " with exclude_modules \(excluded.text)" }
    return text
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
