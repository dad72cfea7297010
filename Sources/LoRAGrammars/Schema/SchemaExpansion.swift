/// What a set of schemas that all hold comes to: one of several sets of plain requirements.
///
/// `$ref` and `allOf` add schemas to a set, `anyOf` and `oneOf` divide it into alternatives. In
/// what results, a node stands for its own keywords alone.
struct SchemaExpansion {
  /// More alternatives than this are refused.
  static let mostAlternatives = 2_000

  /// Two alternatives of a `oneOf`, of which not both may hold.
  struct Exclusion {
    /// The `oneOf`.
    var node: Int
    /// The alternative of a set of requirements, and the other one.
    var chosen: Int
    var other: Int
  }

  /// One way to fulfil the schemas.
  struct Alternative {
    /// Ascending, without those that require nothing.
    var nodes: [Int] = []
    var exclusions: [Exclusion] = []
  }

  private struct Branch {
    /// Schemas still to be read, each with those that led to it.
    var pending: [(node: Int, path: [Int])]
    var nodes: Set<Int> = []
    var exclusions: [Exclusion] = []
  }

  static func alternatives(
    of set: [Int], in nodes: [SchemaNode]
  ) throws(ConstraintError) -> [Alternative] {
    var finished: [Alternative] = []
    var branches = [Branch(pending: set.reversed().map { ($0, []) })]
    branches: while var branch = branches.popLast() {
      while let (number, path) = branch.pending.popLast() {
        let node = nodes[number]
        if path.contains(number) { throw circle(node.place) }
        guard branch.nodes.insert(number).inserted else { continue }
        let path = path + [number]
        branch.pending += node.all.reversed().map { ($0, path) }
        guard !node.any.isEmpty || !node.one.isEmpty else { continue }
        branches += divided(branch, by: node, number: number, path: path)
        guard branches.count + finished.count <= mostAlternatives else {
          throw ConstraintError(
            .tooLarge, place: node.place,
            expected: "at most \(mostAlternatives) combinations of alternatives", found: "more",
            advice: "use fewer anyOf and oneOf side by side")
        }
        continue branches
      }
      if branch.nodes.contains(where: { nodes[$0].isNever }) { continue }
      finished.append(
        Alternative(
          nodes: branch.nodes.filter { !nodes[$0].isTrivial }.sorted(),
          exclusions: branch.exclusions))
    }
    return finished
  }

  /// A branch for each combination of the alternatives of a node's groups; the first comes last, so
  /// that it is taken first.
  private static func divided(
    _ branch: Branch, by node: SchemaNode, number: Int, path: [Int]
  ) -> [Branch] {
    var branches = [branch]
    func divide(_ group: [Int], isExclusive: Bool) {
      guard branches.count * group.count <= 2 * mostAlternatives else {
        // Too many; the caller counts them.
        branches = [Branch](repeating: branch, count: mostAlternatives + 1)
        return
      }
      branches = branches.flatMap { branch in
        group.reversed().map { choice in
          var branch = branch
          branch.pending.append((choice, path))
          if isExclusive {
            branch.exclusions += group.filter { $0 != choice }
              .map { Exclusion(node: number, chosen: choice, other: $0) }
          }
          return branch
        }
      }
    }
    for group in node.any { divide(group, isExclusive: false) }
    for group in node.one { divide(group, isExclusive: true) }
    return branches
  }

  private static func circle(_ place: String) -> ConstraintError {
    ConstraintError(
      .malformed, place: place, expected: "references that lead to a value",
      found: "a schema that refers to itself without an object or an array in between",
      advice: "remove the reference")
  }
}
