/// Cuts a template into tokens, with Jinja's rules for white space: a tag swallows the line break
/// after it and the spaces before it on its line (`trim_blocks`, `lstrip_blocks`), and `-` and `+` at
/// its ends swallow all or none.
struct Lexer {
  let source: [Unicode.Scalar]
  var position = 0
  var tokens: [Token] = []
  /// Whether what was read last ended with a line break.
  private var isAtLineStart = true
  /// Closing brackets that are awaited: inside of brackets, `}}` ends nothing.
  private var awaited: [Token.Symbol] = []

  private enum Mark {
    case block, variable, comment, raw(end: Int)
  }

  /// The text with Python's line breaks, and without the last one.
  static func normalized(_ template: String) -> Text {
    var result: [Unicode.Scalar] = []
    var isAfterReturn = false
    for scalar in template.unicodeScalars {
      if !(isAfterReturn && scalar == "\n") { result.append(scalar == "\r" ? "\n" : scalar) }
      isAfterReturn = scalar == "\r"
    }
    if result.last == "\n" { result.removeLast() }
    return Text(result)
  }

  init(_ source: Text) { self.source = source.scalars }

  mutating func run() throws(Failure) -> [Token] {
    while let (start, mark) = nextMark() {
      var sign: Unicode.Scalar?
      if let next = at(start + 2), next == "-" || next == "+" { sign = next }
      emitData(
        to: start, sign: sign, strips: { if case .variable = mark { false } else { true } }())
      position = start + (sign == nil ? 2 : 3)
      isAtLineStart = false
      switch mark {
      case .comment: try comment(from: start)
      case .raw(let end): try raw(from: start, bodyAt: end)
      case .block:
        tokens.append(Token(kind: .blockBegin, position: start))
        try tag(isBlock: true)
      case .variable:
        tokens.append(Token(kind: .variableBegin, position: start))
        try tag(isBlock: false)
      }
    }
    if position < source.count {
      tokens.append(
        Token(kind: .data, text: Text(source[position...]), position: position))
    }
    tokens.append(Token(kind: .end, position: source.count))
    return tokens
  }

  func at(_ index: Int) -> Unicode.Scalar? { index < source.count ? source[index] : nil }

  func has(_ first: Unicode.Scalar, _ second: Unicode.Scalar, at index: Int) -> Bool {
    index + 1 < source.count && source[index] == first && source[index + 1] == second
  }

  func afterSpace(_ index: Int) -> Int {
    var index = index
    while index < source.count, source[index].isPythonSpace { index += 1 }
    return index
  }

  func hasWord(_ word: String, at index: Int) -> Bool {
    var index = index
    for scalar in word.unicodeScalars {
      guard at(index) == scalar else { return false }
      index += 1
    }
    return true
  }

  // MARK: Text

  private func nextMark() -> (Int, Mark)? {
    var index = position
    while index + 1 < source.count {
      if source[index] == "{" {
        switch source[index + 1] {
        case "%": return (index, rawEnd(at: index).map { .raw(end: $0) } ?? .block)
        case "{": return (index, .variable)
        case "#": return (index, .comment)
        default: break
        }
      }
      index += 1
    }
    return nil
  }

  /// Where the text of a raw part begins, if a tag `raw` stands here.
  private func rawEnd(at start: Int) -> Int? {
    var index = start + 2
    if let sign = at(index), sign == "-" || sign == "+" { index += 1 }
    index = afterSpace(index)
    guard hasWord("raw", at: index) else { return nil }
    index = afterSpace(index + 3)
    if has("%", "}", at: index) { return index + 2 }
    guard at(index) == "-", has("%", "}", at: index + 1) else { return nil }
    return afterSpace(index + 3)
  }

  private mutating func emitData(to end: Int, sign: Unicode.Scalar?, strips: Bool) {
    let start = position
    var stop = end
    if sign == "-" {
      while stop > start, source[stop - 1].isPythonSpace { stop -= 1 }
    } else if sign == nil, strips {
      var line = end
      while line > start, source[line - 1] != "\n" { line -= 1 }
      if line > start || isAtLineStart, source[line..<end].allSatisfy(\.isPythonSpace) {
        stop = line
      }
    }
    if stop > start {
      tokens.append(Token(kind: .data, text: Text(source[start..<stop]), position: start))
    }
  }

