import Foundation
import LoRAJSON
import Testing

@testable import LoRAPatterns

/// Files written by Tests/Reference/patterns.py.
private func cases() throws -> [JSONValue] {
  let path = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../Fixtures/patterns/python.json").path
  return try #require(
    try JSONValue(parsing: String(contentsOfFile: path, encoding: .utf8)).arrayValue)
}

/// The places of a text's code points, its end included.
private func places(_ text: [UInt8]) -> [Int] {
  var result = [0]
  while let last = result.last, last < text.count {
    result.append(last + scalarLength(startingWith: text[last]))
  }
  return result
}

@Suite struct PythonDialectTests {
  /// Both ways of matching, and the whole of a text, as Python's `re` has them.
  @Test func matchesAsPythonDoes() throws {
    for one in try cases() {
      let pattern = try #require(one["pattern"]?.stringValue)
      guard let texts = one["texts"]?.arrayValue else {
        #expect(
          throws: RegularExpressionError.self, "\(pattern): \(one["error"]?.stringValue ?? "")"
        ) {
          try RegularExpression(pattern, dialect: .python)
        }
        continue
      }
      let expression = try RegularExpression(pattern, dialect: .python)
      let whole = try RegularExpression(pattern, dialect: .python, matchesWhole: true)
      for (i, text) in texts.enumerated() {
        let text = try #require(text.stringValue)
        #expect(whole.matches(text) == one["whole"]?[i]?.boolValue, "\(pattern) on \(text)")
        let bytes = Array(text.utf8)
        let places = places(bytes)
        bytes.withUnsafeBufferPointer { bytes in
          var search = ThoroughSearch(expression, bytes, from: 0)
          var attempt = RegularExpression.Attempt(stack: RegularExpression.Stack(), steps: 1 << 20)
          for (k, place) in places.enumerated() {
            let number = one["ends"]?[i]?[k]?.intValue ?? -9
            let expected = number < 0 ? number : places[number]
            let label: Comment = "\(pattern) on \(text.debugDescription) at \(k)"
            #expect(search.end(at: place) == expected, label)
            #expect(expression.match(bytes, at: place, attempt: &attempt) == expected, label)
          }
        }
      }
    }
  }

  @Test(arguments: [
    (#"(a)\1"#, "a reference to a group, \\1, at character 3"),
    (#"(?P<x>a)(?P=x)"#, "a reference to a group, (?P=...), at character 8"),
    (#"(a)?(?(1)b|c)"#, "a condition on a group, (?(...)...), at character 4"),
    (#"ab(?<=a+)"#, "a lookbehind without a fixed width at character 2"),
    (#"\N{DIGIT ONE}"#, "the escape \\N at character 0"),
    (#"a|*"#, "a repetition of nothing at character 2"),
    (#"b(?i)"#, "flags of the whole pattern that do not start it at character 1"),
    (#"(a{1,900}){1,900}"#, "a pattern that unrolls to more than 400000 steps"),
  ])
  func namesWhatItRefuses(_ pattern: String, _ message: String) {
    #expect {
      try RegularExpression(pattern, dialect: .python)
    } throws: {
      ($0 as? RegularExpressionError)?.message == message
    }
  }

  @Test func givesTheGroupAskedFor() throws {
    let expression = try RegularExpression(
      #"(?:^|.*?\.)(layers|h)\.(?P<idx>\d+)\."#, dialect: .python, group: "idx")
    #expect(expression.group(in: "model.layers.31.mlp.experts.7.w1") == "31")
    #expect(expression.group(in: "h.4.attn") == "4")
    #expect(expression.group(in: "model.layer.3.q") == nil)
    let last = try RegularExpression(#"(?:(?P<x>[ab])c?)*"#, dialect: .python, group: "x")
    #expect(last.group(in: "acbca") == "a")
    #expect(last.group(in: "acbc") == "b")
  }
}

@Suite struct LinearTimeTests {
  /// Patterns that take exponential or quadratic time by backtracking alone, on texts that would take
  /// years or minutes; where their matches lie is known.
  @Test(arguments: [
    ("(?:(?:a|aa)+)+b", 0), ("(a+)+$", 1), (".*.*.*.*.*.*x", 0), ("(a*)*b", 0), ("(a|b?)*c", 0),
    ("(?:a?){50}b", 0), ("(?=(a+)+c)a", 0), ("(?<=(?:a|a))(?:a+)+b", 0), ("(?>a|aa)+b", 0),
    ("a(?=.*x)|a", 4_000), (".*x|a", 4_000), ("(?:a+b?)*c|a", 4_000), ("(a{1,50}){1,50}b", 0),
    ("(?:(?:(?:a*)*)*)*b", 0), ("(?:a|a|a|a)*b", 0), (#"(?:[a-z]+\s*)*!"#, 0), ("(?:aa)*?b", 0),
  ])
  func staysLinear(_ pattern: String, _ expected: Int) throws {
    let text = [UInt8](repeating: UInt8(ascii: "a"), count: 4_000)
    var count = 0
    let start = ContinuousClock.now
    for dialect in [RegularExpression.Dialect.python, .onigmo] {
      let expression = try RegularExpression(pattern, dialect: dialect)
      var stack = RegularExpression.Stack()
      count = 0
      text.withUnsafeBufferPointer { text in
        expression.forEachMatch(in: text, range: 0..<text.count, stack: &stack) { _, _ in
          count += 1
        }
      }
      #expect(count == expected)
    }
    // Far above what it takes, far below what quadratic time would.
    #expect(ContinuousClock.now - start < .seconds(60))
  }

  /// A search that starts over in the middle of a text finds what backtracking finds.
  @Test func goesOnWhereBacktrackingStops() throws {
    let expression = try RegularExpression("b|(?:a+)+c|aa")
    let text =
      Array(String(repeating: "b", count: 10).utf8)
      + Array(
        String(repeating: "a", count: 3_001).utf8) + Array("bb".utf8)
    var matches: [Range<Int>] = []
    var stack = RegularExpression.Stack()
    text.withUnsafeBufferPointer { text in
      expression.forEachMatch(in: text, range: 0..<text.count, stack: &stack) {
        matches.append($0..<$1)
      }
    }
    #expect(matches.count == 10 + 1_500 + 2)
    #expect(matches.prefix(11).last == 10..<12)
    #expect(matches.suffix(2) == [3_011..<3_012, 3_012..<3_013])
  }
}
