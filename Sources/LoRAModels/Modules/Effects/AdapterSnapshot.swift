public import LoRAAutograd
import LoRATensor

/// The adapters of one model that apply to one pass: resolved when it starts, and not changed by
/// what other tasks attach, swap or enable meanwhile.
struct AdapterSnapshot: Sendable {
  /// What applies to one group of items. Every slot of the model is in it, also those without an
  /// adapter: a slot that is not belongs to another model.
  typealias Group = [ObjectIdentifier: [ActiveAdapter]]

  /// What is chosen for some items of the batch, or for all.
  let groups: [Group]
  /// The group of each item of the batch; nil if there is one choice for all.
  let groupOfItem: [Int]?
  /// The items of each group, ascending.
  private let itemsOfGroup: [[Int]]

  /// One choice for every item.
  init(_ group: Group) {
    groups = [group]
    groupOfItem = nil
    itemsOfGroup = []
  }

  init(groups: [Group], groupOfItem: [Int]) {
    // A batch without items has nothing to choose; it passes as one without adapters.
    self.groups = groups.isEmpty ? [[:]] : groups
    self.groupOfItem = groupOfItem
    itemsOfGroup = groups.indices.map { index in
      groupOfItem.indices.filter { groupOfItem[$0] == index }
    }
  }

  /// The choices of passes that go on together, one item of a batch each.
  init(joining snapshots: [AdapterSnapshot]) {
    var distinct: [Group] = []
    let groupOfItem = snapshots.map { snapshot in
      let group = snapshot.groups[0]
      if let known = distinct.firstIndex(where: { Self.areSame($0, group) }) { return known }
      distinct.append(group)
      return distinct.count - 1
    }
    self.init(groups: distinct, groupOfItem: groupOfItem)
  }

  /// Whether two choices are the same adapters, of the same versions, at the same strengths.
  private static func areSame(_ a: Group, _ b: Group) -> Bool {
    guard a.count == b.count else { return false }
    return a.allSatisfy { slot, adapters in
      guard let others = b[slot], others.count == adapters.count else { return false }
      return zip(adapters, others).allSatisfy {
        $0.adapter === $1.adapter && $0.strength == $1.strength
      }
    }
  }

  /// Whether another choice for all items is the same adapters at the same strengths.
  func isSame(as other: AdapterSnapshot) -> Bool {
    groupOfItem == nil && other.groupOfItem == nil && Self.areSame(groups[0], other.groups[0])
  }

  /// The adapters of all groups, slot by slot in an order of their own.
  var adapters: [any LinearAdapter] {
    groups.flatMap { group in
      group.sorted { $0.key < $1.key }.flatMap { $0.value.map(\.adapter) }
    }
  }

  /// What one group has, as the choice of a pass of its own.
  func only(group: Int) -> AdapterSnapshot { AdapterSnapshot(groups[group]) }

  /// What `item` of the batch has, as the choice of a pass of its own.
  func only(item: Int) -> AdapterSnapshot {
    guard let groupOfItem else { return self }
    require(
      item < groupOfItem.count, "item \(item) where adapters were chosen for \(groupOfItem.count)")
    return only(group: groupOfItem[item])
  }

  /// What `slot` contributes; nil for one of another model.
  func contribution(of slot: AdapterSlot) -> AdapterSlot.Contribution? {
    let id = ObjectIdentifier(slot)
    guard let groupOfItem, groups.count > 1 else {
      guard let chosen = groups[0][id] else { return nil }
      return chosen.isEmpty ? AdapterSlot.Contribution.none : .adapters(chosen)
    }
    var isUsed = false
    var parts: [ItemAdapters.Part] = []
    for (index, group) in groups.enumerated() {
      guard let chosen = group[id] else { return nil }
      isUsed = isUsed || !chosen.isEmpty
      parts.append(ItemAdapters.Part(adapters: chosen, items: itemsOfGroup[index]))
    }
    return isUsed
      ? .items(ItemAdapters(parts: parts, itemCount: groupOfItem.count))
      : AdapterSlot.Contribution.none
  }
}

