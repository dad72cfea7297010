import LoRAAutograd
public import LoRAFormats
import LoRATensor

extension Module {
  /// Attaches a fresh adapter as PEFT's configuration describes it, single layers' ranks and alphas
  /// included, and enables it: LoRA, DoRA, LoHa, LoKr or IA3.
  ///
  /// ```swift
  /// let recipe = try PEFTAdapterConfiguration(path: "recipe/adapter_config.json")
  /// try model.inject(recipe, named: "support")
  /// ```
  ///
  /// All or nothing, as ``inject(_:named:into:seed:memoryLimit:)``. Throws ``AdapterError`` also for what of the
  /// configuration can't be trained here: other initializations than ``LoRA/Initialization``, and
  /// biases, tokens and whole modules that are trained along.
  @discardableResult
  public func inject(
    _ configuration: PEFTAdapterConfiguration, named name: String = "default", seed: UInt64 = 0,
    memoryLimit: Int? = nil
  ) throws(AdapterError) -> InjectionReport {
    let configuration = configuration.resolvingTargets(forModelType: layout.modelType)
    guard configuration.targets != .unspecified else {
      throw .invalidValue(
        parameter: "target_modules", value: "null",
        expected: "the layers' names: PEFT has no default for this architecture")
    }
    try configuration.checkTrainable()
    let selector = LayerSelector(configuration)
    let selected = modules(selectedBy: selector)
    guard !selected.isEmpty else { throw noMatchingLayer(selector) }
    if let pairs = configuration.pairsOfFactors {
      var demand = AdapterDemand()
      for (path, module) in selected {
        demand.add(rank: configuration.rank(forPath: path), module, pairs: pairs)
      }
      try demand.check(limit: memoryLimit)
    }
    var report = InjectionReport(layers: [], parameterCount: 0, warnings: structureProblems())
    var adapters: [String: any LinearAdapter] = [:]
    for (path, module) in selected {
      var random = SeededRandom(seed: seed, path: path)
      let adapter = try configuration.makeAdapter(for: module, path: path, using: &random)
      adapters[path] = adapter
      report.add(adapter, path: path)
    }
    try attach(adapters, named: name)
    report.warnings += configuration.unmatched(
      layers: report.layers, among: adaptableModules().map(\.path))
    return report
  }
}

extension PEFTAdapterConfiguration {
  /// How many pairs of factors of its rank a layer gets; nil where the rank alone does not say how
  /// large they are.
  fileprivate var pairsOfFactors: Int? {
    switch method {
    case .lora: 1
    case .loha: 2
    case .lokr, .ia3: nil
    }
  }

  /// The fresh adapter of the module at `path`.
  fileprivate func makeAdapter(
    for module: any AdaptableModule, path: String, using random: inout SeededRandom
  ) throws(AdapterError) -> any LinearAdapter {
    let rank = rank(forPath: path)
    let hasScale = if case .ia3 = method { false } else { true }
    if hasScale {
      try LoRAModels.LoRA.check(
        rank: rank, alpha: alpha(forPath: path), dropout: lora?.dropout ?? 0,
        isRankStabilized: usesRankStabilizedScale)
    }
    let alpha = Float(alpha(forPath: path))
    switch method {
    case .lora(let options):
      let (dropout, isStabilized) = (Float(options.dropout), options.usesRankStabilizedScale)
      if options.isDoRA {
        return try LoRAModels.DoRA(
          rank: rank, alpha: alpha, dropout: dropout, isRankStabilized: isStabilized
        ).makeAdapter(for: module, path: path, using: &random)
      }
      return try LoRAModels.LoRA(
        rank: rank, alpha: alpha, dropout: dropout, isRankStabilized: isStabilized,
        hasBias: options.hasFactorBias, initialization: try factorInitialization()
      ).makeAdapter(for: module, path: path, using: &random)
    case .loha:
      return try LoRAModels.LoHa(rank: rank, alpha: alpha).makeAdapter(
        for: module, path: path, using: &random)
    case .lokr(let options):
      return try LoRAModels.LoKr(
        rank: rank, alpha: alpha, decomposesBoth: options.decomposesBoth, factor: options.factor
      ).makeAdapter(for: module, path: path, using: &random)
    case .ia3:
      let feedForward = scalesInput(forPath: path) ? [path] : []
      return try LoRAModels.IA3(feedForward: feedForward).makeAdapter(
        for: module, path: path, using: &random)
    }
  }

  /// How A and B start.
  private func factorInitialization() throws(AdapterError) -> LoRAModels.LoRA.Initialization {
    switch initialization {
    case .standard: return .kaiming
    case .named(let name):
      if let known = LoRAModels.LoRA.Initialization(rawValue: name), known != .kaiming {
        return known
      }
    case .random: break
    }
    throw unusable(
      "\(initialization)", "true, \"gaussian\", \"orthogonal\", \"pissa\" or \"olora\"")
  }

  private func unusable(_ value: String, _ expected: String) -> AdapterError {
    .invalidValue(
      parameter: lora == nil ? "init_weights" : "init_lora_weights", value: value,
      expected: expected)
  }

  /// Throws for what an injection would leave out.
  fileprivate func checkTrainable() throws(AdapterError) {
    if let (field, text, problem) = invalidExpression {
      throw .invalidValue(
        parameter: field, value: text, expected: "an expression that can be matched: \(problem)")
    }
    func refuse(_ isThere: Bool, _ parameter: String, _ value: String) throws(AdapterError) {
      if isThere {
        throw .invalidValue(
          parameter: parameter, value: value, expected: "none: that can't be trained here yet")
      }
    }
    let modules = savedModules.map { "'\($0)'" }.joined(separator: ", ")
    try refuse(!savedModules.isEmpty, "modules_to_save", modules)
    switch method {
    case .lora(let options):
      try refuse(options.biases != .none, "bias", options.biases.rawValue)
      try refuse(options.trainedTokens != nil, "trainable_token_indices", "given")
      guard options.isDoRA else {
        _ = try factorInitialization()
        return
      }
      try refuse(options.hasFactorBias, "lora_bias", "true with DoRA")
    case .loha(let options):
      try refuse(options.rankDropout > 0, "rank_dropout", "\(options.rankDropout)")
      try refuse(options.moduleDropout > 0, "module_dropout", "\(options.moduleDropout)")
    case .lokr(let options):
      try refuse(options.rankDropout > 0, "rank_dropout", "\(options.rankDropout)")
      try refuse(options.moduleDropout > 0, "module_dropout", "\(options.moduleDropout)")
    case .ia3: break
    }
    guard initialization == .standard else {
      throw unusable("\(initialization)", "the standard initialization, true")
    }
  }
}
