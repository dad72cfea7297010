/// A regular expression over the code points of UTF-8: of a tokenizer, or of PEFT's configurations.
///
/// It understands what its ``Dialect`` and automata have in common: literals, classes, groups,
/// alternation, greedy, lazy and possessive repetition, lookahead, lookbehind of a fixed width and
/// anchors. Everything else is refused when the pattern is read, by name and place; nothing is taken
/// for something else.
///
/// Matching is leftmost and by priority, as in Perl, and takes time linear in the text whatever the
/// pattern: it backtracks as long as that is cheap (``RegularExpression/match(_:at:attempt:)``) and
/// works out all places at once where it is not (``ThoroughSearch``). Neither recurses with the
/// text.
package struct RegularExpression: Sendable {
  /// Whose syntax and classes hold.
  package enum Dialect: Sendable {
    /// Onigmo with Ruby's syntax, which Hugging Face's `tokenizers` uses.
    case onigmo
    /// Python's `re` for `str`, as of 3.11.
    case python
  }

  enum Instruction: Sendable {
    /// Consumes one code point of the set.
    case one(Int)
    /// Consumes `least...most` code points of the set, as many as there are; gives back if allowed.
    case many(Int, least: Int, most: Int, givesBack: Bool)
    /// Goes on at the first, and at the second if that fails.
    case either(Int, Int)
    case jump(Int)
    /// Tries what follows up to its `.matched`; goes on at `then` from the same place.
    case look(isPositive: Bool, then: Int)
    /// The same, from `width` code points before. Counted from 0 by `index`.
    case behind(index: Int, width: Int, isPositive: Bool, then: Int)
    /// The same, but goes on behind what was matched.
    case atomic(index: Int, then: Int, canBeEmpty: Bool)
    case assertion(Assertion)
    /// A turn begins of a repetition of what can be empty, `level` of them around it.
    case turn(level: Int)
    /// That turn ends: goes on at `again` if it consumed anything, else at `exit`. More empty turns
    /// would change nothing.
    case turned(level: Int, again: Int, exit: Int)
    /// The group that was asked for begins or ends here.
    case mark(isEnd: Bool)
    case matched
  }

  package let pattern: String
  var program: [Instruction] = []
  /// Of each instruction, how many repetitions of what can be empty are around it.
  var levels: [Int] = []
  private(set) var sets: [CodePointSet] = []
  var behindCount = 0
  var atomicCount = 0
  /// The number of the group whose text is asked for.
  let captured: Int?

  /// Compiles a pattern; `message` of the error says what is not understood, and where.
  ///
  /// - Parameters:
  ///   - pattern: the pattern in the syntax of `dialect`.
  ///   - dialect: whose syntax that is.
  ///   - matchesWhole: whether a match must reach the end of the text, as of `re.fullmatch`.
  ///   - group: the group whose text ``group(in:)`` gives.
  package init(
    _ pattern: String, dialect: Dialect = .onigmo, matchesWhole: Bool = false,
    group: String? = nil
  ) throws(RegularExpressionError) {
    self.pattern = pattern
    let tree: PatternNode
    switch dialect {
    case .onigmo:
      var parser = OnigmoParser(pattern)
      tree = try parser.parse()
      captured = nil
    case .python:
      var parser = PythonParser(pattern)
      tree = try parser.parse()
      captured = group.flatMap { parser.groups[$0] }
    }
    try emit(tree, level: 0)
    if matchesWhole { append(.assertion(.textEnd), level: 0) }
    append(.matched, level: 0)
    try checkSize()
  }

  mutating func append(_ instruction: Instruction, level: Int) {
    program.append(instruction)
    levels.append(level)
  }

  mutating func index(of set: CodePointSet) -> Int {
    if let known = sets.firstIndex(of: set) { return known }
    sets.append(set)
    return sets.count - 1
  }
}

/// What a pattern has that is not understood.
package struct RegularExpressionError: Error {
  /// What it is.
  package var what: String
  /// Where, in code points from 0; nil where the whole pattern is meant.
  package var place: Int?

  /// What it is, and where.
  package var message: String { place.map { "\(what) at character \($0)" } ?? what }
}
