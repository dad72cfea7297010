import Foundation

extension Double {
  /// This number as axes and tables show it, with about `digits` digits: 0.0123, 3.451, 12500, 2e-5.
  package func shown(digits: Int = 4) -> String {
    guard isFinite else { return isNaN ? "not a number" : self < 0 ? "-infinite" : "infinite" }
    guard self != 0 else { return "0" }
    let exponent = Int(log10(abs(self)).rounded(.down))
    guard (-4...8).contains(exponent) else {
      let text = String(format: "%.\(max(0, digits - 1))e", self)
      let parts = text.split(separator: "e")
      return Self.trimmed(String(parts[0])) + "e\(Int(parts[1]) ?? exponent)"
    }
    return Self.trimmed(String(format: "%.\(max(0, digits - 1 - exponent))f", self))
  }

  private static func trimmed(_ text: String) -> String {
    guard text.contains(".") else { return text }
    var text = text
    while text.hasSuffix("0") { text.removeLast() }
    if text.hasSuffix(".") { text.removeLast() }
    return text == "-0" ? "0" : text
  }
}

extension Int {
  /// This number with a comma every three digits.
  package var shown: String {
    var digits = String(magnitude)
    var result = ""
    while digits.count > 3 {
      result = ",\(digits.suffix(3))" + result
      digits.removeLast(3)
    }
    return (self < 0 ? "-" : "") + digits + result
  }

  /// This number of bytes in the largest unit that it fills: 512 B, 1.5 KiB, 3.2 GiB.
  package var shownBytes: String {
    guard self >= 1024 else { return "\(self) B" }
    var value = Double(self)
    var unit = ""
    for next in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 {
      value /= 1024
      unit = next
    }
    return value.shown(digits: 3) + " " + unit
  }

  /// This number of things: "1 step", "3 steps".
  package func counted(_ thing: String) -> String { "\(shown) \(thing)\(self == 1 ? "" : "s")" }
}
