/// What stands behind the colon of `{:>10.2f}`.
///
/// Source: Python's "Format Specification Mini-Language".
struct FormatSpecification {
  var fill: Unicode.Scalar?
  var alignment: Unicode.Scalar?
  var sign: Unicode.Scalar?
  var isAlternate = false
  var isZeroPadded = false
  var width = 0
  var grouping: Unicode.Scalar?
  var precision: Int?
  var type: Unicode.Scalar?

  init(_ text: Text) throws(Failure) {
    let scalars = text.scalars
    var index = 0
    func at(_ index: Int) -> Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }
    func isAlignment(_ scalar: Unicode.Scalar?) -> Bool {
      scalar == "<" || scalar == ">" || scalar == "^" || scalar == "="
    }
    func number() throws(Failure) -> Int? {
      var result: Int?
      while let scalar = at(index), ("0"..."9").contains(scalar) {
        result = (result ?? 0) * 10 + Int(scalar.value - 0x30)
        guard result ?? 0 <= 1_000_000 else {
          throw Failure(.limit, "a width in a format is too large")
        }
        index += 1
      }
      return result
    }
    if isAlignment(at(1)) {
      fill = scalars[0]
      alignment = scalars[1]
      index = 2
    } else if isAlignment(at(0)) {
      alignment = scalars[0]
      index = 1
    }
    if let scalar = at(index), scalar == "+" || scalar == "-" || scalar == " " {
      sign = scalar
      index += 1
    }
    if at(index) == "z" { index += 1 }
    if at(index) == "#" {
      isAlternate = true
      index += 1
    }
    if at(index) == "0" {
      isZeroPadded = true
      index += 1
    }
    width = try number() ?? 0
    if let scalar = at(index), scalar == "," || scalar == "_" {
      grouping = scalar
      index += 1
    }
    if at(index) == "." {
      index += 1
      guard let digits = try number() else { throw .value("a format lacks its precision") }
      precision = digits
    }
    if let scalar = at(index) {
      type = scalar
      index += 1
    }
    guard index == scalars.count else {
      throw .value("\"\(text.string)\" is no format specification")
    }
  }

  func format(_ value: Value, limit: Int) throws(Failure) -> Text {
    switch value {
    case .string(let text), .markup(let text):
      guard type == nil || type == "s", sign == nil, alignment != "=", grouping == nil,
        !isAlternate
      else { throw unknown(for: value) }
      let cut = precision.map { text.prefix($0) } ?? text
      return padded(cut, sign: "", defaultAlignment: "<")
    case .bool where type == nil && precision == nil:
      return padded(
        try ValuePrinter.text(value, limit: limit), sign: "", defaultAlignment: "<")
    case .bool, .integer: return try integer(value)
    case .float(let number): return try float(number)
    default:
      throw .value("a \(value.typeName) takes no format \"\(type.map(String.init) ?? "")\"")
    }
  }

  private func unknown(for value: Value) -> Failure {
    .value("a \(value.typeName) takes no such format")
  }

  private func integer(_ value: Value) throws(Failure) -> Text {
    let number = value.integer ?? 0
    var digits: String
    var prefix = ""
    switch type {
    case nil, "d", "n": digits = String(number.magnitude)
    case "b": (digits, prefix) = (String(number.magnitude, radix: 2), "0b")
    case "o": (digits, prefix) = (String(number.magnitude, radix: 8), "0o")
    case "x": (digits, prefix) = (String(number.magnitude, radix: 16), "0x")
    case "X": (digits, prefix) = (String(number.magnitude, radix: 16, uppercase: true), "0X")
    case "c":
      guard let scalar = UInt32(exactly: number).flatMap(Unicode.Scalar.init) else {
        throw .value("\(number) is no character")
      }
      return padded(Text([scalar]), sign: "", defaultAlignment: "<")
    case "e", "E", "f", "F", "g", "G", "%": return try float(Double(number))
    default: throw unknown(for: value)
    }
    guard precision == nil else { throw .value("integers take no precision in a format") }
    if let grouping { digits = grouped(digits, by: grouping, every: prefix.isEmpty ? 3 : 4) }
    return padded(
      Text(digits), sign: signText(number < 0) + (isAlternate ? prefix : ""),
      defaultAlignment: ">")
  }

  private func signText(_ isNegative: Bool) -> String {
    isNegative ? "-" : sign == "+" ? "+" : sign == " " ? " " : ""
  }

  private func grouped(_ digits: String, by separator: Unicode.Scalar, every count: Int) -> String {
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % count == 0 {
        result.unicodeScalars.append(separator)
      }
      result.append(digit)
    }
    return result
  }

  private func float(_ number: Double) throws(Failure) -> Text {
    let magnitude = number.magnitude
    var digits: String
    switch type {
    case "e", "E", "f", "F", "g", "G":
      let letter = type.map(Character.init) ?? "f"
      let places = letter == "g" || letter == "G" ? max(1, precision ?? 6) : precision ?? 6
      digits = DecimalText.text(magnitude, letter, precision: places, isAlternate: isAlternate)
    case "%":
      digits = DecimalText.text(magnitude * 100, "f", precision: precision ?? 6) + "%"
    case nil, "n":
      if let precision {
        digits = DecimalText.text(magnitude, "g", precision: max(1, precision))
        if type == nil, !digits.contains("."), !digits.contains("e"), magnitude.isFinite {
          digits += digits.count < max(1, precision) || digits == "0" ? ".0" : ""
          if !digits.contains(".") {
            digits = DecimalText.text(magnitude, "e", precision: max(0, precision - 1))
          }
        }
      } else {
        digits = magnitude.pythonDescription
      }
    default: throw unknown(for: .float(number))
    }
    if let grouping {
      let whole = digits.prefix { $0.isNumber }
      digits = grouped(String(whole), by: grouping, every: 3) + digits.dropFirst(whole.count)
    }
    return padded(
      Text(digits), sign: signText(number.sign == .minus && !number.isNaN),
      defaultAlignment: ">")
  }

  private func padded(
    _ body: Text, sign: String, defaultAlignment: Unicode.Scalar
  ) -> Text {
    let sign = Text(sign)
    let missing = width - body.count - sign.count
    guard missing > 0 else { return sign + body }
    let isNumber = defaultAlignment == ">"
    let filling = fill ?? (isZeroPadded ? "0" : " ")
    let alignment =
      alignment ?? (isZeroPadded && isNumber ? "=" : defaultAlignment)
    func filler(_ count: Int) -> Text { Text(repeatElement(filling, count: count)) }
    switch alignment {
    case "<": return sign + body + filler(missing)
    case "^":
      return filler(missing / 2) + sign + body + filler(missing - missing / 2)
    case "=": return sign + filler(missing) + body
    default: return filler(missing) + sign + body
    }
  }
}
