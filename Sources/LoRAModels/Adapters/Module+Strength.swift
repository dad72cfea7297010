extension Module {
  /// The adapters that apply to passes that choose none themselves, and how strongly.
  public var enabledAdapters: AdapterSelection {
    var strengths: [String: Float] = [:]
    for slot in adapterSlots() {
      strengths.merge(slot.withState { $0.enabled }) { first, _ in first }
    }
    return AdapterSelection(strengths)
  }

  /// Makes exactly the adapters of `selection` apply to passes that choose none themselves.
  ///
  /// A convenience for one task at a time. Where several share a model, use
  /// ``withAdapters(_:_:)-swift.method``, which is the task's own.
  public func enableAdapters(_ selection: AdapterSelection) throws(AdapterError) {
    let slots = adapterSlots()
    let failure: AdapterError? = Attachment.exclusively {
      let names = Attachment.names(slots)
      for name in selection.strengths.keys.sorted() where !names.contains(name) {
        return .unknownAdapter(name, available: names)
      }
      let merged = Attachment.mergedNames(slots)
      if !merged.isEmpty { return .merged(adapters: merged) }
      if let error = selection.strengthError(slots) { return error }
      for slot in slots {
        slot.withState { state in
          let here = Set(state.attached.map(\.name))
          state.enabled = selection.strengths.filter { here.contains($0.key) }
        }
      }
      return nil
    }
    if let failure { throw failure }
  }

  /// Makes no adapter apply to passes that choose none themselves: the base alone.
  public func disableAdapters() throws(AdapterError) { try enableAdapters([:]) }

  /// Sets how strongly the adapter called `name` applies; enables it if it was not.
  public func setStrength(_ strength: Float, of name: String) throws(AdapterError) {
    var selection = enabledAdapters
    selection.strengths[name] = strength
    try enableAdapters(selection)
  }
}
