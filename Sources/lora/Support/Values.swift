import LoRAJSON
import LoRATensor

extension JSONValue {
  init(_ value: Int) { self = .integer(Int64(value)) }
  init(_ values: [Int]) { self = .array(values.map { JSONValue($0) }) }
  init(_ values: [String]) { self = .array(values.map { .string($0) }) }
  init(_ values: [Double]) { self = .array(values.map { .number($0) }) }
  init(_ shape: Shape) { self.init(shape.dimensions) }
}

/// A number of things, in words: "1 step", "2 steps".
func counted(_ count: Int, _ thing: String) -> String {
  "\(grouped(count)) \(thing)\(count == 1 ? "" : "s")"
}

extension String {
  /// This text with spaces behind it, at least `width` characters.
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: Swift.max(0, width - count))
  }

  /// This text with spaces before it, at least `width` characters.
  func padded(from width: Int) -> String {
    String(repeating: " ", count: Swift.max(0, width - count)) + self
  }
}
