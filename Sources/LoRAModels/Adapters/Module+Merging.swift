import LoRAAutograd
import LoRATensor

extension Module {
  /// Adds adapters into the weights: `W + Σ strength Δ(W)`, every change taken on the untouched
  /// base, rounded once to the base's type.
  ///
  /// The base's parameters are not written to: each adapted layer gets new numbers beside them, and
  /// ``unmergeAdapters()`` forgets those. Costs a copy of the adapted weights in memory; saves the
  /// adapters' products in every pass. While merged, adapters can't be attached, selected or changed.
  ///
  /// - Parameters:
  ///   - selection: the adapters, and how strongly each is added.
  ///   - quantized: what becomes of merged weights whose base is quantized: they stay float32, or are
  ///     quantized again.
  ///
  /// Throws ``AdapterError/overflow(layer:problem:remedy:)`` if a sum is no finite number of the type
  /// that it is stored in; nothing is merged then.
  ///
  /// - Returns: what quantizing again lost; empty where nothing was.
  @discardableResult
  public func mergeAdapters(
    _ selection: AdapterSelection, quantized: QuantizedMerging = .float32
  ) throws(AdapterError) -> RequantizationReport {
    let modules = adaptableModules()
    let snapshot = try snapshot(selection)
    var merged: [(slot: AdapterSlot, weights: LinearWeights)] = []
    var report = RequantizationReport()
    // What adapters of two layers as one add to each of them.
    var shares: [ObjectIdentifier: (change: LinearWeights, active: [ActiveAdapter])] = [:]
    for (path, module) in modules {
      guard let pair = module as? PairedLinear,
        case .adapters(let active)? = snapshot.contribution(of: pair.slot)
      else { continue }
      for (part, change) in try pair.changes(active, path: path) {
        shares[ObjectIdentifier(part.slot)] = (change, active)
      }
    }
    for (path, module) in modules {
      let share = shares[ObjectIdentifier(module.slot)]
      var active: [ActiveAdapter] = []
      if case .adapters(let own)? = snapshot.contribution(of: module.slot) { active = own }
      if active.isEmpty, share == nil { continue }
      if module is PairedLinear {
        // Its layers hold the sum: it is noted that nothing is left to add.
        merged.append((module.slot, LinearWeights(weight: .zeros([0, 0]))))
        continue
      }
      if module is any VirtualTokenModel {
        throw .unsupported(
          layer: "the model's input", reason: "virtual tokens can't be merged into weights")
      }
      if module is any AdaptableBlock {
        throw .unsupported(
          layer: path, reason: "what is added to a block's parts can't be merged into weights")
      }
      var sum = try module.merging(active, path: path)
      if let share { sum.weight.add(share.change.weight) }
      let (weights, loss) = try module.stored(
        sum, quantized, MergeFailure(path: path, active: active + (share?.active ?? [])))
      if let loss { report.layers.append(loss) }
      merged.append((module.slot, weights))
    }
    let results = merged
    try enableAdapters(selection)
    let failure: AdapterError? = Attachment.exclusively {
      let names = Attachment.mergedNames(modules.map(\.module.slot))
      if !names.isEmpty { return .merged(adapters: names) }
      for (slot, weights) in results { slot.withState { $0.merged = weights } }
      return nil
    }
    if let failure { throw failure }
    return report
  }

  /// Undoes ``mergeAdapters(_:quantized:)``: the base's own numbers apply again, bit for bit, with the
  /// adapters still enabled beside them.
  public func unmergeAdapters() throws(AdapterError) {
    let slots = adapterSlots()
    let wasMerged: Bool = Attachment.exclusively {
      let isMerged = slots.contains { $0.withState { $0.merged != nil } }
      for slot in slots { slot.withState { $0.merged = nil } }
      return isMerged
    }
    if !wasMerged { throw .notMerged }
  }

  /// Whether adapters are merged into the weights now.
  public var isMerged: Bool {
    adapterSlots().contains { $0.withState { $0.merged != nil } }
  }
}

extension PairedLinear {
  /// What `active` adds to the weights of both layers, float32.
  fileprivate func changes(
    _ active: [ActiveAdapter], path: String
  ) throws(AdapterError) -> [(layer: any LinearLayer, change: LinearWeights)] {
    let base = denseWeight()
    let sum = try merging(active, path: path)
    guard sum.bias == nil else {
      throw .unsupported(layer: path, reason: "a bias can't be merged into a parameter of experts")
    }
    let change = sum.weight - base
    let half = first.outputSize
    return [
      (first, LinearWeights(weight: change[rows: 0..<half])),
      (second, LinearWeights(weight: change[rows: half..<outputSize])),
    ]
  }
}

