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
  @discardableResult
  public func inject(
    _ method: some AdapterMethod, named name: String = "default",
    into selector: LayerSelector = .allLinear, seed: UInt64 = 0
  ) throws(AdapterError) -> InjectionReport {
    let layers = linearLayers()
    let head = outputHead
    let selected = layers.filter { path, layer in
      selector.selects(path, head.map { $0 === layer } ?? false)
    }
    guard !selected.isEmpty else {
      throw .noMatchingLayer(selector: selector.description, available: layers.map(\.path))
    }
    var report = InjectionReport(layers: [], parameterCount: 0, warnings: [])
    var adapters: [String: any LinearAdapter] = [:]
    for (path, layer) in selected {
      var random = SeededRandom(seed: seed, path: path)
      let adapter = try method.makeAdapter(for: layer, using: &random)
      adapters[path] = adapter
      report.layers.append(path)
      report.parameterCount += adapter.parameterCount
      if let lowRank = adapter as? any LowRankAdapter {
        let side = min(layer.inputSize, layer.outputSize)
        if lowRank.a.shape[0] > side {
          report.warnings.append(
            "layer \(path): rank \(lowRank.a.shape[0]) is above the layer's smaller side, \(side)")
        }
      }
    }
    try attach(adapters, named: name)
    return report
  }

  /// Attaches existing adapters, one a layer path, under one name, and enables them unless told not
  /// to. All or nothing.
  public func attach(
    _ adapters: [String: any LinearAdapter], named name: String, enabled: Bool = true
  ) throws(AdapterError) {
    let layers = try layersFitting(adapters)
    let slots = layers.map(\.layer.slot)
    let failure: AdapterError? = Attachment.exclusively {
      if Attachment.names(slots).contains(name) { return .nameTaken(name) }
      let merged = Attachment.mergedNames(slots)
      if !merged.isEmpty { return .merged(adapters: merged) }
      for (path, layer) in layers {
        guard let adapter = adapters[path] else { continue }
        layer.slot.withState {
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
    let layers = try layersFitting(adapters)
    let slots = layers.map(\.layer.slot)
    let failure: AdapterError? = Attachment.exclusively {
      let names = Attachment.names(slots)
      guard names.contains(name) else { return .unknownAdapter(name, available: names) }
      let merged = Attachment.mergedNames(slots)
      if !merged.isEmpty { return .merged(adapters: merged) }
      let strength = slots.lazy.compactMap { $0.withState { $0.enabled[name] } }.first
      for (path, layer) in layers {
        layer.slot.withState { state in
          state.attached.removeAll { $0.name == name }
          state.enabled[name] = nil
          if let adapter = adapters[path] {
            state.attached.append((name, adapter))
            state.enabled[name] = strength
          }
        }
      }
      return nil
    }
    if let failure { throw failure }
  }

  /// The names of the attached adapters, in the order of attachment.
  public var adapterNames: [String] { Attachment.names(linearLayers().map(\.layer.slot)) }

  /// The adapters called `name` with the paths of their layers, in the model's order.
  public func adapters(named name: String) -> [(path: String, adapter: any LinearAdapter)] {
    linearLayers().compactMap { path, layer in layer.slot[name].map { (path, $0) } }
  }

  /// The parameters of the adapter called `name`, with paths as `layers.0.q_proj.lora_A.weight`.
  public func adapterParameters(named name: String) -> [NamedParameter] {
    adapters(named: name).flatMap { path, adapter in
      adapter.namedParameters().map { ("\(path).\($0.path)", $0.parameter) }
    }
  }

  /// The model's linear layers, once it is clear that each of `adapters` fits one of them.
  private func layersFitting(
    _ adapters: [String: any LinearAdapter]
  ) throws(AdapterError) -> [(path: String, layer: any LinearLayer)] {
    let layers = linearLayers()
    let paths = Set(layers.map(\.path))
    for path in adapters.keys.sorted() where !paths.contains(path) {
      throw .unknownLayer(path, available: layers.map(\.path))
    }
    for (path, layer) in layers {
      guard let lowRank = adapters[path] as? any LowRankAdapter else { continue }
      let found = (lowRank.a.shape[1], lowRank.b.shape[0])
      guard found == (layer.inputSize, layer.outputSize) else {
        throw .shapeMismatch(
          layer: path, expected: "\(layer.inputSize) inputs and \(layer.outputSize) outputs",
          found: "factors for \(found.0) inputs and \(found.1) outputs")
      }
    }
    return layers
  }

  /// Runs `body` on each slot's state, if the adapter exists and nothing is merged.
  private func change(
    _ name: String, _ body: (inout AdapterSlot.State) -> Void
  ) throws(AdapterError) {
    let slots = linearLayers().map(\.layer.slot)
    let failure: AdapterError? = Attachment.exclusively {
      let names = Attachment.names(slots)
      guard names.contains(name) else { return .unknownAdapter(name, available: names) }
      let merged = Attachment.mergedNames(slots)
      if !merged.isEmpty { return .merged(adapters: merged) }
      for slot in slots { slot.withState { body(&$0) } }
      return nil
    }
    if let failure { throw failure }
  }
}
