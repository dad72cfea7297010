/// Which adapters apply to a pass, and how strongly: `["support": 1, "polite": 0.4]`.
///
/// The empty selection, `[:]`, is the base alone.
public struct AdapterSelection: Sendable, Hashable, ExpressibleByDictionaryLiteral {
  /// The strength of each adapter; 1 is as trained, 0 is off, negative subtracts.
  public var strengths: [String: Float]

  /// Creates a selection.
  public init(_ strengths: [String: Float] = [:]) { self.strengths = strengths }

  /// One adapter at strength 1.
  public init(_ name: String) { strengths = [name: 1] }

  /// Creates a selection; strengths given twice for one name add up.
  public init(dictionaryLiteral elements: (String, Float)...) {
    strengths = Dictionary(elements, uniquingKeysWith: +)
  }
}

/// The adapters of one model that apply to one pass: resolved when it starts, and not changed by
/// what other tasks attach, swap or enable meanwhile.
struct AdapterSnapshot: Sendable {
  /// Every slot of the model, also those without an adapter: a slot that is not here belongs to
  /// another model.
  let chosen: [ObjectIdentifier: [ActiveAdapter]]

  func adapters(of slot: AdapterSlot) -> [ActiveAdapter]? { chosen[ObjectIdentifier(slot)] }
}

/// The snapshot of the pass that runs in this task.
enum AdapterScope {
  @TaskLocal static var current: AdapterSnapshot?
}

extension Module {
  /// Runs `body` with exactly the adapters of `selection`, whatever is enabled on the model.
  ///
  /// The choice belongs to this task: others run with theirs at the same time.
  ///
  /// ```swift
  /// let answer = try model.withAdapters(["support": 1, "polite": 0.4]) { model(tokens) }
  /// ```
  ///
  /// Throws ``AdapterError/unknownAdapter(_:available:)`` for a name that is not attached, and
  /// ``AdapterError/merged(adapters:)`` while adapters are merged into the base.
  public func withAdapters<R>(_ selection: AdapterSelection, _ body: () throws -> R) throws -> R {
    let snapshot = try snapshot(selection)
    return try AdapterScope.$current.withValue(snapshot, operation: body)
  }

  /// Runs the asynchronous `body` with exactly the adapters of `selection`.
  public func withAdapters<R>(
    _ selection: AdapterSelection, isolation: isolated (any Actor)? = #isolation,
    _ body: () async throws -> R
  ) async throws -> R {
    let snapshot = try snapshot(selection)
    return try await AdapterScope.$current.withValue(snapshot, operation: body)
  }

  /// Resolves `selection` against what is attached now.
  func snapshot(_ selection: AdapterSelection) throws(AdapterError) -> AdapterSnapshot {
    let slots = linearLayers().map(\.layer.slot)
    let outcome: Result<AdapterSnapshot, AdapterError> = Attachment.exclusively {
      let names = Attachment.names(slots)
      for name in selection.strengths.keys.sorted() where !names.contains(name) {
        return .failure(.unknownAdapter(name, available: names))
      }
      let merged = Attachment.mergedNames(slots)
      if !merged.isEmpty { return .failure(.merged(adapters: merged)) }
      var chosen: [ObjectIdentifier: [ActiveAdapter]] = [:]
      for slot in slots {
        chosen[ObjectIdentifier(slot)] = slot.withState { $0.active(selection.strengths) }
      }
      return .success(AdapterSnapshot(chosen: chosen))
    }
    return try outcome.get()
  }
}
