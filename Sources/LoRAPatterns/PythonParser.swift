/// Reads the syntax of Python's `re` for `str`, as version 3.11 has it, and refuses what that refuses.
///
/// What Python has and automata have not is refused too: references to groups, and conditions on
/// them.
struct PythonParser {
  struct Flags {
    var ignoresCase = false
    var isMultiline = false
    var dotIsAll = false
    var isVerbose = false
    var isASCII = false

    /// How sets compare under these flags.
    var folding: CodePointSet.Folding {
      ignoresCase ? isASCII ? .pythonASCII : .python : .none
    }
  }

  /// What a quantifier asks of the item before it.
  private enum Kind { case item, assertion, repetition }

  let scalars: [Unicode.Scalar]
  var index = 0
  var flags = Flags()
  /// The numbers of named groups.
  private(set) var groups: [String: Int] = [:]
  private var groupCount = 0
  private var depth = 0

  init(_ pattern: String) { scalars = Array(pattern.unicodeScalars) }

  mutating func parse() throws(RegularExpressionError) -> PatternNode {
    let node = try alternation(isTop: true)
    guard index == scalars.count else { throw failure("an unbalanced parenthesis") }
    return node
  }

  // MARK: Reading

  func failure(_ what: String, at place: Int? = nil) -> RegularExpressionError {
    RegularExpressionError(what: what, place: place ?? index)
  }

  var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  func starts(with text: String) -> Bool {
    scalars[index...].starts(with: text.unicodeScalars)
  }

  mutating func skip(_ text: String) -> Bool {
    guard starts(with: text) else { return false }
    index += text.unicodeScalars.count
    return true
  }

  /// The digits of `alphabet` that come next, at most `most`.
  mutating func digits(_ alphabet: String = "0123456789", most: Int = .max) -> String {
    var text = String.UnicodeScalarView()
    while let scalar = next, text.count < most, alphabet.unicodeScalars.contains(scalar) {
      text.append(scalar)
      index += 1
    }
    return String(text)
  }

  // MARK: Sequences

  private mutating func alternation(
    isTop: Bool = false
  ) throws(RegularExpressionError) -> PatternNode {
    var branches = [try sequence(mayStartWithFlags: isTop)]
    while skip("|") { branches.append(try sequence(mayStartWithFlags: false)) }
    return branches.count == 1 ? branches[0] : .alternation(branches)
  }

