/// A pattern as a tree over sets of code points, for what builds an automaton of its own.
///
/// It is read strictly: a text that it describes matches under Python's `re`, whether or not with
/// `re.ASCII`, and under ECMA-262. Where these differ about a character (`\d` beyond ASCII, a line
/// separator for `.`), the set holds what all take; `$` is the end of the text alone.
package indirect enum PatternTree: Sendable {
  /// One code point of these ascending, disjoint ranges.
  case set([ClosedRange<UInt32>])
  case sequence([PatternTree])
  case alternation([PatternTree])
  /// `most` is `Int.max` where there is no limit.
  case repeated(PatternTree, least: Int, most: Int)
  case textStart, textEnd

  /// Reads a pattern in the syntax of Python's `re`.
  ///
  /// Whatever looks around itself is refused by name: lookahead, lookbehind, word boundaries,
  /// atomic groups and possessive repetitions, lines as `(?m)` has them.
  package init(parsing pattern: String) throws(RegularExpressionError) {
    var unicode = PythonParser(pattern)
    var ascii = PythonParser(pattern)
    ascii.flags.isASCII = true
    self = try PatternTree.common(to: try unicode.parse(), try ascii.parse())
  }

  private static func common(
    to node: PatternNode, _ ascii: PatternNode
  ) throws(RegularExpressionError) -> PatternTree {
    switch (node, ascii) {
    case (.set(let a), .set(let b)): return .set(a.codePoints(in: b))
    case (.sequence(let a), .sequence(let b)): return .sequence(try common(to: a, b))
    case (.alternation(let a), .alternation(let b)): return .alternation(try common(to: a, b))
    case (.repeated(let a, let least, let most, let kind), .repeated(let b, _, _, _)):
      guard kind != .possessive else { throw refusal("a possessive repetition") }
      return .repeated(try common(to: a, b), least: least, most: most)
    case (.group(let a, _), .group(let b, _)): return try common(to: a, b)
    case (.assertion(let a), .assertion):
      switch a {
      case .textStart: return .textStart
      case .textEnd, .lastLineEnd: return .textEnd
      case .lineStart, .lineEnd: throw refusal("an anchor under (?m)")
      case .wordBoundary, .rubyWordBoundary: throw refusal("a word boundary (\\b or \\B)")
      }
    case (.look, _): throw refusal("a lookahead")
    case (.behind, _): throw refusal("a lookbehind")
    default: throw refusal("an atomic group")
    }
  }

  private static func common(
    to nodes: [PatternNode], _ ascii: [PatternNode]
  ) throws(RegularExpressionError) -> [PatternTree] {
    var trees: [PatternTree] = []
    for (node, ascii) in zip(nodes, ascii) { trees.append(try common(to: node, ascii)) }
    return trees
  }

  private static func refusal(_ what: String) -> RegularExpressionError {
    RegularExpressionError(what: what)
  }
}

extension CodePointSet {
  /// Where lines end for ECMA-262, beyond the line feed; "." takes none of them.
  private static let lineEnds: [UInt32] = [0x0D, 0x2028, 0x2029]

  /// The code points of both sets, as ascending ranges without surrogates.
  fileprivate func codePoints(in other: CodePointSet) -> [ClosedRange<UInt32>] {
    let own = plainRanges
    guard let ranges = other.plainRanges ?? own else {
      return Self.ranges(of: Self.scalars) { contains($0) && other.contains($0) }
    }
    if let own {
      if isDot { return Self.ranges(of: own) { !Self.lineEnds.contains($0) } }
      guard other.plainRanges != nil else { return Self.ranges(of: own) { other.contains($0) } }
      return Self.overlap(own, ranges)
    }
    return Self.ranges(of: ranges) { contains($0) }
  }

  private static let scalars: [ClosedRange<UInt32>] = [0...0xD7FF, 0xE000...0x10FFFF]

  private static func overlap(
    _ a: [ClosedRange<UInt32>], _ b: [ClosedRange<UInt32>]
  ) -> [ClosedRange<UInt32>] {
    var result: [ClosedRange<UInt32>] = []
    var (i, j) = (0, 0)
    while i < a.count, j < b.count {
      let low = max(a[i].lowerBound, b[j].lowerBound)
      let high = min(a[i].upperBound, b[j].upperBound)
      if low <= high { result.append(low...high) }
      if a[i].upperBound < b[j].upperBound { i += 1 } else { j += 1 }
    }
    return result
  }

  private static func ranges(
    of ranges: [ClosedRange<UInt32>], where isMember: (UInt32) -> Bool
  ) -> [ClosedRange<UInt32>] {
    var result: [ClosedRange<UInt32>] = []
    for range in ranges {
      for code in range where isMember(code) {
        if let last = result.last, last.upperBound + 1 == code {
          result[result.count - 1] = last.lowerBound...code
        } else {
          result.append(code...code)
        }
      }
    }
    return result
  }
}
