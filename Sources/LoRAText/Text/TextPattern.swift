import LoRAPatterns

/// A text pattern of `tokenizer.json`: a string or a regular expression.
enum TextPattern: Sendable {
  case literal([UInt8])
  case expression(RegularExpression)

  /// Calls `body` with each match from left to right.
  func forEachMatch(
    in bytes: UnsafeBufferPointer<UInt8>, range: Range<Int>,
    stack: inout RegularExpression.Stack, _ body: (Int, Int) -> Void
  ) {
    switch self {
    case .expression(let expression):
      expression.forEachMatch(in: bytes, range: range, stack: &stack, body)
    case .literal(let literal):
      var position = range.lowerBound
      while position + literal.count <= range.upperBound {
        var i = 0
        while i < literal.count, bytes[position + i] == literal[i] { i += 1 }
        if i == literal.count {
          body(position, position + i)
          position += i
        } else {
          position += 1
        }
      }
    }
  }

  /// The text with every match replaced.
  func replacingMatches(in text: [UInt8], with content: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(text.count)
    var stack = RegularExpression.Stack()
    text.withUnsafeBufferPointer { bytes in
      var done = 0
      forEachMatch(in: bytes, range: 0..<bytes.count, stack: &stack) { start, end in
        output.append(contentsOf: bytes[done..<start])
        output.append(contentsOf: content)
        done = end
      }
      output.append(contentsOf: bytes[done...])
    }
    return output
  }
}
