import LoRATensor

/// What several slots of a model do together.
///
/// One lock for the process makes a change of many slots one step for whoever resolves a snapshot:
/// a pass sees all layers of an adapter, or none, never some of the old and some of the new. It is
/// held for microseconds, never while numbers are computed.
enum Attachment {
  // A value of some size: one without any would share its address with the lock's own pointer, and
  // ThreadSanitizer would take reading that for a race.
  private static let lock = Locked(UInt8(0))

  static func exclusively<R: Sendable>(_ body: () -> R) -> R { lock.withLock { _ in body() } }

  /// The names of the adapters attached to any of `slots`, in the order of attachment.
  static func names(_ slots: [AdapterSlot]) -> [String] {
    var seen: Set<String> = []
    return slots.flatMap(\.names).filter { seen.insert($0).inserted }
  }

  /// Why the adapter called `name` can't be changed: there is none, or adapters are merged; nil if it
  /// can.
  static func obstacle(toChanging name: String, _ slots: [AdapterSlot]) -> AdapterError? {
    let names = names(slots)
    guard names.contains(name) else { return .unknownAdapter(name, available: names) }
    let merged = mergedNames(slots)
    return merged.isEmpty ? nil : .merged(adapters: merged)
  }

  /// The names of the merged adapters, if any are merged.
  static func mergedNames(_ slots: [AdapterSlot]) -> [String] {
    let isMerged = slots.contains { $0.withState { $0.merged != nil } }
    guard isMerged else { return [] }
    var seen: Set<String> = []
    return slots.flatMap { slot in
      slot.withState { state in
        state.merged == nil ? [] : state.attached.map(\.name).filter { state.enabled[$0] != nil }
      }
    }.filter { seen.insert($0).inserted }
  }
}
