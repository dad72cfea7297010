/// `"%s has %d" % (name, count)`.
struct PercentFormat {
  let format: Text
  let values: Value
  let limit: Int
  private var index = 0
  private var nextArgument = 0
  private var output = Text()

  static func text(_ format: Text, _ values: Value, limit: Int) throws(Failure) -> Text {
    var formatter = PercentFormat(format: format, values: values, limit: limit)
    return try formatter.run()
  }

  private init(format: Text, values: Value, limit: Int) {
    self.format = format
    self.values = values
    self.limit = limit
  }

  private var arguments: [Value] {
    if case .tuple(let list) = values { list.items } else { [values] }
  }

  private mutating func run() throws(Failure) -> Text {
    while index < format.count {
      let scalar = format.scalars[index]
      index += 1
      if scalar == "%" { try conversion() } else { output.append(scalar) }
      guard output.count <= limit else { throw Failure(.limit, "a formatted text is too long") }
    }
    let isMapping =
      switch values {
      case .dictionary, .list, .range, .undefined: true
      default: false
      }
    guard nextArgument >= arguments.count || isMapping || usesNames else {
      throw .value("not all values were used by the format")
    }
    return output
  }

  private var usesNames = false

  private mutating func next() throws(Failure) -> Value {
    guard nextArgument < arguments.count else {
      throw .value("there are fewer values than the format asks for")
    }
    nextArgument += 1
    return arguments[nextArgument - 1]
  }

  private mutating func scalar() throws(Failure) -> Unicode.Scalar {
    guard index < format.count else { throw .value("a format ends within a conversion") }
    index += 1
    return format.scalars[index - 1]
  }

  private mutating func count() throws(Failure) -> Int? {
    if index < format.count, format.scalars[index] == "*" {
      index += 1
      guard let value = try next().integer else {
        throw .value("\"*\" in a format needs an integer")
      }
      return value
    }
    var result: Int?
    while index < format.count, let digit = format.scalars[index].decimalValue,
      format.scalars[index].isASCII
    {
      result = (result ?? 0) * 10 + digit
      guard result ?? 0 <= 1_000_000 else {
        throw Failure(.limit, "a width in a format is too large")
      }
      index += 1
    }
    return result
  }

  private mutating func conversion() throws(Failure) {
    var named: Value?
    if index < format.count, format.scalars[index] == "(" {
      guard let end = format.firstIndex(of: ")", from: index) else {
        throw .value("a name in a format has no closing parenthesis")
      }
      guard case .dictionary(let dictionary) = values else {
        throw .value("a format with names needs a dictionary")
      }
      let name = format[index + 1..<end]
      guard let value = dictionary.value(name) else {
        throw .value("the format's \"\(name.string)\" is not in the dictionary")
      }
      named = value
      usesNames = true
      index = end + 1
    }
    var flags: Set<Unicode.Scalar> = []
    while index < format.count, "#0- +".unicodeScalars.contains(format.scalars[index]) {
      flags.insert(format.scalars[index])
      index += 1
    }
    var width = try count() ?? 0
    if width < 0 {
      flags.insert("-")
      width = min(-width, 1_000_000)
    }
    var precision: Int?
    if index < format.count, format.scalars[index] == "." {
      index += 1
      precision = max(0, try count() ?? 0)
    }
    var letter = try scalar()
    while letter == "l" || letter == "h" || letter == "L" { letter = try scalar() }
    if letter == "%" {
      output.append("%" as Unicode.Scalar)
      return
    }
    let value: Value
    if let named { value = named } else { value = try next() }
    let (sign, body, isNumber) = try text(value, letter, flags, precision)
    let missing = max(0, width - sign.count - body.count)
    if flags.contains("-") {
      output += sign + body + Text(repeatElement(" ", count: missing))
    } else if flags.contains("0"), isNumber {
      output += sign + Text(repeatElement("0", count: missing)) + body
    } else {
      output += Text(repeatElement(" ", count: missing)) + sign + body
    }
  }

  private func text(
    _ value: Value, _ letter: Unicode.Scalar, _ flags: Set<Unicode.Scalar>, _ precision: Int?
  ) throws(Failure) -> (sign: Text, body: Text, isNumber: Bool) {
    func sign(_ isNegative: Bool) -> Text {
      isNegative ? "-" : flags.contains("+") ? "+" : flags.contains(" ") ? " " : ""
    }
    switch letter {
    case "s", "r", "a":
      var body =
        letter == "s"
        ? try ValuePrinter.text(value, limit: limit)
        : try ValuePrinter.representation(value, limit: limit)
      if letter == "a" {
        body = Text(
          body.scalars.flatMap { $0.isASCII ? [$0] : Array($0.pythonEscape.unicodeScalars) })
      }
      return ("", precision.map { body.prefix($0) } ?? body, false)
    case "c":
      if let text = value.text, text.count == 1 { return ("", text, false) }
      guard let code = value.integer,
        let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init)
      else { throw .value("%c needs a character or its number") }
      return ("", Text([scalar]), false)
    case "d", "i", "u", "x", "X", "o":
      if case .undefined(let missing) = value { throw missing.failure }
      let isDecimal = letter == "d" || letter == "i" || letter == "u"
      let number: Int
      if let integer = value.integer {
        number = integer
      } else if isDecimal, case .float(let float) = value,
        let integer = Int(exactly: float.rounded(.towardZero))
      {
        number = integer
      } else {
        throw .value("%\(letter) needs a number, not a \(value.typeName)")
      }
      var prefix = ""
      var digits: String
      switch letter {
      case "x": (digits, prefix) = (String(number.magnitude, radix: 16), "0x")
      case "X": (digits, prefix) = (String(number.magnitude, radix: 16, uppercase: true), "0X")
      case "o": (digits, prefix) = (String(number.magnitude, radix: 8), "0o")
      default: digits = String(number.magnitude)
      }
      if let precision, digits.count < min(precision, 10_000) {
        digits = String(repeating: "0", count: min(precision, 10_000) - digits.count) + digits
      }
      return (sign(number < 0) + Text(flags.contains("#") ? prefix : ""), Text(digits), true)
    case "f", "F", "e", "E", "g", "G":
      if case .undefined(let missing) = value { throw missing.failure }
      guard let number = value.number else {
        throw .value("%\(letter) needs a number, not a \(value.typeName)")
      }
      var places = precision ?? 6
      if letter == "g" || letter == "G" { places = max(1, places) }
      let body = DecimalText.text(
        number.magnitude, Character(letter), precision: places, isAlternate: flags.contains("#"))
      return (sign(number.sign == .minus && !number.isNaN), Text(body), number.isFinite)
    default: throw .value("\"%\(letter)\" is no conversion of a format")
    }
  }
}
