internal import LoRAPatterns

extension TextAutomaton {
  /// The texts in which a pattern is found, or which it matches as a whole.
  init(pattern: String, isSearch: Bool, place: String) throws(ConstraintError) {
    let tree: PatternTree
    do {
      tree = try PatternTree(parsing: pattern)
    } catch {
      throw ConstraintError(
        .unsupported, place: place,
        expected: "literals, classes, groups, alternation, repetition, ^ and $",
        found: "\(error.message) in \"\(pattern)\"",
        advice: "correct the pattern, or write it without that")
    }
    self = try PatternNetwork(tree, isSearch: isSearch, place: place).automaton(place: place)
  }
}
