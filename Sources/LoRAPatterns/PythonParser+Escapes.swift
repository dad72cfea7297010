extension PythonParser {
  /// What an escape outside of a class stands for; its backslash has been read.
  mutating func escape() throws(RegularExpressionError) -> PatternNode {
    guard let scalar = next else { throw failure("a backslash at the end") }
    switch scalar {
    case "A":
      index += 1
      return .assertion(.textStart)
    case "Z":
      index += 1
      return .assertion(.textEnd)
    case "b", "B":
      index += 1
      return .assertion(.wordBoundary(isASCII: flags.isASCII, isPositive: scalar == "b"))
    case "1"..."9":
      if let code = try octal() { return .set(literal(code)) }
      throw failure("a reference to a group, \\\(scalar),", at: index - 1)
    default:
      if var set = PythonClasses.set(of: scalar, isASCII: flags.isASCII) {
        index += 1
        set.finish(folding: flags.folding)
        return .set(set)
      }
      return .set(literal(try code()))
    }
  }

  /// Three octal digits, the first of which is next; nil if they are not that.
  private mutating func octal() throws(RegularExpressionError) -> UInt32? {
    let three = scalars[index...].prefix(3)
    guard three.count == 3, three.allSatisfy({ ("0"..."7").contains($0) }),
      let code = UInt32(String(String.UnicodeScalarView(three)), radix: 8)
    else { return nil }
    guard code <= 0o377 else { throw failure("an octal escape above \\377", at: index - 1) }
    index += 3
    return code
  }

  /// The code point of an escape that stands for one; its backslash has been read.
  private mutating func code() throws(RegularExpressionError) -> UInt32 {
    guard let scalar = next else { throw failure("a backslash at the end") }
    let start = index - 1
    index += 1
    switch scalar {
    case "a": return 0x07
    case "f": return 0x0C
    case "n": return 0x0A
    case "r": return 0x0D
    case "t": return 0x09
    case "v": return 0x0B
    case "x": return try hexadecimal(2, from: start)
    case "u": return try hexadecimal(4, from: start)
    case "U": return try hexadecimal(8, from: start)
    case "0": return UInt32(digits("01234567", most: 2), radix: 8) ?? 0
    default:
      guard scalar.value >= 0x80 || !scalar.properties.isAlphabetic, !("1"..."9").contains(scalar)
      else { throw failure("the escape \\\(scalar)", at: start) }
      return scalar.value
    }
  }

  private mutating func hexadecimal(
    _ count: Int, from start: Int
  ) throws(RegularExpressionError) -> UInt32 {
    let text = digits("0123456789abcdefABCDEF", most: count)
    guard text.unicodeScalars.count == count, let code = UInt32(text, radix: 16),
      Unicode.Scalar(code) != nil
    else { throw failure("an escape that names no character", at: start) }
    return code
  }

  /// The rest of a class, whose bracket has been read.
  mutating func characterClass() throws(RegularExpressionError) -> CodePointSet {
    let start = index - 1
    let isNegated = skip("^")
    var set = CodePointSet()
    var isFirst = true
    while true {
      guard let scalar = next else { throw failure("a class without an end", at: start) }
      if scalar == "]", !isFirst {
        index += 1
        set.finish(negated: isNegated, folding: flags.folding)
        return set
      }
      isFirst = false
      let place = index
      let low = try classMember(into: &set)
      guard next == "-" else {
        if let low { set.insert(low) }
        continue
      }
      index += 1
      guard let scalar = next else { throw failure("a class without an end", at: start) }
      // A hyphen that ends the class stands for itself.
      if scalar == "]" {
        if let low { set.insert(low) }
        set.insert(0x2D)
        continue
      }
      var ignored = CodePointSet()
      guard let low, let high = try classMember(into: &ignored), low <= high else {
        throw failure("a range of no characters", at: place)
      }
      set.insert(low...high)
    }
  }

  /// One code point of a class, or nil if it was a class of its own, which is now in `set`.
  private mutating func classMember(
    into set: inout CodePointSet
  ) throws(RegularExpressionError) -> UInt32? {
    guard let scalar = next else { throw failure("a class without an end") }
    index += 1
    guard scalar == "\\" else { return scalar.value }
    guard let escaped = next else { throw failure("a backslash at the end") }
    if let members = PythonClasses.set(of: escaped, isASCII: flags.isASCII) {
      index += 1
      set.formUnion(members)
      return nil
    }
    if escaped == "b" {
      index += 1
      return 0x08
    }
    if ("1"..."7").contains(escaped), let code = try octal() { return code }
    return try code()
  }
}