  private mutating func sequence(
    mayStartWithFlags: Bool
  ) throws(RegularExpressionError) -> PatternNode {
    var items: [(node: PatternNode, kind: Kind)] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      if flags.isVerbose, skipComment(scalar) { continue }
      let place = index
      if let (least, most) = try quantifier() {
        guard let last = items.popLast() else {
          throw failure("a repetition of nothing", at: place)
        }
        switch last.kind {
        case .item: break
        case .assertion: throw failure("a repetition of an anchor", at: place)
        case .repetition: throw failure("a repetition of a repetition", at: place)
        }
        let kind: PatternNode.Repetition =
          skip("?") ? .lazy : skip("+") ? .possessive : .greedy
        items.append((repeated(last.node, least, most, kind), .repetition))
      } else if scalar == "(" {
        if let node = try group(mayBeFlags: mayStartWithFlags && items.isEmpty) {
          items.append((node, .item))
        }
      } else {
        let node = try atom()
        if case .assertion = node {
          items.append((node, .assertion))
        } else {
          items.append((node, .item))
        }
      }
    }
    return items.count == 1 ? items[0].node : .sequence(items.map(\.node))
  }

  private func repeated(
    _ node: PatternNode, _ least: Int, _ most: Int, _ kind: PatternNode.Repetition
  ) -> PatternNode {
    guard kind == .possessive, least > 1, least <= 1_000 else {
      return .repeated(node, least: least, most: most, kind)
    }
    if case .set = node { return .repeated(node, least: least, most: most, kind) }
    // In Python each turn that must be there is possessive by itself: (?:a|ab){2}+ fails on "aba".
    let turns = [PatternNode](repeating: .atomic(node), count: least)
    let rest = PatternNode.repeated(
      node, least: 0, most: most == .max ? .max : most - least, .greedy)
    return .atomic(.sequence(turns + [rest]))
  }

  /// Skips what `(?x)` ignores.
  private mutating func skipComment(_ scalar: Unicode.Scalar) -> Bool {
    if " \t\n\r\u{0B}\u{0C}".unicodeScalars.contains(scalar) {
      index += 1
      return true
    }
    guard scalar == "#" else { return false }
    while let scalar = next {
      index += 1
      if scalar == "\n" { break }
    }
    return true
  }

  /// A quantifier; nil where none stands, or a brace that stands for itself.
  private mutating func quantifier() throws(RegularExpressionError) -> (least: Int, most: Int)? {
    let start = index
    if skip("*") { return (0, .max) }
    if skip("+") { return (1, .max) }
    if skip("?") { return (0, 1) }
    guard skip("{"), next != "}" else {
      index = start
      return nil
    }
    let low = digits()
    var high = low
    if skip(",") { high = digits() }
    guard skip("}") else {
      index = start
      return nil
    }
    let (least, most) = (low.isEmpty ? 0 : Int(low), high.isEmpty ? .max : Int(high))
    guard let least, let most, least <= 20_000, most <= 20_000 || most == .max else {
      throw failure("a repetition of more than 20000", at: start)
    }
    guard least <= most else {
      throw failure("a repetition whose minimum is above its maximum", at: start)
    }
    return (least, most)
  }

  private mutating func atom() throws(RegularExpressionError) -> PatternNode {
    guard let scalar = next else { throw failure("the end of the pattern") }
    index += 1
    switch scalar {
    case "^": return .assertion(flags.isMultiline ? .lineStart(isRuby: false) : .textStart)
    case "$": return .assertion(flags.isMultiline ? .lineEnd : .lastLineEnd)
    case ".":
      var set = CodePointSet()
      if !flags.dotIsAll { set.insert(0x0A) }
      set.finish(negated: true)
      return .set(set)
    case "[": return .set(try characterClass())
    case "\\": return try escape()
    default: return .set(literal(scalar.value))
    }
  }

  func literal(_ code: UInt32) -> CodePointSet {
    var set = CodePointSet()
    set.insert(code)
    set.finish(folding: flags.folding)
    return set
  }

  // MARK: Groups

  /// A group; nil for a comment and for flags of the whole pattern.
  private mutating func group(
    mayBeFlags: Bool
  ) throws(RegularExpressionError) -> PatternNode? {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 50 else { throw failure("groups nested deeper than 50") }
    let start = index
    let outer = flags
    index += 1
    guard skip("?") else {
      groupCount += 1
      let number = groupCount
      return .group(try inside(from: start, outer), number: number)
    }
    if skip("#") {
      guard let close = scalars[index...].firstIndex(of: ")") else {
        throw failure("a comment without an end", at: start)
      }
      index = close + 1
      return nil
    }
    if skip(":") { return try inside(from: start, outer) }
    if skip(">") { return .atomic(try inside(from: start, outer)) }
    if skip("=") { return .look(try inside(from: start, outer), isPositive: true) }
    if skip("!") { return .look(try inside(from: start, outer), isPositive: false) }
    if starts(with: "<=") || starts(with: "<!") {
      let isPositive = starts(with: "<=")
      index += 2
      let node = try inside(from: start, outer)
      guard let width = node.fixedWidth else {
        throw failure("a lookbehind without a fixed width", at: start)
      }
      return .behind(node, width: width, isPositive: isPositive)
    }
    if skip("P<") {
      let name = try name(until: ">")
      groupCount += 1
      let number = groupCount
      guard groups.updateValue(number, forKey: name) == nil else {
        throw failure("a second group called \"\(name)\"", at: start)
      }
      return .group(try inside(from: start, outer), number: number)
    }
    if starts(with: "P=") { throw failure("a reference to a group, (?P=...),", at: start) }
    if starts(with: "(") { throw failure("a condition on a group, (?(...)...),", at: start) }
    guard try readFlags(from: start) else {
      guard mayBeFlags else {
        throw failure("flags of the whole pattern that do not start it", at: start)
      }
      return nil
    }
    return try inside(from: start, outer)
  }

  /// The rest of a group that began at `start`; `outer` are the flags behind it.
  private mutating func inside(
    from start: Int, _ outer: Flags
  ) throws(RegularExpressionError) -> PatternNode {
    defer { flags = outer }
    let node = try alternation()
    guard skip(")") else { throw failure("a group without an end", at: start) }
    return node
  }

  private mutating func name(until end: Unicode.Scalar) throws(RegularExpressionError) -> String {
    let start = index
    guard let close = scalars[index...].firstIndex(of: end) else {
      throw failure("a group's name without an end")
    }
    index = close + 1
    let name = scalars[start..<close]
    let isIdentifier = name.enumerated().allSatisfy { place, scalar in
      scalar == "_"
        || (place == 0 ? scalar.properties.isIDStart : scalar.properties.isIDContinue)
    }
    guard isIdentifier, !name.isEmpty else { throw failure("a group's name", at: start) }
    return String(String.UnicodeScalarView(name))
  }

  /// Reads flags behind "(?", up to a ")", or a ":" where they hold inside of the group: true.
  private mutating func readFlags(from start: Int) throws(RegularExpressionError) -> Bool {
    var changed = flags
    var isOff = false
    var isEmpty = true
    var kinds = 0
    while let scalar = next {
      index += 1
      switch scalar {
      case "i": changed.ignoresCase = !isOff
      case "m": changed.isMultiline = !isOff
      case "s": changed.dotIsAll = !isOff
      case "x": changed.isVerbose = !isOff
      case "a" where !isOff && kinds == 0, "u" where !isOff && kinds == 0:
        changed.isASCII = scalar == "a"
        kinds += 1
      case "-" where !isOff:
        isOff = true
        isEmpty = true
        continue
      case ")" where !isOff && !isEmpty:
        flags = changed
        return false
      case ":" where !isEmpty:
        flags = changed
        return true
      default: throw failure("a group of a kind that is not supported", at: start)
      }
      isEmpty = false
    }
    throw failure("a group without an end", at: start)
  }
}
