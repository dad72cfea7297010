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

/// What is done to the text before it is split into words.
indirect enum Normalizer: Sendable {
  case unicode(UnicodeForm)
  case lowercase
  case strip(left: Bool, right: Bool)
  case prepend([UInt8])
  case replace(TextPattern, with: [UInt8])
  case sequence([Normalizer])

  enum UnicodeForm: String, Sendable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"
  }

  /// A normalized text, and whether it still starts where the text given started.
  struct Result {
    var bytes: [UInt8]
    var keepsStart = true
  }

  /// nil where the text is normalized as it is.
  func normalized(_ text: UnsafeBufferPointer<UInt8>) -> Result? {
    if case .unicode(let form) = self, form.isUnchanged(text) { return nil }
    return normalize(Array(text))
  }

  /// What normalizes a later part of a text that is cut before spaces; nil where such parts can't be
  /// normalized one by one.
  var forLaterParts: Normalizer? {
    switch self {
    case .prepend: .sequence([])
    case .replace(.literal([0x20]), let content) where !content.isEmpty: self
    case .sequence(let steps):
      steps.reduce(Optional(Normalizer.sequence([]))) { parts, step in
        guard case .sequence(let known)? = parts, let part = step.forLaterParts else { return nil }
        return .sequence(known + [part])
      }
    default: nil
    }
  }

  func normalize(_ text: [UInt8]) -> Result {
    var result = Result(bytes: text)
    apply(to: &result)
    return result
  }

  private func apply(to result: inout Result) {
    switch self {
    case .unicode(let form): result.bytes = form.normalize(result.bytes)
    case .lowercase:
      guard result.bytes.contains(where: { $0 >= 0x80 || (0x41...0x5A).contains($0) }) else {
        return
      }
      var output: [UInt8] = []
      output.reserveCapacity(result.bytes.count)
      for scalar in String(decoding: result.bytes, as: UTF8.self).unicodeScalars {
        output.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
      }
      result.bytes = output
    case .strip(let left, let right):
      var scalars = String(decoding: result.bytes, as: UTF8.self).unicodeScalars[...]
      if left {
        let count = scalars.count
        scalars = scalars.drop { $0.properties.isWhitespace }
        if scalars.count < count { result.keepsStart = false }
      }
      if right {
        while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
      }
      result.bytes = Array(String(scalars).utf8)
    case .prepend(let prefix):
      if !result.bytes.isEmpty { result.bytes.insert(contentsOf: prefix, at: 0) }
    case .replace(let pattern, let content):
      result.bytes = pattern.replacingMatches(in: result.bytes, with: content)
    case .sequence(let normalizers):
      for normalizer in normalizers { normalizer.apply(to: &result) }
    }
  }
}