/// What applies to the items of a batch at one slot.
struct ItemAdapters: Sendable {
  struct Part: Sendable {
    let adapters: [ActiveAdapter]
    /// The items of the batch, ascending.
    let items: [Int]
  }

  let parts: [Part]
  let itemCount: Int

  /// Traps unless `shape` is that of a batch of as many items: whoever permutes or splits a batch
  /// must choose its adapters again.
  func check(_ shape: Shape) {
    require(
      shape.count >= 2 && shape[0] == itemCount,
      "withAdapters(perItem:) chose adapters for \(itemCount) items, and a layer's input is \(shape); items "
        + "must keep their places in the first extent: choose again for what is permuted or split")
  }
}

extension ItemAdapters {
  /// What the groups of items add to a layer's output, if all of it is of low rank; nil if something
  /// else is among it, a bias of B, or dropout.
  ///
  /// - Parameter positions: how many rows of a matrix each item of the batch is.
  func lowRankParts(positions: Int) -> [LowRankRows]? {
    var result: [LowRankRows] = []
    for part in parts where !part.adapters.isEmpty {
      var terms: [LowRankTerm] = []
      for active in part.adapters {
        guard case .lowRank(let effect) = active.adapter.effect, effect.bias == nil, !effect.drops
        else { return nil }
        terms += effect.terms(strength: active.strength)
      }
      var ranges: [Range<Int>] = []
      for item in part.items {
        let start = item * positions
        if let last = ranges.last, last.upperBound == start {
          ranges[ranges.count - 1] = last.lowerBound..<start + positions
        } else {
          ranges.append(start..<start + positions)
        }
      }
      result.append(LowRankRows(rows: ranges, terms: terms))
    }
    return result
  }
}

/// The snapshot of the pass that runs in this task.
enum AdapterScope {
  @TaskLocal static var current: AdapterSnapshot?
}

extension AdapterSlot {
  /// Computes `body` for the items of `x` that have the same adapters, each group on its own, and
  /// puts the results together in the items' order; all at once where the items do not differ here.
  ///
  /// What a module calls that reads its parameters through the slot; ``LinearLayer`` does better
  /// where adapters are of low rank.
  public func grouped(_ x: Variable, _ body: (Variable) -> Variable) -> Variable {
    grouped(shape: x.shape) { items in
      guard let items else { return body(x) }
      return body(.concatenated(items.map { x.sliced(axis: 0, $0..<$0 + 1) }))
    }
  }

  /// The same where items differ at any of `slots`: for a module that mixes the tokens of items before
  /// it calls layers.
  static func grouped(
    _ x: Variable, among slots: @autoclosure () -> [AdapterSlot], _ body: (Variable) -> Variable
  ) -> Variable {
    guard AdapterScope.current?.groupOfItem != nil else { return body(x) }
    let differing = slots().first { slot in
      if case .items = slot.contribution() { true } else { false }
    }
    return differing?.grouped(x, body) ?? body(x)
  }

  /// Calls `body` with nil for all items, or once for each group of items with its own adapters
  /// bound.
  func grouped(shape: Shape, _ body: (_ items: [Int]?) -> Variable) -> Variable {
    guard case .items(let assignment) = contribution(), let snapshot = AdapterScope.current else {
      return body(nil)
    }
    assignment.check(shape)
    var results: [Variable?] = Array(repeating: nil, count: assignment.itemCount)
    for (group, part) in assignment.parts.enumerated() where !part.items.isEmpty {
      let y = AdapterScope.$current.withValue(snapshot.only(group: group)) { body(part.items) }
      for (index, item) in part.items.enumerated() {
        results[item] = y.sliced(axis: 0, index..<index + 1)
      }
    }
    return .concatenated(results.compactMap { $0 })
  }
}
