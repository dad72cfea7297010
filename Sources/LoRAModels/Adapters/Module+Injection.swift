import LoRAAutograd
import LoRATensor

/// What an injection did.
public struct InjectionReport: Sendable, Hashable {
  /// The paths of the adapted layers, in the model's order.
  public var layers: [String]
  /// The number of trainable parameters that were added.
  public var parameterCount: Int
  /// What is legal but probably not meant, as a rank above a layer's smaller side.
  public var warnings: [String]

  /// Counts what adapters that share parameters have together.
  mutating func addParameters(of adapters: [any LinearAdapter]) {
    var seen: Set<ObjectIdentifier> = []
    for (_, parameter) in adapters.flatMap({ $0.namedParameters() })
    where parameter.isTrainable && seen.insert(ObjectIdentifier(parameter)).inserted {
      parameterCount += parameter.shape.elementCount
    }
  }

  mutating func add(_ adapter: any LinearAdapter, path: String) {
    layers.append(path)
    addParameters(of: [adapter])
    if layers.count == 1, adapter.change == nil {
      warnings.append(
        "adapters of type \(type(of: adapter)) can't be saved: the type has no 'change', which says "
          + "what an adapter does in terms that files have; write one, or save its parameters "
          + "yourself, see adapterParameters(named:)")
    }
    guard case .lowRank(let effect) = withoutGradients({ adapter.effect }) else { return }
    let (a, b) = effect.factors[0]
    let (rank, side) = (a.shape[0], min(a.shape[1], b.shape[0]))
    // Factors that are not trained, as VeRA's, are random and want a high rank.
    let count = adapter.namedParameters().filter(\.parameter.isTrainable)
      .reduce(0) { $0 + $1.parameter.shape.elementCount }
    if rank > side, count >= a.shape.elementCount {
      warnings.append("layer \(path): rank \(rank) is above the layer's smaller side, \(side)")
    }
  }
}

extension InjectionReport: CustomStringConvertible {
  /// How much was added where, and the warnings, a line each.
  public var description: String {
    let first =
      "\(layers.count) layer\(layers.count == 1 ? "" : "s") adapted, \(parameterCount) parameters to train"
    return ([first] + warnings.map { "warning: \($0)" }).joined(separator: "\n")
  }
}

extension AdapterMethod {
  /// The adapter of a linear layer or an embedding.
  func makeAdapter(
    for module: any AdaptableModule, path: String, among layers: AdaptedLayers,
    using random: inout SeededRandom
  ) throws(AdapterError) -> any LinearAdapter {
    if let layer = module as? any LinearLayer {
      return try makeAdapter(for: layer, at: path, among: layers, using: &random)
    }
    guard let embedding = module as? Embedding, let method = self as? any EmbeddingAdapterMethod
    else {
      throw .unsupported(
        layer: path, reason: "\(Self.self) can't be attached to a \(type(of: module))")
    }
    return try method.makeAdapter(for: embedding, using: &random)
  }
}

extension Module {
  /// Attaches a fresh adapter to every selected linear layer, and enables it.
  ///
  /// ```swift
  /// try model.inject(LoRA(rank: 8, alpha: 16), named: "support", into: .allLinear)
  /// ```
  ///
  /// All or nothing: if it throws, the model is as it was. A fresh adapter changes no output.
  ///
  /// - Parameters:
  ///   - method: the recipe, as ``LoRA``.
  ///   - name: what the adapter is called from now on.
  ///   - selector: which layers; one that selects none is an error that lists what there is.
  ///   - seed: with a layer's path, what its initial values depend on.
  ///   - memoryLimit: the most bytes that the adapter's numbers may take; nil: what the machine has
  ///     available. More is an error before anything is allocated.
  @discardableResult
  public func inject(
    _ method: some AdapterMethod, named name: String = "default",
    into selector: LayerSelector = .allLinear, seed: UInt64 = 0, memoryLimit: Int? = nil
  ) throws(AdapterError) -> InjectionReport {
    try method.check()
    let (selected, note) = try adaptable(
      modules(selectedBy: selector), by: method, isAll: selector.isAllLinear)
    guard !selected.isEmpty else { throw noMatchingLayer(selector) }
    var demand = AdapterDemand()
    for (_, module) in selected {
      for rank in method.factorRanks { demand.add(rank: rank, module) }
    }
    try demand.check(limit: memoryLimit)
    var (adapters, report) = try freshAdapters(on: selected, seed: seed) { _ in method }
    try attach(adapters, named: name, enabled: true)
    if let note { report.warnings.append(note) }
    return report
  }

  /// An adapter for each of `modules`, made by the method that `method` gives its path, and the report
  /// of them.
  func freshAdapters(
    on modules: [(path: String, module: any AdaptableModule)], seed: UInt64,
    _ method: (_ path: String) throws(AdapterError) -> any AdapterMethod
  ) throws(AdapterError) -> (
    adapters: [(path: String, adapter: any LinearAdapter)], report: InjectionReport
  ) {
    var report = InjectionReport(layers: [], parameterCount: 0, warnings: structureProblems())
    var adapters: [(path: String, adapter: any LinearAdapter)] = []
    let layers = AdaptedLayers(modules.map(\.module))
    for (path, module) in modules {
      var random = SeededRandom(seed: seed, path: path)
      let adapter = try method(path).makeAdapter(
        for: module, path: path, among: layers, using: &random)
      adapters.append((path, adapter))
      report.add(adapter, path: path)
    }
    return (adapters, report)
  }

  /// Why a selector found nothing: the names that there are, or how the modules are written.
  func noMatchingLayer(_ selector: LayerSelector) -> AdapterError {
    let layers = linearLayers().map(\.path)
    let problems = layers.isEmpty ? structureProblems() : []
    return problems.isEmpty
      ? .noMatchingLayer(selector: selector.description, available: layers)
      : .brokenModule(problems: problems)
  }