  /// Moves behind the end of a tag and the line break that it swallows.
  private mutating func close(at end: Int, stripping: Bool, trimming: Bool) {
    position = end
    if stripping {
      position = afterSpace(position)
    } else if trimming, at(position) == "\n" {
      position += 1
    }
    isAtLineStart = source[position - 1] == "\n"
  }

  private mutating func comment(from start: Int) throws(Failure) {
    var index = position
    while index < source.count {
      if has("#", "}", at: index) {
        let sign = index > position ? source[index - 1] : nil
        close(at: index + 2, stripping: sign == "-", trimming: sign != "+")
        return
      }
      index += 1
    }
    // Jinja forgives what opens a comment, or raw text, at the end of a template.
    guard position < source.count else { return }
    throw Failure(.syntax, "this comment has no end, \"#}\"", at: start)
  }

  private mutating func raw(from start: Int, bodyAt body: Int) throws(Failure) {
    position = body
    isAtLineStart = source[body - 1] == "\n"
    var index = body
    while index < source.count {
      defer { index += 1 }
      guard has("{", "%", at: index) else { continue }
      var inside = index + 2
      var sign: Unicode.Scalar?
      if let next = at(inside), next == "-" || next == "+" {
        sign = next
        inside += 1
      }
      inside = afterSpace(inside)
      guard hasWord("endraw", at: inside) else { continue }
      inside = afterSpace(inside + 6)
      var endSign: Unicode.Scalar?
      if let next = at(inside), next == "-" || next == "+" {
        endSign = next
        inside += 1
      }
      guard has("%", "}", at: inside) else { continue }
      emitData(to: index, sign: sign, strips: true)
      close(at: inside + 2, stripping: endSign == "-", trimming: endSign == nil)
      return
    }
    guard body < source.count else { return }
    throw Failure(.syntax, "this raw part has no end, {% endraw %}", at: start)
  }

  // MARK: Tags

  private mutating func tag(isBlock: Bool) throws(Failure) {
    let close: (Unicode.Scalar, Unicode.Scalar) = isBlock ? ("%", "}") : ("}", "}")
    let end: Token.Kind = isBlock ? .blockEnd : .variableEnd
    while position < source.count {
      if awaited.isEmpty {
        let start = position
        if has(close.0, close.1, at: position) {
          tokens.append(Token(kind: end, position: start))
          self.close(at: position + 2, stripping: false, trimming: isBlock)
          return
        }
        if source[position] == "-" || isBlock && source[position] == "+",
          has(close.0, close.1, at: position + 1)
        {
          tokens.append(Token(kind: end, position: start))
          self.close(at: position + 3, stripping: source[position] == "-", trimming: false)
          return
        }
      }
      if source[position].isPythonSpace {
        position = afterSpace(position)
      } else {
        try word()
      }
    }
  }

  private mutating func word() throws(Failure) {
    let start = position
    let scalar = source[position]
    if ("0"..."9").contains(scalar) {
      try number()
    } else if scalar.isIdentifierPart {
      while let next = at(position), next.isIdentifierPart { position += 1 }
      guard scalar.isIdentifierStart else {
        throw Failure(.syntax, "a name must not begin with \"\(scalar)\"", at: start)
      }
      tokens.append(
        Token(kind: .name, text: Text(source[start..<position]), position: start))
    } else if scalar == "'" || scalar == "\"" {
      try string()
    } else {
      try symbol()
    }
  }

  private mutating func symbol() throws(Failure) {
    guard let symbol = Token.Symbol.allCases.first(where: { hasWord($0.rawValue, at: position) })
    else {
      throw Failure(.syntax, "unexpected character \"\(source[position])\"", at: position)
    }
    switch symbol {
    case .leftBrace: awaited.append(.rightBrace)
    case .leftBracket: awaited.append(.rightBracket)
    case .leftParenthesis: awaited.append(.rightParenthesis)
    case .rightBrace, .rightBracket, .rightParenthesis:
      guard let expected = awaited.popLast() else {
        throw Failure(.syntax, "\"\(symbol.rawValue)\" closes nothing", at: position)
      }
      guard expected == symbol else {
        throw Failure(
          .syntax, "expected \"\(expected.rawValue)\", found \"\(symbol.rawValue)\"", at: position)
      }
    default: break
    }
    tokens.append(Token(kind: .symbol(symbol), position: position))
    position += symbol.rawValue.unicodeScalars.count
  }
}
