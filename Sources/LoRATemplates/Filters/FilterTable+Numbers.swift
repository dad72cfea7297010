extension FilterTable {
  /// Filters of numbers.
  static let numbers: [Text: Filter] = [
    "abs": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "abs")
      if case .float(let number) = value { return .float(number.magnitude) }
      if let integer = value.integer {
        return integer < 0 ? try interpreter.signed(value, isNegative: true) : .integer(integer)
      }
      if case .undefined(let missing) = value { throw missing.failure }
      throw .value("\"abs\" takes a number, not a \(value.typeName)")
    },
    "filesizeformat": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["binary"], of: "filesizeformat")
      guard let bytes = try NumberReading.float(value) else {
        throw .value("\"filesizeformat\" takes a number, not a \(value.typeName)")
      }
      return .string(Text(NumberReading.fileSize(bytes, isBinary: given.flag(0))))
    },
    "float": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["default"], of: "float")
      if case .undefined(let missing) = value { throw missing.failure }
      return try NumberReading.float(value).map(Value.float) ?? given[0] ?? .float(0)
    },
    "int": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["default", "base"], of: "int")
      if case .undefined(let missing) = value { throw missing.failure }
      let base =
        try given[1].map { (value) throws(Failure) in
          try interpreter.integer(value, "int")
        } ?? 10
      let fallback = given[0] ?? .integer(0)
      if let text = value.text, let integer = try NumberReading.integer(text, base: base) {
        return .integer(integer)
      }
      if let integer = value.integer { return .integer(integer) }
      guard let number = try NumberReading.float(value) else { return fallback }
      if number.isFinite {
        guard let integer = Int(exactly: number.rounded(.towardZero)) else {
          throw Failure(.limit, "an integer grows beyond 64 bits")
        }
        return .integer(integer)
      }
      // Python's int of an infinite float is an error, of a text that says so it is the default.
      if case .float = value, number.isInfinite { throw .value("an infinity is no integer") }
      return fallback
    },
    "round": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.rounding(value, arguments)
    },
  ]
}

