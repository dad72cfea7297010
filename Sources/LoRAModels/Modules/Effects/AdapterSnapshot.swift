public import LoRAAutograd
import LoRATensor

/// The adapters of one model that apply to one pass: resolved when it starts, and not changed by
/// what other tasks attach, swap or enable meanwhile.
struct AdapterSnapshot: Sendable {
  /// What applies to one group of rows. Every slot of the model is in it, also those without an
  /// adapter: a slot that is not belongs to another model.
  typealias Group = [ObjectIdentifier: [ActiveAdapter]]

  /// What is chosen for some rows of the batch, or for all.
  let groups: [Group]
  /// The group of each row of the batch; nil if there is one choice for all.
  let groupOfRow: [Int]?
  /// The rows of each group, ascending.
  private let rowsOfGroup: [[Int]]

  /// One choice for every row.
  init(_ group: Group) {
    groups = [group]
    groupOfRow = nil
    rowsOfGroup = []
  }

  init(groups: [Group], groupOfRow: [Int]) {
    // A batch without rows has nothing to choose; it passes as one without adapters.
    self.groups = groups.isEmpty ? [[:]] : groups
    self.groupOfRow = groupOfRow
    rowsOfGroup = groups.indices.map { index in
      groupOfRow.indices.filter { groupOfRow[$0] == index }
    }
  }

  /// The choices of passes that go on together, one row of a batch each.
  init(joining snapshots: [AdapterSnapshot]) {
    var distinct: [Group] = []
    let groupOfRow = snapshots.map { snapshot in
      let group = snapshot.groups[0]
      if let known = distinct.firstIndex(where: { Self.areSame($0, group) }) { return known }
      distinct.append(group)
      return distinct.count - 1
    }
    self.init(groups: distinct, groupOfRow: groupOfRow)
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

  /// What one group has, as the choice of a pass of its own.
  func only(group: Int) -> AdapterSnapshot { AdapterSnapshot(groups[group]) }

  /// What `row` of the batch has, as the choice of a pass of its own.
  func only(row: Int) -> AdapterSnapshot {
    guard let groupOfRow else { return self }
    require(
      row < groupOfRow.count, "row \(row) where adapters were chosen for \(groupOfRow.count)")
    return only(group: groupOfRow[row])
  }

  /// What `slot` contributes; nil for one of another model.
  func contribution(of slot: AdapterSlot) -> AdapterSlot.Contribution? {
    let id = ObjectIdentifier(slot)
    guard let groupOfRow, groups.count > 1 else {
      guard let chosen = groups[0][id] else { return nil }
      return chosen.isEmpty ? AdapterSlot.Contribution.none : .adapters(chosen)
    }
    var isUsed = false
    var parts: [RowAdapters.Part] = []
    for (index, group) in groups.enumerated() {
      guard let chosen = group[id] else { return nil }
      isUsed = isUsed || !chosen.isEmpty
      parts.append(RowAdapters.Part(adapters: chosen, rows: rowsOfGroup[index]))
    }
    return isUsed
      ? .rows(RowAdapters(parts: parts, rowCount: groupOfRow.count)) : AdapterSlot.Contribution.none
  }
}

/// What applies to the rows of a batch at one slot.
struct RowAdapters: Sendable {
  struct Part: Sendable {
    let adapters: [ActiveAdapter]
    /// The rows of the batch, ascending.
    let rows: [Int]
  }

  let parts: [Part]
  let rowCount: Int

  /// Traps unless `shape` is that of a batch of as many rows: whoever permutes or splits a batch
  /// must choose its adapters again.
  func check(_ shape: Shape) {
    require(
      shape.count >= 2 && shape[0] == rowCount,
      "withAdapters(rows:) chose adapters for \(rowCount) rows, and a layer's input is \(shape); rows "
        + "must keep their places in the first extent: choose again for what is permuted or split")
  }
}

extension RowAdapters {
  /// What the groups of rows add to a layer's output, if all of it is of low rank; nil if something
  /// else is among it, a bias of B, or dropout.
  ///
  /// - Parameter positions: how many rows of a matrix each row of the batch is.
  func lowRankParts(positions: Int) -> [LowRankRows]? {
    var result: [LowRankRows] = []
    for part in parts where !part.adapters.isEmpty {
      var terms: [LowRankTerm] = []
      for item in part.adapters {
        guard case .lowRank(let effect) = item.adapter.effect, effect.bias == nil, !effect.drops
        else { return nil }
        terms += effect.terms(strength: item.strength)
      }
      var ranges: [Range<Int>] = []
      for row in part.rows {
        let start = row * positions
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
  /// Computes `body` for the rows of `x` that have the same adapters, each group on its own, and
  /// puts the results together in the rows' order; all at once where the rows do not differ here.
  ///
  /// What a module calls that reads its parameters through the slot; ``LinearLayer`` does better
  /// where adapters are of low rank.
  public func grouped(_ x: Variable, _ body: (Variable) -> Variable) -> Variable {
    grouped(shape: x.shape) { rows in
      guard let rows else { return body(x) }
      return body(.concatenated(rows.map { x.sliced(axis: 0, $0..<$0 + 1) }))
    }
  }

  /// Calls `body` with nil for all rows, or once for each group of rows with its own adapters bound.
  func grouped(shape: Shape, _ body: (_ rows: [Int]?) -> Variable) -> Variable {
    guard case .rows(let assignment) = contribution(), let snapshot = AdapterScope.current else {
      return body(nil)
    }
    assignment.check(shape)
    var results: [Variable?] = Array(repeating: nil, count: assignment.rowCount)
    for (group, part) in assignment.parts.enumerated() where !part.rows.isEmpty {
      let y = AdapterScope.$current.withValue(snapshot.only(group: group)) { body(part.rows) }
      for (index, row) in part.rows.enumerated() {
        results[row] = y.sliced(axis: 0, index..<index + 1)
      }
    }
    return .concatenated(results.compactMap { $0 })
  }
}
