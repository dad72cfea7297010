import LoRAAutograd
public import LoRAFormats
import LoRATensor

extension Module {
  /// Attaches a fresh LoRA adapter as PEFT's configuration describes it, single layers' ranks and
  /// alphas included, and enables it.
  ///
  /// ```swift
  /// let recipe = try PEFTAdapterConfiguration(path: "recipe/adapter_config.json")
  /// try model.inject(recipe, named: "support")
  /// ```
  ///
  /// All or nothing, as ``inject(_:named:into:seed:)``. Throws ``AdapterError`` also for a way of
  /// initializing the factors other than PEFT's standard one.
  @discardableResult
  public func inject(
    _ configuration: PEFTAdapterConfiguration, named name: String = "default", seed: UInt64 = 0
  ) throws(AdapterError) -> InjectionReport {
    guard configuration.initialization == .standard else {
      throw .invalidValue(
        parameter: "init_lora_weights", value: "\(configuration.initialization)",
        expected: "the standard initialization, true")
    }
    let selector = LayerSelector(configuration)
    var report = InjectionReport(layers: [], parameterCount: 0, warnings: [])
    var adapters: [String: any LinearAdapter] = [:]
    for (path, module) in modules(selectedBy: selector) {
      let method = LoRA(
        rank: configuration.rank(forPath: path), alpha: Float(configuration.alpha(forPath: path)),
        dropout: Float(configuration.dropout),
        isRankStabilized: configuration.usesRankStabilizedScale)
      var random = SeededRandom(seed: seed, path: path)
      let adapter = try method.makeAdapter(for: module, path: path, using: &random)
      adapters[path] = adapter
      report.add(adapter, path: path)
    }
    guard !adapters.isEmpty else {
      throw .noMatchingLayer(selector: selector.description, available: linearLayers().map(\.path))
    }
    try attach(adapters, named: name)
    return report
  }
}