/// Numbers out of texts, as Python's `int` and `float` read them.
enum NumberReading {
  /// The digits, with all scripts' as ASCII's; nil if a `_` is not between two digits.
  private static func plain(_ text: Text) -> String? {
    let scalars = text.trimmed { $0.isPythonSpace }.scalars
    var result = ""
    for (index, scalar) in scalars.enumerated() {
      if scalar == "_" {
        guard index > 0, index + 1 < scalars.count, isAlphanumeric(scalars[index - 1]),
          isAlphanumeric(scalars[index + 1])
        else { return nil }
        continue
      }
      if let digit = scalar.decimalValue {
        result += String(digit)
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func isAlphanumeric(_ scalar: Unicode.Scalar) -> Bool {
    scalar.decimalValue != nil || scalar.isASCII && scalar.isPythonAlpha
  }

  static func integer(_ text: Text, base: Int) throws(Failure) -> Int? {
    guard base == 0 || (2...36).contains(base), var digits = plain(text) else { return nil }
    var isNegative = false
    if digits.hasPrefix("-") || digits.hasPrefix("+") {
      isNegative = digits.hasPrefix("-")
      digits.removeFirst()
    }
    var radix = base
    for (letter, value) in [("x", 16), ("o", 8), ("b", 2)] where base == 0 || base == value {
      if digits.lowercased().hasPrefix("0" + letter), digits.count > 2 {
        digits.removeFirst(2)
        radix = value
        break
      }
    }
    if radix == 0 {
      radix = 10
      if digits.hasPrefix("0"), digits.contains(where: { $0 != "0" }) { return nil }
    }
    let allowed =
      !digits.isEmpty
      && digits.unicodeScalars.allSatisfy {
        $0.isASCII && Character($0).isLetter || ("0"..."9").contains($0)
      }
    guard allowed, digits.allSatisfy({ Int(String($0), radix: radix) != nil }) else { return nil }
    guard let value = Int((isNegative ? "-" : "") + digits, radix: radix) else {
      throw Failure(.limit, "an integer grows beyond 64 bits")
    }
    return value
  }

  static func float(_ value: Value) throws(Failure) -> Double? {
    if case .undefined(let missing) = value { throw missing.failure }
    if let number = value.number { return number }
    guard let text = value.text, let digits = plain(text) else { return nil }
    var body = digits.lowercased()
    var sign = 1.0
    if body.hasPrefix("-") || body.hasPrefix("+") {
      sign = body.hasPrefix("-") ? -1 : 1
      body.removeFirst()
    }
    switch body {
    case "inf", "infinity": return sign * .infinity
    case "nan": return .nan
    default:
      let allowed = body.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || ".e+-".utf8.contains(byte)
      }
      let isNumber =
        body.utf8.first.map { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") } ?? false
      guard allowed, isNumber else { return nil }
      if body.hasPrefix(".") { body = "0" + body }
      return Double(body).map { sign * $0 } ?? completed(body).map { sign * $0 }
    }
  }

  /// "1." and "1.e5", which Swift does not read.
  private static func completed(_ body: String) -> Double? {
    guard let point = body.firstIndex(of: ".") else { return nil }
    var result = body
    result.insert("0", at: body.index(after: point))
    return Double(result)
  }

  static func fileSize(_ bytes: Double, isBinary: Bool) -> String {
    let base = isBinary ? 1024.0 : 1000
    if bytes == 1 { return "1 Byte" }
    if bytes < base { return "\(Int(exactly: bytes.rounded(.towardZero)) ?? 0) Bytes" }
    let units =
      isBinary
      ? ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
      : ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
    var unit = base
    for name in units {
      unit *= base
      if bytes < unit || name == units.last {
        return DecimalText.text(base * bytes / unit, "f", precision: 1) + " " + name
      }
    }
    return ""
  }
}

extension Interpreter {
  fileprivate func rounding(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Value {
    let given = try arguments.bound(to: ["precision", "method"], of: "round")
    let method = given[1]?.text ?? "common"
    guard ["common", "ceil", "floor"].contains(method) else {
      throw .value("\"round\" rounds by \"common\", \"ceil\" or \"floor\"")
    }
    let precision =
      try given[0].map { (value) throws(Failure) in
        try integer(value, "round")
      } ?? 0
    if case .undefined(let missing) = value { throw missing.failure }
    guard let number = value.number else {
      throw .value("\"round\" takes a number, not a \(value.typeName)")
    }
    if method == "common" {
      if let integer = value.integer { return .integer(rounded(integer, precision)) }
      return .float(DecimalText.rounded(number, digits: precision))
    }
    let scale = try compute(.integer(10), .power, .integer(precision))
    let scaled = try compute(value, .multiply, scale)
    let rounded = (scaled.number ?? 0).rounded(method == "ceil" ? .up : .down)
    guard let integer = Int(exactly: rounded) else {
      guard rounded.isFinite else { throw .value("\(rounded) cannot be rounded") }
      return try compute(.float(rounded), .divide, scale)
    }
    return try compute(.integer(integer), .divide, scale)
  }

  /// From the middle to the even one, as Python rounds integers to tens.
  private func rounded(_ integer: Int, _ precision: Int) -> Int {
    guard precision < 0 else { return integer }
    guard precision > -19 else { return 0 }
    var unit = 1
    for _ in 0..<(-precision) { unit *= 10 }
    let (quotient, remainder) = integer.magnitude.quotientAndRemainder(dividingBy: UInt(unit))
    let half = UInt(unit) / 2
    let isUp = remainder > half || remainder == half && quotient % 2 == 1
    let magnitude = (quotient + (isUp ? 1 : 0)).multipliedReportingOverflow(by: UInt(unit))
    guard !magnitude.overflow, let result = Int(exactly: magnitude.partialValue) else {
      return integer
    }
    return integer < 0 ? -result : result
  }
}
