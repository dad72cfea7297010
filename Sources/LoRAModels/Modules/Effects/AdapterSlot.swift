import LoRATensor

/// Where adapters are attached to a layer: a stored property of the layer.
///
/// Nothing in a model is replaced when adapters come and go. Which of the attached ones apply is
/// decided by the pass: by ``Module/withAdapters(_:_:)-swift.method`` where it is used, else by
/// what is enabled on the model.
public final class AdapterSlot: Sendable {
  struct State: Sendable {
    var attached: [(name: String, adapter: any LinearAdapter)] = []
    /// The adapters that apply to a pass that chooses none itself, and how strongly.
    var enabled: [String: Float] = [:]
    /// The layer's numbers with adapters merged into them, while they are.
    var merged: LinearWeights?
  }

  private let state = Locked(State())

  /// Creates an empty slot.
  public init() {}

  func withState<R>(_ body: (inout State) -> R) -> R { state.withLock(body) }

  /// The names of the attached adapters, in the order of attachment.
  public var names: [String] { state.withLock { $0.attached.map(\.name) } }

  /// The adapter called `name`, if it is attached here.
  public subscript(name: String) -> (any LinearAdapter)? {
    state.withLock { $0.attached.first { $0.name == name }?.adapter }
  }

  /// Everything attached here under `name`: factors, and perhaps parameters that they come with.
  func adapters(named name: String) -> [any LinearAdapter] {
    state.withLock { $0.attached.filter { $0.name == name }.map(\.adapter) }
  }

  /// What this slot contributes to the pass that runs now.
  func contribution() -> Contribution {
    if let chosen = AdapterScope.current?.contribution(of: self) { return chosen }
    return state.withLock { state in
      if let merged = state.merged { return .merged(merged) }
      let active = state.active(state.enabled)
      return active.isEmpty ? .none : .adapters(active)
    }
  }

  enum Contribution: Sendable {
    case none
    case merged(LinearWeights)
    case adapters([ActiveAdapter])
    /// Items of the batch differ.
    case items(ItemAdapters)
  }
}

extension AdapterSlot.State {
  /// The attached adapters that `strengths` names, in the order of attachment, without those of
  /// strength 0.
  func active(_ strengths: [String: Float]) -> [ActiveAdapter] {
    if strengths.isEmpty { return [] }
    return attached.compactMap { name, adapter in
      guard let strength = strengths[name], strength != 0 else { return nil }
      return ActiveAdapter(adapter: adapter, strength: strength)
    }
  }
}

/// An adapter that applies to a pass, and how strongly.
struct ActiveAdapter: Sendable {
  let adapter: any LinearAdapter
  let strength: Float
}

extension AdapterSlot {
  /// Whether nothing but the base applies to the pass that runs now.
  var isUnused: Bool {
    if case .none = contribution() { return true }
    return false
  }
}
