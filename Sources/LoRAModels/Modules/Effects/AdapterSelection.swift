import LoRAAutograd

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

extension AdapterSelection {
  /// What is wrong with the strengths; nil if nothing is. Virtual tokens are there or not.
  func strengthError(_ slots: [AdapterSlot]) -> AdapterError? {
    for (name, strength) in strengths.sorted(by: { $0.key < $1.key })
    where strength != 0 && strength != 1 {
      for slot in slots {
        for adapter in slot.adapters(named: name) {
          guard case .virtualTokens = withoutGradients({ adapter.effect }) else { continue }
          return .invalidValue(
            parameter: "strength of '\(name)'", value: "\(strength)",
            expected: "1 or 0: its virtual tokens are there or not")
        }
      }
    }
    return nil
  }
}

extension AdapterSelection: CustomStringConvertible {
  /// What a person would write, the strongest first: `support + polite:0.4`, or `none`.
  public var description: String {
    if strengths.isEmpty { return "none" }
    return strengths.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      .map { name, strength in
        if strength == 1 { return name }
        let isWhole = strength == strength.rounded() && abs(strength) < 1e6
        return "\(name):" + (isWhole ? "\(Int(strength))" : "\(strength)")
      }.joined(separator: " + ")
  }
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

  /// Runs `body` with a choice of adapters for each item of the batch: `selections[i]` applies to
  /// item `i` of the inputs' first dimension.
  ///
  /// The base is computed once for all items, what adapters add once for each group of items that
  /// share a choice. Everything called in `body` must keep the items in their places: an input of
  /// another number of items traps where it meets an adapter.
  ///
  /// ```swift
  /// let logits = try model.withAdapters(perItem: [["support": 1], [:], ["polite": 0.5]]) {
  ///   model(tokens)  // [3, positions]
  /// }
  /// ```
  ///
  /// Throws as ``withAdapters(_:_:)-swift.method`` does.
  public func withAdapters<R>(
    perItem selections: [AdapterSelection], _ body: () throws -> R
  ) throws -> R {
    let snapshot = try snapshot(perItem: selections)
    return try AdapterScope.$current.withValue(snapshot, operation: body)
  }

  /// Runs the asynchronous `body` with a choice of adapters for each item of the batch.
  public func withAdapters<R>(
    perItem selections: [AdapterSelection], isolation: isolated (any Actor)? = #isolation,
    _ body: () async throws -> R
  ) async throws -> R {
    let snapshot = try snapshot(perItem: selections)
    return try await AdapterScope.$current.withValue(snapshot, operation: body)
  }

  /// Resolves `selection` against what is attached now.
  func snapshot(_ selection: AdapterSelection) throws(AdapterError) -> AdapterSnapshot {
    AdapterSnapshot(try resolve([selection])[0])
  }

  /// Resolves a choice for each item against what is attached now.
  func snapshot(perItem selections: [AdapterSelection]) throws(AdapterError) -> AdapterSnapshot {
    var distinct: [AdapterSelection] = []
    var positions: [AdapterSelection: Int] = [:]
    let groupOfItem = selections.map { selection in
      if let known = positions[selection] { return known }
      positions[selection] = distinct.count
      distinct.append(selection)
      return distinct.count - 1
    }
    return AdapterSnapshot(groups: try resolve(distinct), groupOfItem: groupOfItem)
  }

  /// Resolves several choices in one step: no swap comes between them.
  private func resolve(
    _ selections: [AdapterSelection]
  ) throws(AdapterError) -> [AdapterSnapshot.Group] {
    let slots = adapterSlots()
    let outcome: Result<[AdapterSnapshot.Group], AdapterError> = Attachment.exclusively {
      let names = Attachment.names(slots)
      let wanted = Set(selections.flatMap(\.strengths.keys))
      for name in wanted.sorted() where !names.contains(name) {
        return .failure(.unknownAdapter(name, available: names))
      }
      let merged = Attachment.mergedNames(slots)
      if !merged.isEmpty { return .failure(.merged(adapters: merged)) }
      for selection in selections {
        if let error = selection.strengthError(slots) { return .failure(error) }
      }
      return .success(
        selections.map { selection in
          Dictionary(
            slots.map { slot in
              (ObjectIdentifier(slot), slot.withState { $0.active(selection.strengths) })
            }, uniquingKeysWith: { first, _ in first })
        })
    }
    return try outcome.get()
  }
}