  /// Attaches existing adapters, one a layer path, under one name, and enables them unless told not
  /// to. All or nothing.
  public func attach(
    _ adapters: [String: any LinearAdapter], named name: String, enabled: Bool = true
  ) throws(AdapterError) {
    try attach(adapters.map { ($0.key, $0.value) }, named: name, enabled: enabled)
  }

  /// Attaches adapters under one name, where a path may have several: factors and a bias.
  func attach(
    _ adapters: [(path: String, adapter: any LinearAdapter)], named name: String, enabled: Bool
  ) throws(AdapterError) {
    let fitting = try fitting(adapters)
    let slots = adapterSlots()
    let failure: AdapterError? = Attachment.exclusively {
      if Attachment.names(slots).contains(name) { return .nameTaken(name) }
      let merged = Attachment.mergedNames(slots)
      if !merged.isEmpty { return .merged(adapters: merged) }
      for (slot, adapter) in fitting {
        slot.withState {
          $0.attached.append((name, adapter))
          if enabled { $0.enabled[name] = 1 }
        }
      }
      return nil
    }
    if let failure { throw failure }
  }

  /// Takes the adapter off every layer. What others still compute with it is not disturbed.
  public func detach(_ name: String) throws(AdapterError) {
    try change(name) { state in
      state.attached.removeAll { $0.name == name }
      state.enabled[name] = nil
    }
  }

  /// Gives an attached adapter another name.
  public func renameAdapter(_ name: String, to newName: String) throws(AdapterError) {
    if name == newName { return }
    if adapterNames.contains(newName) { throw .nameTaken(newName) }
    try change(name) { state in
      for index in state.attached.indices where state.attached[index].name == name {
        state.attached[index].name = newName
      }
      state.enabled[newName] = state.enabled.removeValue(forKey: name)
    }
  }

  /// Replaces the adapter called `name` by others of the same name, in one step: a pass that has
  /// started goes on with the old, the next one sees the new.
  public func swapAdapter(
    _ name: String, for adapters: [String: any LinearAdapter]
  ) throws(AdapterError) {
    try swapAdapter(name, for: adapters.map { ($0.key, $0.value) })
  }

  func swapAdapter(
    _ name: String, for adapters: [(path: String, adapter: any LinearAdapter)]
  ) throws(AdapterError) {
    let fitting = try fitting(adapters)
    let slots = adapterSlots()
    let failure: AdapterError? = Attachment.exclusively {
      if let obstacle = Attachment.obstacle(toChanging: name, slots) { return obstacle }
      let strength = slots.lazy.compactMap { $0.withState { $0.enabled[name] } }.first
      for slot in slots {
        slot.withState { state in
          state.attached.removeAll { $0.name == name }
          state.enabled[name] = nil
        }
      }
      for (slot, adapter) in fitting {
        slot.withState { state in
          state.attached.append((name, adapter))
          state.enabled[name] = strength
        }
      }
      return nil
    }
    if let failure { throw failure }
  }

  /// The names of the attached adapters, in the order of attachment.
  public var adapterNames: [String] { Attachment.names(adapterSlots()) }

  /// The adapters called `name` with the paths of their layers, in the model's order.
  public func adapters(named name: String) -> [(path: String, adapter: any LinearAdapter)] {
    adaptableModules().flatMap { path, module in
      module.slot.adapters(named: name).map { (path, $0) }
    }
  }

  /// The parameters of the adapter called `name`, with paths as `layers.0.q_proj.lora_A.weight`.
  public func adapterParameters(named name: String) -> [NamedParameter] {
    // Vectors that a tied head shares with the embedding are one parameter.
    var seen: Set<ObjectIdentifier> = []
    return adapters(named: name).flatMap { path, adapter in
      adapter.namedParameters().compactMap { item -> NamedParameter? in
        seen.insert(ObjectIdentifier(item.parameter)).inserted
          ? ("\(path).\(item.path)", item.parameter) : nil
      }
    }
  }

  /// The slots that `adapters` belong to, once it is clear that each fits its module.
  private func fitting(
    _ adapters: [(path: String, adapter: any LinearAdapter)]
  ) throws(AdapterError) -> [(slot: AdapterSlot, adapter: any LinearAdapter)] {
    let modules = adaptableModules()
    let byPath = Dictionary(
      modules.map { ($0.path, $0.module) }, uniquingKeysWith: { first, _ in first })
    var result: [(slot: AdapterSlot, adapter: any LinearAdapter)] = []
    for (path, adapter) in adapters.sorted(by: { $0.path < $1.path }) {
      guard let module = byPath[path] else {
        throw .unknownLayer(path, available: linearLayers().map(\.path))
      }
      try adapter.checkFit(module, path: path)
      guard module.slot === module.slot else {
        throw .unsupported(
          layer: path,
          reason: "\(type(of: module)) makes its slot anew at every access, so that an adapter "
            + "attached to it is lost; write 'let slot = AdapterSlot()'")
      }
      result.append((module.slot, adapter))
    }
    return result
  }

  /// Runs `body` on each slot's state, if the adapter exists and nothing is merged.
  private func change(
    _ name: String, _ body: (inout AdapterSlot.State) -> Void
  ) throws(AdapterError) {
    let slots = adapterSlots()
    let failure: AdapterError? = Attachment.exclusively {
      if let obstacle = Attachment.obstacle(toChanging: name, slots) { return obstacle }
      for slot in slots { slot.withState { body(&$0) } }
      return nil
    }
    if let failure { throw failure }
  }
}
