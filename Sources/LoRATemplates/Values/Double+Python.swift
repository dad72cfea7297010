extension Double {
  /// `repr` of a float: the fewest digits that read back the same, with an exponent from 1e16 on and
  /// below 1e-4.
  var pythonDescription: String {
    guard isFinite else { return isNaN ? "nan" : self < 0 ? "-inf" : "inf" }
    if self == 0 { return sign == .minus ? "-0.0" : "0.0" }
    let (digits, exponent) = magnitude.shortestDigits
    var result = sign == .minus ? "-" : ""
    if (-4..<16).contains(exponent) {
      result += Double.fixed(digits, exponent: exponent)
    } else {
      let first = digits.prefix(1)
      let rest = digits.dropFirst()
      result += first + (rest.isEmpty ? "" : "." + rest)
      result += exponent < 0 ? "e-" : "e+"
      let power = String(exponent.magnitude)
      result += power.count < 2 ? "0" + power : power
    }
    return result
  }

  private static func fixed(_ digits: String, exponent: Int) -> String {
    if exponent < 0 {
      return "0." + String(repeating: "0", count: -exponent - 1) + digits
    }
    let whole = exponent + 1
    if digits.count <= whole {
      return digits + String(repeating: "0", count: whole - digits.count) + ".0"
    }
    return digits.prefix(whole) + "." + digits.dropFirst(whole)
  }

  /// The fewest decimal digits of a positive number, and the power of ten of the first one.
  var shortestDigits: (digits: String, exponent: Int) {
    let parts = description.split(separator: "e", maxSplits: 1)
    var exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
    let mantissa = parts[0].split(separator: ".", maxSplits: 1)
    var digits = mantissa.joined()
    exponent += mantissa[0].count - 1
    let zeros = digits.prefix { $0 == "0" }.count
    digits.removeFirst(zeros)
    exponent -= zeros
    while digits.count > 1, digits.last == "0" { digits.removeLast() }
    return (digits, exponent)
  }
}
