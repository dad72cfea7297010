extension Lexer {
  /// A number: Python's, with `_` between digits.
  mutating func number() throws(Failure) {
    let start = position
    if let end = floatEnd() {
      let digits = Text(source[start..<end]).string.filter { $0 != "_" }
      guard let value = Double(digits) else {
        throw Failure(.syntax, "\"\(digits)\" is no number", at: start)
      }
      position = end
      tokens.append(Token(kind: .float(value), position: start))
      return
    }
    var radix = 10
    var index = start
    if source[start] == "0" {
      switch at(start + 1) {
      case "b", "B": radix = 2
      case "o", "O": radix = 8
      case "x", "X": radix = 16
      default: break
      }
      index = radix == 10 ? start : start + 2
      if radix != 10 {
        let first = at(index) == "_" ? index + 1 : index
        if at(first).flatMap({ Lexer.digit($0, radix) }) == nil {
          // "0x" with nothing behind it is a zero and a name.
          radix = 10
          index = start
        }
      }
    }
    // A decimal that begins with 0 goes on with zeros only.
    let isZero = radix == 10 && source[start] == "0"
    var digits = ""
    while let next = at(index) {
      let place = next == "_" && index > start ? index + 1 : index
      guard let scalar = at(place), Lexer.digit(scalar, radix) != nil, !isZero || scalar == "0"
      else {
        break
      }
      digits.unicodeScalars.append(scalar)
      index = place + 1
    }
    guard let value = Int(digits, radix: radix) else {
      throw Failure(.syntax, "the integer \(digits) is too large: 64 bits are allowed", at: start)
    }
    position = index
    tokens.append(Token(kind: .integer(value), position: start))
  }

  private static func digit(_ scalar: Unicode.Scalar, _ radix: Int) -> Int? {
    scalar.isASCII ? Character(scalar).hexDigitValue.flatMap { $0 < radix ? $0 : nil } : nil
  }

  /// The end of digits with single underscores between them.
  private func digitsEnd(_ start: Int) -> Int? {
    guard let first = at(start), Lexer.digit(first, 10) != nil else { return nil }
    var index = start + 1
    while let next = at(index) {
      if Lexer.digit(next, 10) != nil {
        index += 1
      } else if next == "_", let after = at(index + 1), Lexer.digit(after, 10) != nil {
        index += 2
      } else {
        break
      }
    }
    return index
  }

  private func exponentEnd(_ start: Int) -> Int? {
    guard at(start) == "e" || at(start) == "E" else { return nil }
    return digitsEnd(at(start + 1) == "+" || at(start + 1) == "-" ? start + 2 : start + 1)
  }

  /// The end of a number with a fraction or an exponent; nil if it is an integer.
  private func floatEnd() -> Int? {
    if position > 0, source[position - 1] == "." { return nil }
    guard let whole = digitsEnd(position) else { return nil }
    if at(whole) == ".", let fraction = digitsEnd(whole + 1) {
      return exponentEnd(fraction) ?? fraction
    }
    return exponentEnd(whole)
  }
}
