import LoRATensor
import LoRAAutograd

extension Module {
  /// Adds adapters into the weights: `W + Σ strength Δ(W)`, every change taken on the untouched
  /// base, rounded once to the base's type.
  ///
  /// The base's parameters are not written to: each adapted layer gets new numbers beside them, and
  /// ``unmergeAdapters()`` forgets those. Costs a copy of the adapted weights in memory; saves the
  /// adapters' products in every pass. While merged, adapters can't be attached, selected or changed.
  public func mergeAdapters(_ selection: AdapterSelection) throws(AdapterError) {
    let layers = linearLayers()
    let snapshot = try snapshot(selection)
    var merged: [(slot: AdapterSlot, weights: LinearWeights)] = []
    for (path, layer) in layers {
      let active = snapshot.adapters(of: layer.slot) ?? []
      if active.isEmpty { continue }
      merged.append((layer.slot, try layer.merging(active, path: path)))
    }
    let results = merged
    try enableAdapters(selection)
    let failure: AdapterError? = Attachment.exclusively {
      let names = Attachment.mergedNames(layers.map(\.layer.slot))
      if !names.isEmpty { return .merged(adapters: names) }
      for (slot, weights) in results { slot.withState { $0.merged = weights } }
      return nil
    }
    if let failure { throw failure }
  }

  /// Undoes ``mergeAdapters(_:)``: the base's own numbers apply again, bit for bit, with the
  /// adapters still enabled beside them.
  public func unmergeAdapters() throws(AdapterError) {
    let slots = linearLayers().map(\.layer.slot)
    let wasMerged: Bool = Attachment.exclusively {
      let isMerged = slots.contains { $0.withState { $0.merged != nil } }
      for slot in slots { slot.withState { $0.merged = nil } }
      return isMerged
    }
    if !wasMerged { throw .notMerged }
  }

  /// Whether adapters are merged into the weights now.
  public var isMerged: Bool {
    linearLayers().contains { $0.layer.slot.withState { $0.merged != nil } }
  }
}

extension LinearLayer {
  /// This layer's numbers with `active` merged into them, in the type of its weight.
  fileprivate func merging(
    _ active: [ActiveAdapter], path: String
  ) throws(AdapterError) -> LinearWeights {
    let base = baseWeights()
    var sum = base
    for item in active {
      let delta = try item.adapter.delta(on: base)
      guard delta.weight.shape == base.weight.shape else {
        throw .shapeMismatch(
          layer: path, expected: "\(base.weight.shape)", found: "a change of \(delta.weight.shape)")
      }
      sum.weight.add(delta.weight, times: item.strength)
      if let change = delta.bias {
        var bias = sum.bias ?? .zeros(change.shape)
        bias.add(change, times: item.strength)
        sum.bias = bias
      }
    }
    if sum.weight.firstNonFiniteIndex() != nil { throw .nonFinite(layer: path) }
    if let type = weight?.value.dtype { sum.weight = sum.weight.converted(to: type) }
    return sum
  }
}