extension AdaptableModule {
  /// This module's numbers with `active` merged into them, float32. What replaces parameters comes
  /// first; every other change is taken on the base as replaced.
  fileprivate func merging(
    _ active: [ActiveAdapter], path: String
  ) throws(AdapterError) -> LinearWeights {
    let effects = withoutGradients { AppliedEffects(active) }
    var base = try storedWeights(path)
    let original = base
    for (index, (new, strength)) in effects.parameters.enumerated() {
      for (name, _) in new.parameters where name != "weight" && name != "bias" {
        throw .unsupported(layer: path, reason: "its '\(name)' can't be merged into the base")
      }
      let values = new.replacing(original, strength: strength)
      if index > 0 { base.add(values, less: original) } else { base = values }
    }
    for (new, strength) in effects.tokenVectors {
      base = new.replacing(base, strength: strength)
    }
    // An embedding's table is the transpose of the weight that adapters are for.
    let isTable = self is Embedding
    // Scalings multiply, all other changes are taken on the base without them.
    var sum = effects.scalings.reduce(base) { sum, item in
      item.effect.scaling(sum, strength: item.strength, isTable: isTable)
    }
    for (change, item) in effects.changes {
      var delta = try change.delta {
        isTable ? LinearWeights(weight: base.weight.permuted([1, 0])) : base
      }
      if isTable { delta.weight = delta.weight.permuted([1, 0]) }
      guard delta.weight.shape == base.weight.shape else {
        throw .shapeMismatch(
          layer: path, expected: "\(base.weight.shape)", found: "a change of \(delta.weight.shape)")
      }
      do throws(UnstorableNumber) {
        try delta.weight.checkFinite()
        try delta.bias?.checkFinite()
      } catch {
        throw MergeFailure(path: path, active: [item]).change(error)
      }
      sum.weight.add(delta.weight, times: item.strength)
      if let change = delta.bias {
        var bias = sum.bias ?? .zeros(change.shape)
        bias.add(change, times: item.strength)
        sum.bias = bias
      }
    }
    return sum
  }

  /// Merged numbers in the type of this module's weight, or what is asked for where that is
  /// quantized, and what quantizing lost.
  fileprivate func stored(
    _ sum: LinearWeights, _ quantized: QuantizedMerging, _ failure: MergeFailure
  ) throws(AdapterError) -> (LinearWeights, RequantizationReport.Layer?) {
    let weight = (self as? any LinearLayer).map(\.weight) ?? parameters["weight"]
    let type = weight?.value.dtype ?? .float32
    let isRequantized = type.isQuantized && quantized == .requantized
    let target: DType =
      !type.isQuantized ? type : !isRequantized ? .float32 : type.isQuantizable ? type : .q8_0
    var stored = sum
    do throws(UnstorableNumber) {
      stored.weight = try sum.weight.stored(as: target)
    } catch {
      throw failure.sum(error, "weight", base: weight?.value)
    }
    do throws(UnstorableNumber) {
      try sum.bias?.checkFinite()
    } catch {
      throw failure.sum(error, "bias", base: parameters["bias"]?.value)
    }
    guard isRequantized else { return (stored, nil) }
    let loss = RequantizationReport.Layer(
      path: failure.path, original: type, stored: target, from: sum.weight, to: stored.weight)
    return (stored, loss)
  }

  /// The base's numbers, float32.
  private func storedWeights(_ path: String) throws(AdapterError) -> LinearWeights {
    if let layer = self as? any LinearLayer { return layer.baseWeights() }
    guard let weight = parameters["weight"] else {
      throw .unsupported(layer: path, reason: "it has no 'weight' to merge into")
    }
    return LinearWeights(
      weight: weight.value.converted(to: .float32),
      bias: parameters["bias"]?.value.converted(to: .float32))
  }
}

extension AppliedEffects.Change {
  /// What merging at strength 1 adds to `base`, which is asked for where it matters.
  fileprivate func delta(
    on base: () -> LinearWeights
  ) throws(AdapterError) -> LinearWeights {
    switch self {
    case .lowRank(let effect): effect.delta
    case .normalized(let effect): effect.delta(on: base())
    case .computed(let effect): try effect.delta(base())
    }
  }
}

extension LinearWeights {
  /// Adds the difference of two.
  fileprivate mutating func add(_ new: LinearWeights, less old: LinearWeights) {
    weight = weight.converted(to: .float32)
    weight.add(new.weight - old.weight)
    guard let newBias = new.bias else { return }
    let oldBias = old.bias ?? .zeros(newBias.shape)
    bias = (bias ?? oldBias) + (newBias - oldBias)
  }
}
