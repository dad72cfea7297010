/// A pattern as a parser of either dialect hands it to the compiler.
indirect enum PatternNode {
  enum Repetition { case greedy, lazy, possessive }

  case set(CodePointSet)
  case sequence([PatternNode])
  case alternation([PatternNode])
  case repeated(PatternNode, least: Int, most: Int, Repetition)
  case look(PatternNode, isPositive: Bool)
  /// What must (or must not) lie before this place, `width` code points of it.
  case behind(PatternNode, width: Int, isPositive: Bool)
  case atomic(PatternNode)
  case group(PatternNode, number: Int)
  case assertion(Assertion)

  /// Whether it can match without consuming anything.
  var canBeEmpty: Bool {
    switch self {
    case .set: false
    case .sequence(let nodes): nodes.allSatisfy(\.canBeEmpty)
    case .alternation(let nodes): nodes.contains(where: \.canBeEmpty)
    case .repeated(let node, let least, _, _): least == 0 || node.canBeEmpty
    case .atomic(let node), .group(let node, _): node.canBeEmpty
    case .look, .behind, .assertion: true
    }
  }

  /// How many code points it consumes where that is one number, else nil.
  var fixedWidth: Int? {
    switch self {
    case .set: return 1
    case .sequence(let nodes):
      var sum = 0
      for node in nodes {
        guard let width = node.fixedWidth, sum + width < 1 << 20 else { return nil }
        sum += width
      }
      return sum
    case .alternation(let nodes):
      let widths = Set(nodes.map(\.fixedWidth))
      return widths.count == 1 ? widths.first ?? nil : nil
    case .repeated(let node, let least, let most, _):
      guard let width = node.fixedWidth else { return nil }
      return width == 0 ? 0 : least == most && least * width < 1 << 20 ? least * width : nil
    case .atomic(let node), .group(let node, _): return node.fixedWidth
    case .look, .behind, .assertion: return 0
    }
  }
}

/// What holds of a place between code points.
enum Assertion: Sendable {
  case textStart, textEnd
  /// The text's start and behind a line feed; for Ruby not behind one that ends the text.
  case lineStart(isRuby: Bool)
  /// The text's end and before a line feed.
  case lineEnd
  /// The text's end, or before the line feed that ends it.
  case lastLineEnd
  /// Whether a word begins or ends here.
  case wordBoundary(isASCII: Bool, isPositive: Bool)
  /// The same for Onigmo, whose words have the numbers of Latin-1 too, and no joiners.
  case rubyWordBoundary(isPositive: Bool)

  @inline(__always)
  func holds(_ text: UnsafeBufferPointer<UInt8>, at position: Int) -> Bool {
    switch self {
    case .textStart: return position == 0
    case .textEnd: return position == text.count
    case .lineStart(let isRuby):
      return position == 0
        || text[position - 1] == 0x0A && !(isRuby && position == text.count)
    case .lineEnd: return position == text.count || text[position] == 0x0A
    case .lastLineEnd:
      return position == text.count || position == text.count - 1 && text[position] == 0x0A
    case .wordBoundary(let isASCII, let isPositive):
      // Python finds no place in an empty text where `\B` holds, either.
      if text.isEmpty { return false }
      let word = isASCII ? PythonClasses.words.ascii : PythonClasses.words.unicode
      let isBefore =
        position > 0
        && word.contains(decodeScalar(text, at: scalarStart(text, before: position)).code)
      let isBehind = position < text.count && word.contains(decodeScalar(text, at: position).code)
      return (isBefore != isBehind) == isPositive
    case .rubyWordBoundary(let isPositive):
      func isWord(_ position: Int) -> Bool {
        let code = decodeScalar(text, at: position).code
        switch code {
        case 0xB2, 0xB3, 0xB9, 0xBC...0xBE: return true
        case 0x200C, 0x200D: return false
        default: return Unicode.Scalar(code).map(UnicodeClasses.isWord) ?? false
        }
      }
      let isBefore = position > 0 && isWord(scalarStart(text, before: position))
      let isBehind = position < text.count && isWord(position)
      return (isBefore != isBehind) == isPositive
    }
  }
}
