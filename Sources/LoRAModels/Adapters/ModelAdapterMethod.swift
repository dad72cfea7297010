public import LoRATensor

/// A recipe of an adapter of a whole model, as ``PromptTuning`` or ``PrefixTuning``.
public protocol ModelAdapterMethod: Sendable {
  /// What the recipe makes.
  associatedtype Adapter: LinearAdapter
  /// Makes the adapter of `model`. Throws ``AdapterError/invalidValue(parameter:value:expected:)`` for
  /// hyperparameters that nothing can be learned with.
  func makeAdapter(
    for model: any VirtualTokenModel, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter
}

extension Module {
  /// Attaches a fresh adapter of the whole model, and enables it.
  ///
  /// ```swift
  /// try model.inject(PrefixTuning(count: 20), named: "support")
  /// ```
  ///
  /// Throws ``AdapterError`` for a model that virtual tokens can't be put before.
  @discardableResult
  public func inject(
    _ method: some ModelAdapterMethod, named name: String = "default", seed: UInt64 = 0
  ) throws(AdapterError) -> InjectionReport {
    try inject(named: name, seed: seed) { model, random throws(AdapterError) in
      try method.makeAdapter(for: model, using: &random)
    }
  }

  /// The same of what `make` gives, and of the adapters of layers that are trained along.
  func inject(
    named name: String, seed: UInt64, along: [(path: String, adapter: any LinearAdapter)] = [],
    _ make: (any VirtualTokenModel, inout SeededRandom) throws(AdapterError) -> any LinearAdapter
  ) throws(AdapterError) -> InjectionReport {
    guard let model = self as? any VirtualTokenModel else { throw .noVirtualTokens(self) }
    var random = SeededRandom(seed: seed, path: "")
    let adapter = try make(model, &random)
    var report = InjectionReport(layers: [], parameterCount: 0, warnings: structureProblems())
    report.add(adapter, path: "")
    report.addParameters(of: along.map(\.adapter))
    try attach([("", adapter)] + along, named: name, enabled: true)
    return report
  }
}
