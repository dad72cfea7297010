import LoRAJSON
import LoRATensor

extension JSONValue {
  init(_ value: Int) { self = .integer(Int64(value)) }
  init(_ values: [Int]) { self = .array(values.map { JSONValue($0) }) }
  init(_ values: [String]) { self = .array(values.map { .string($0) }) }
  init(_ values: [Double]) { self = .array(values.map { .number($0) }) }
  init(_ shape: Shape) { self.init(shape.dimensions) }
}

extension Double {
  /// This number with `digits` digits after the point.
  func text(_ digits: Int) -> String {
    guard isFinite, abs(self) < 1e12 else { return description }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (magnitude * scale).rounded()
    let whole = Int64(rounded / scale)
    let sign = sign == .minus && rounded > 0 ? "-" : ""
    if digits == 0 { return "\(sign)\(whole)" }
    let rest = Int64(rounded - Double(whole) * scale).description
    return "\(sign)\(whole)." + String(repeating: "0", count: max(0, digits - rest.count)) + rest
  }
}

extension Int {
  /// This number with commas between thousands.
  var grouped: String {
    let digits = Array(magnitude.description)
    var text = self < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return text
  }
}

extension String {
  /// This text with spaces behind it, at least `width` characters.
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: Swift.max(0, width - count))
  }

  /// This text with spaces before it, at least `width` characters.
  func aligned(to width: Int) -> String {
    String(repeating: " ", count: Swift.max(0, width - count)) + self
  }
}
