extension Lexer {
  /// A string in quotes, with Python's escapes.
  mutating func string() throws(Failure) {
    let start = position
    let quote = source[start]
    var text = Text()
    position += 1
    while let scalar = at(position) {
      if scalar == quote {
        position += 1
        tokens.append(Token(kind: .string, text: text, position: start))
        return
      }
      position += 1
      if scalar == "\\" {
        guard let next = at(position) else { break }
        position += 1
        try escape(next, into: &text)
      } else {
        text.append(scalar)
      }
    }
    throw Failure(.syntax, "this string has no closing quote", at: start)
  }

  private mutating func escape(_ scalar: Unicode.Scalar, into text: inout Text) throws(Failure) {
    switch scalar {
    case "\n": return
    case "\\", "'", "\"": text.append(scalar)
    case "a": text.append("\u{07}" as Unicode.Scalar)
    case "b": text.append("\u{08}" as Unicode.Scalar)
    case "f": text.append("\u{0C}" as Unicode.Scalar)
    case "n": text.append("\n" as Unicode.Scalar)
    case "r": text.append("\r" as Unicode.Scalar)
    case "t": text.append("\t" as Unicode.Scalar)
    case "v": text.append("\u{0B}" as Unicode.Scalar)
    case "x": try code(digits: 2, into: &text)
    case "u": try code(digits: 4, into: &text)
    case "U": try code(digits: 8, into: &text)
    case "0"..."7":
      var value = scalar.value - 0x30
      var count = 1
      while count < 3, let next = at(position), ("0"..."7").contains(next) {
        value = value * 8 + next.value - 0x30
        position += 1
        count += 1
      }
      text.append(Unicode.Scalar(value) ?? "\u{FFFD}")
    case "N":
      throw Failure(
        .syntax, "characters by their names (\\N) are not supported; write \\u and four digits",
        at: position - 2)
    default:
      // Jinja decodes escapes after it has written all but ASCII as escapes.
      text.append("\\" as Unicode.Scalar)
      if scalar.isASCII {
        text.append(scalar)
      } else {
        text.append(scalar.pythonEscape.dropFirst().description)
      }
    }
  }

  private mutating func code(digits: Int, into text: inout Text) throws(Failure) {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let next = at(position), next.isASCII, let digit = Character(next).hexDigitValue else {
        throw Failure(
          .syntax, "an escape in a string has fewer than \(digits) hexadecimal digits",
          at: position)
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    guard let scalar = Unicode.Scalar(value) else {
      throw Failure(
        .syntax, "an escape in a string is no character: \(String(value, radix: 16))",
        at: position)
    }
    text.append(scalar)
  }
}

extension Unicode.Scalar {
  /// `\x7f`, `\u2028` or `\U0001f600`.
  var pythonEscape: String {
    let digits = String(value, radix: 16)
    let width = value < 0x100 ? 2 : value < 0x10000 ? 4 : 8
    let letter = width == 2 ? "x" : width == 4 ? "u" : "U"
    return "\\" + letter + String(repeating: "0", count: width - digits.count) + digits
  }
}
