import LoRAArchitectures
import LoRAAutograd
public import LoRAFormats
import LoRATensor

extension Module {
  /// Attaches a fresh adapter as PEFT's configuration describes it, single layers' ranks and alphas
  /// included, and enables it.
  ///
  /// ```swift
  /// let recipe = try PEFTAdapterConfiguration(path: "recipe/adapter_config.json")
  /// try model.inject(recipe, named: "support")
  /// ```
  ///
  /// What the configuration trains along begins as the base has it: whole modules (`modules_to_save`,
  /// and the head of a classifier), biases, vectors of tokens (`trainable_token_indices`).
  ///
  /// All or nothing, as ``inject(_:named:into:seed:memoryLimit:)``. Throws ``AdapterError`` also for what of the
  /// configuration can't be trained here, as other initializations than ``LoRA/Initialization``, or is
  /// not in the model.
  @discardableResult
  public func inject(
    _ configuration: PEFTAdapterConfiguration, named name: String = "default", seed: UInt64 = 0,
    memoryLimit: Int? = nil
  ) throws(AdapterError) -> InjectionReport {
    if let method = configuration.method.anyOptions as? any TrainableModelMethod {
      let along = try trainedAlong(configuration, layers: [])
      return try inject(named: name, seed: seed, along: along) {
        model, random throws(AdapterError) in
        try method.makeAdapter(for: model, using: &random)
      }
    }
    let configuration = configuration.resolvingTargets(forModelType: layout.modelType)
    guard configuration.targets != .unspecified else {
      throw .invalidValue(
        parameter: "target_modules", value: "null",
        expected: "the layers' names: PEFT has no default for this architecture")
    }
    let method = try configuration.checkedMethod()
    let names = namedModules
    let selector = LayerSelector(configuration, modules: names)
    var selected = modules(selectedBy: selector)
    var note: String?
    if let first = selected.first {
      let recipe = try method.recipe(forPath: first.path, of: configuration)
      (selected, note) = try adaptable(selected, by: recipe, isAll: selector.isAllLinear)
    }
    let configured = Dictionary(
      selected.map { item in
        (item.path, configuredPath(item.path, item.module, configuration, names) ?? item.path)
      }, uniquingKeysWith: { first, _ in first })
    guard !selected.isEmpty else { throw noMatchingLayer(selector) }
    if let pairs = method.factorPairs {
      var demand = AdapterDemand()
      for (path, module) in selected {
        demand.add(
          rank: configuration.rank(forPath: configured[path] ?? path), module, pairs: pairs)
      }
      try demand.check(limit: memoryLimit)
    }
    var (adapters, report) = try freshAdapters(on: selected, seed: seed) {
      path throws(AdapterError) in
      try method.recipe(forPath: configured[path] ?? path, of: configuration)
    }
    let along = try trainedAlong(configuration, layers: report.layers)
    report.addParameters(of: along.map(\.adapter))
    try attach(adapters + along, named: name, enabled: true)
    if let note { report.warnings.append(note) }
    report.warnings += configuration.unmatched(
      layers: report.layers.map { configured[$0] ?? $0 },
      among: pathsOfLayers.map { configured[$0] ?? $0 })
    return report
  }
}

extension PEFTAdapterConfiguration {
  /// The method. Throws for what an injection would leave out.
  fileprivate func checkedMethod() throws(AdapterError) -> any TrainableMethod {
    if let (field, text, problem) = invalidExpression {
      throw .invalidValue(
        parameter: field, value: text, expected: "an expression that can be matched: \(problem)")
    }
    guard let trainable else {
      throw .invalidValue(
        parameter: "peft_type", value: method.peftType,
        expected: TrainingRecipe.all.map(\.name).joined(separator: ", "))
    }
    try trainable.checkTrainable(self)
    return trainable
  }
}
