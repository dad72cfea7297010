/// Reads the syntax that Onigmo has by default (Ruby's).
struct OnigmoParser {
  private let scalars: [Unicode.Scalar]
  private var index = 0
  private var ignoresCase = false
  private var depth = 0

  init(_ pattern: String) { scalars = Array(pattern.unicodeScalars) }

  mutating func parse() throws(RegularExpressionError) -> PatternNode {
    if starts(with: "(?i)") {
      index += 4
      ignoresCase = true
    }
    let node = try alternation()
    guard index == scalars.count else { throw failure("an unmatched \")\"") }
    return node
  }

  private func failure(_ what: String) -> RegularExpressionError {
    RegularExpressionError(what: what, place: index)
  }

  private var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  private func starts(with text: String) -> Bool {
    scalars[index...].starts(with: text.unicodeScalars)
  }

  private mutating func skip(_ text: String) -> Bool {
    guard starts(with: text) else { return false }
    index += text.unicodeScalars.count
    return true
  }

  private mutating func alternation() throws(RegularExpressionError) -> PatternNode {
    var branches: [PatternNode] = []
    repeat { branches.append(try sequence()) } while skip("|")
    return branches.count == 1 ? branches[0] : .alternation(branches)
  }

  private mutating func sequence() throws(RegularExpressionError) -> PatternNode {
    var nodes: [PatternNode] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      nodes.append(try quantified(try atom()))
    }
    return nodes.count == 1 ? nodes[0] : .sequence(nodes)
  }

  private mutating func quantified(
    _ node: PatternNode
  ) throws(RegularExpressionError) -> PatternNode {
    var node = node
    let range: (least: Int, most: Int)
    var isInterval = false
    switch next {
    case "*": range = (0, .max)
    case "+": range = (1, .max)
    case "?": range = (0, 1)
    case "{":
      guard let interval = try interval() else { return node }
      range = interval
      isInterval = true
    default: return node
    }
    if !isInterval { index += 1 }
    if skip("?") {
      if isInterval, range.least == range.most { throw failure("a lazy fixed repetition") }
      node = .repeated(node, least: range.least, most: range.most, .lazy)
    } else if !isInterval, skip("+") {
      node = .repeated(node, least: range.least, most: range.most, .possessive)
    } else {
      node = .repeated(node, least: range.least, most: range.most, .greedy)
      // Ruby has no possessive interval: x{1,3}+ repeats x{1,3}.
      if isInterval, skip("+") { node = .repeated(node, least: 1, most: .max, .greedy) }
    }
    if let scalar = next, "*+?".unicodeScalars.contains(scalar) {
      throw failure("a repetition of a repetition")
    }
    return node
  }

  private mutating func interval() throws(RegularExpressionError) -> (Int, Int)? {
    let start = index
    guard let close = scalars[index...].firstIndex(of: "}") else {
      throw failure("\"{\" without \"}\"")
    }
    let text = String(String.UnicodeScalarView(scalars[(index + 1)..<close]))
    index = close + 1
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.map { Int($0) }
    if parts.count == 1, let number = numbers[0], (0...1000).contains(number) {
      return (number, number)
    }
    if parts.count == 2, parts[0].isEmpty || numbers[0] != nil,
      parts[1].isEmpty || numbers[1] != nil,
      text != ","
    {
      let (least, most) = (numbers[0] ?? 0, numbers[1] ?? .max)
      if (0...1000).contains(least), least <= most, most <= 1000 || most == .max {
        return (least, most)
      }
    }
    index = start
    throw failure("the repetition {\(text)}")
  }

  private mutating func atom() throws(RegularExpressionError) -> PatternNode {
    guard let scalar = next else { throw failure("the end of the pattern") }
    switch scalar {
    case "(": return try group()
    case "[": return .set(try characterClass())
    case ".":
      index += 1
      var set = CodePointSet()
      set.insert(0x0A...0x0A)
      set.finish(negated: true)
      return .set(set)
    case "^":
      index += 1
      return .assertion(.lineStart(isRuby: true))
    case "$":
      index += 1
      return .assertion(.lineEnd)
    case "*", "+", "?": throw failure("a repetition of nothing")
    case "\\":
      if skip("\\A") { return .assertion(.textStart) }
      if skip("\\z") { return .assertion(.textEnd) }
      for (escape, isPositive) in [("\\b", true), ("\\B", false)] where skip(escape) {
        return .assertion(.rubyWordBoundary(isPositive: isPositive))
      }
      var set = CodePointSet()
      try escape(into: &set)
      return .set(try finished(set))
    default:
      index += 1
      var set = CodePointSet()
      set.insert(scalar.value...scalar.value)
      return .set(try finished(set))
    }
  }

  private func finished(
    _ set: CodePointSet, negated: Bool = false
  ) throws(RegularExpressionError) -> CodePointSet {
    var set = set
    if ignoresCase, !set.ignoreCase() {
      throw failure("(?i) with more than letters of ASCII")
    }
    set.finish(negated: negated)
    return set
  }

  private mutating func group() throws(RegularExpressionError) -> PatternNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 50 else { throw failure("groups nested deeper than 50") }
    let outer = ignoresCase
    defer { ignoresCase = outer }
    var isPositive = true
    let kind: (PatternNode) -> PatternNode?
    if skip("(?:") {
      kind = { $0 }
    } else if skip("(?i:") {
      ignoresCase = true
      kind = { $0 }
    } else if skip("(?-i:") {
      ignoresCase = false
      kind = { $0 }
    } else if skip("(?=") {
      kind = { .look($0, isPositive: true) }
    } else if skip("(?!") {
      kind = { .look($0, isPositive: false) }
    } else if starts(with: "(?<=") || starts(with: "(?<!") {
      isPositive = skip("(?<=")
      if !isPositive { index += 4 }
      kind = { Self.behind($0, isPositive: isPositive) }
    } else if skip("(?>") {
      kind = { .atomic($0) }
    } else if starts(with: "(?") {
      throw failure("a group of a kind that is not supported")
    } else {
      index += 1
      kind = { $0 }
    }
    let node = try alternation()
    guard skip(")") else { throw failure("\"(\" without \")\"") }
    guard let result = kind(node) else { throw failure("a lookbehind without a fixed width") }
    return result
  }

  /// A lookbehind, whose alternatives may differ in width; nil if one of them has no fixed one.
  private static func behind(_ node: PatternNode, isPositive: Bool) -> PatternNode? {
    guard case .alternation(let branches) = node else {
      return node.fixedWidth.map { .behind(node, width: $0, isPositive: isPositive) }
    }
    var looks: [PatternNode] = []
    for branch in branches {
      guard let look = behind(branch, isPositive: isPositive) else { return nil }
      looks.append(look)
    }
    return isPositive ? .alternation(looks) : .sequence(looks)
  }

  private mutating func characterClass() throws(RegularExpressionError) -> CodePointSet {
    let (set, isNegated) = try classMembers()
    return try finished(set, negated: isNegated)
  }

  /// What a class holds, classes within it too, and whether it is negated.
  private mutating func classMembers() throws(RegularExpressionError) -> (
    set: CodePointSet, isNegated: Bool
  ) {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 50 else { throw failure("classes nested deeper than 50") }
    index += 1
    let isNegated = skip("^")
    var set = CodePointSet()
    var isFirst = true
    while true {
      guard let scalar = next else { throw failure("\"[\" without \"]\"") }
      if scalar == "]" {
        if isFirst { throw failure("an empty class") }
        index += 1
        return (set, isNegated)
      }
      if scalar == "[" {
        guard !starts(with: "[:"), !starts(with: "[^") else {
          throw failure("a class within a class that is named or negated")
        }
        set.formUnion(try classMembers().set)
        isFirst = false
        continue
      }
      if starts(with: "&&") { throw failure("an intersection of classes") }
      isFirst = false
      guard let low = try classMember(into: &set) else { continue }
      if next == "-", index + 1 < scalars.count, scalars[index + 1] != "]" {
        index += 1
        if next == "[" { throw failure("a class within a class") }
        var ignored = CodePointSet()
        guard let high = try classMember(into: &ignored), low <= high else {
          throw failure("a range of no characters")
        }
        set.insert(low...high)
      } else {
        set.insert(low...low)
      }
    }
  }

  /// One code point of a class, or nil if it was a set, which has then been inserted.
  private mutating func classMember(
    into set: inout CodePointSet
  ) throws(RegularExpressionError) -> UInt32? {
    guard let scalar = next else { throw failure("\"[\" without \"]\"") }
    guard scalar == "\\" else {
      index += 1
      return scalar.value
    }
    var escaped = CodePointSet()
    let code = try escape(into: &escaped)
    if code == nil { try escapeAgain(into: &set) }
    return code
  }

  private var lastEscape = 0

  private mutating func escapeAgain(
    into set: inout CodePointSet
  ) throws(RegularExpressionError) {
    index = lastEscape
    try escape(into: &set)
  }

  /// Reads an escape into `set`; its code point if it is a single one.
  @discardableResult
  private mutating func escape(
    into set: inout CodePointSet
  ) throws(RegularExpressionError) -> UInt32? {
    lastEscape = index
    index += 1
    guard let scalar = next else { throw failure("a backslash at the end") }
    index += 1
    let code: UInt32
    switch scalar {
    case "s", "S":
      set.insertWhiteSpace(scalar == "s")
      return nil
    case "d", "D":
      let mask = UnicodeClasses.mask(named: "Nd") ?? 0
      set.insert(categories: scalar == "d" ? mask : ~mask)
      return nil
    case "p", "P":
      var isNegated = scalar == "P"
      guard skip("{"), let close = scalars[index...].firstIndex(of: "}") else {
        throw failure("\\p without a name in braces")
      }
      if skip("^") { isNegated.toggle() }
      let name = String(String.UnicodeScalarView(scalars[index..<close]))
      guard let mask = UnicodeClasses.mask(named: name) else {
        throw failure("the property \\p{\(name)}")
      }
      index = close + 1
      set.insert(categories: isNegated ? ~mask : mask)
      return nil
    case "r": code = 0x0D
    case "n": code = 0x0A
    case "t": code = 0x09
    case "f": code = 0x0C
    case "v": code = 0x0B
    case "a": code = 0x07
    case "e": code = 0x1B
    case "u": code = try hexadecimal(4)
    case "x": code = try hexadecimal(2)
    default:
      guard !scalar.properties.isAlphabetic, !("0"..."9").contains(scalar) else {
        index -= 2
        throw failure("the escape \\\(scalar)")
      }
      code = scalar.value
    }
    set.insert(code...code)
    return code
  }

  private mutating func hexadecimal(_ count: Int) throws(RegularExpressionError) -> UInt32 {
    let digits: String
    if skip("{"), let close = scalars[index...].firstIndex(of: "}") {
      digits = String(String.UnicodeScalarView(scalars[index..<close]))
      index = close + 1
    } else {
      digits = String(String.UnicodeScalarView(scalars[index...].prefix(count)))
      guard digits.unicodeScalars.count == count else { throw failure("an escape cut short") }
      index += count
    }
    guard let code = UInt32(digits, radix: 16), Unicode.Scalar(code) != nil else {
      throw failure("the code point \(digits)")
    }
    return code
  }
}
