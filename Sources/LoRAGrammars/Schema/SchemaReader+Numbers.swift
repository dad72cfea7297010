internal import LoRAJSON

extension SchemaReader {
  /// Integers beyond this are not exact as doubles.
  private static let mostExact = 9_007_199_254_740_992.0

  func readNumber(
    _ key: String, _ value: JSONValue, into node: inout SchemaNode
  ) throws(ConstraintError) {
    guard let number = value.doubleValue else { throw malformed("a number", value) }
    if key == "multipleOf" {
      guard number > 0 else { throw malformed("a number above 0", value) }
      guard number == number.rounded(), number <= Double(NumberRange.mostStates) else {
        throw ConstraintError(
          .unsupported, place: path,
          expected: "a whole number up to \(NumberRange.mostStates)", found: value.encoded(),
          advice: "others are not exact in floating point: use a pattern of a string, or an enum")
      }
      node.number.factor = Int(number)
      node.number.isInteger = true
      return
    }
    guard number.magnitude <= Self.mostExact else {
      throw ConstraintError(
        .unsupported, place: path, expected: "a bound within 2^53", found: value.encoded(),
        advice: "remove it: readers that use doubles do not agree beyond")
    }
    let decimal: DecimalNumber
    if case .integer(let whole) = value {
      decimal = DecimalNumber(whole)
    } else {
      decimal = DecimalNumber(number)
    }
    let bound = NumberBound(value: decimal, isExclusive: key.hasPrefix("exclusive"))
    if key.hasSuffix("inimum") {
      node.number.restrict(lower: bound)
    } else {
      node.number.restrict(upper: bound)
    }
  }
}
