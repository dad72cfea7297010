import LoRAGrammars
import Testing

@Suite struct NumberTests {
  /// Every integer near the bounds of many ranges.
  @Test func rangesOfIntegersAreExact() throws {
    for (low, high) in [
      (0, 0), (0, 9), (-1, 1), (-12, 105), (7, 1000), (-999, -98), (99, 101), (-3, 0), (10, 19),
    ] {
      let constraint = try OutputConstraint(
        jsonSchema: #"{"type": "integer", "minimum": \#(low), "maximum": \#(high)}"#)
      for value in -1100...1100 {
        #expect(
          try constraint.accepts("\(value)") == (low...high).contains(value),
          "\(low) \(high) \(value)")
      }
      #expect(try !constraint.allows("00") && !constraint.allows("+1") && !constraint.accepts("-"))
    }
  }

  @Test func halfOpenRangesAndMultiples() throws {
    let cases: [(String, @Sendable (Int) -> Bool)] = [
      (#""exclusiveMinimum": 10"#, { $0 > 10 }),
      (#""exclusiveMaximum": -10"#, { $0 < -10 }),
      (#""minimum": -0.5"#, { $0 >= 0 }),
      (#""maximum": 99.9"#, { $0 <= 99 }),
      (#""multipleOf": 7"#, { $0 % 7 == 0 }),
      (#""multipleOf": 12, "minimum": -30"#, { $0 % 12 == 0 && $0 >= -30 }),
      (#""minimum": 1e2, "maximum": 2.0E2"#, { $0 >= 100 && $0 <= 200 }),
      (#""minimum": 3, "exclusiveMinimum": 3, "maximum": 10"#, { $0 > 3 && $0 <= 10 }),
    ]
    for (bound, holds) in cases {
      let constraint = try OutputConstraint(jsonSchema: #"{"type": "integer", \#(bound)}"#)
      for value in -1100...1100 {
        #expect(try constraint.accepts("\(value)") == holds(value), "\(bound) \(value)")
      }
    }
  }

  /// Decimals of up to three digits behind the point, against the comparison of exact thousandths.
  @Test func rangesOfNumbersAreExact() throws {
    for (low, high, text) in [
      (-1500, 2250, #""minimum": -1.5, "maximum": 2.25"#),
      (1, 999, #""minimum": 0.001, "maximum": 0.999"#),
      (-2000, -10, #""minimum": -2, "maximum": -0.01"#),
      (0, 10_000, #""minimum": 0, "maximum": 10"#),
      (-1499, 2249, #""exclusiveMinimum": -1.5, "exclusiveMaximum": 2.25"#),
      (1, 9999, #""exclusiveMinimum": 0, "exclusiveMaximum": 10"#),
    ] {
      let constraint = try OutputConstraint(jsonSchema: #"{"type": "number", \#(text)}"#)
      for value in stride(from: -3001, through: 12_000, by: 7) {
        let magnitude = abs(value)
        let digits = String(1000 + magnitude % 1000).dropFirst()
        let spelled = (value < 0 ? "-" : "") + "\(magnitude / 1000).\(digits)"
        #expect(
          try constraint.accepts(spelled) == (low...high).contains(value), "\(text) \(spelled)")
      }
      #expect(try !constraint.accepts("1e0") && !constraint.accepts("1."))
    }
  }

  @Test func numbersWithoutBoundsComeToAnEnd() throws {
    let digits = String(repeating: "1", count: 20)
    try expect(
      #"{"type": "number"}"#,
      accepts: ["0", "-0", "12.5", "1e5", "1E-10", "-1.5e+99", digits + "." + digits],
      rejects: [
        "01", ".5", "1.", "1e", "1e100", digits + "1", "1." + digits + "1", "+1", "Infinity", "NaN",
      ])
    try expect(
      #"{"type": "integer"}"#, accepts: ["0", "-17", digits], rejects: ["1.0", "1e2", digits + "1"])
    try expect(
      #"{"type": "number", "multipleOf": 5}"#, accepts: ["0", "-15", "20"],
      rejects: ["5.5", "7", "1e1"])
  }
}
