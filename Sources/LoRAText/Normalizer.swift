import Foundation

/// A text pattern of `tokenizer.json`: a string or a regular expression.
enum TextPattern: Sendable {
  case literal([UInt8])
  case expression(RegularExpression)

  /// Calls `body` with each match from left to right.
  func forEachMatch(
    in bytes: UnsafeBufferPointer<UInt8>, range: Range<Int>,
    stack: inout [RegularExpression.Choice], _ body: (Int, Int) -> Void
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
    var stack: [RegularExpression.Choice] = []
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

extension Normalizer.UnicodeForm {
  /// Normalizes with the data of Unicode 9, which is what Hugging Face's `tokenizers` has. Code
  /// points that came later are ordinary starters there: they stay, and nothing moves across them.
  func normalize(_ text: [UInt8]) -> [UInt8] {
    if isUnchanged(text) { return text }
    var output: [UInt8] = []
    output.reserveCapacity(text.count)
    var segment = String.UnicodeScalarView()
    func flush() {
      guard !segment.isEmpty else { return }
      output.append(contentsOf: normalize(String(segment)).utf8)
      segment = String.UnicodeScalarView()
    }
    for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
      // Only what can change at all needs its age.
      if scalar.value < 0x300 || UnicodeClasses.isAssigned(scalar.properties, by: 9) {
        segment.append(scalar)
      } else {
        flush()
        output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
      }
    }
    flush()
    return output
  }

  private func normalize(_ text: String) -> String {
    switch self {
    case .nfc: text.precomposedStringWithCanonicalMapping
    case .nfd: text.decomposedStringWithCanonicalMapping
    case .nfkc: text.precomposedStringWithCompatibilityMapping
    case .nfkd: text.decomposedStringWithCompatibilityMapping
    }
  }

  /// Whether the text consists only of code points that this form leaves as they are, whatever their
  /// neighbours: for NFC that is ASCII, Latin letters, kana, ideographs, Hangul syllables, ...
  private func isUnchanged(_ text: [UInt8]) -> Bool {
    text.withUnsafeBufferPointer { bytes in
      var i = 0
      while i < bytes.count {
        let (code, count) = decodeScalar(bytes, at: i)
        i += count
        if code < 0x80 { continue }
        guard self == .nfc else { return false }
        switch code {
        case 0x80..<0x300, 0x400...0x482, 0x48A...0x590, 0x2010...0x2027, 0x2030...0x205E,
          0x2500...0x27BF, 0x3000...0x3029, 0x3030...0x3098, 0x309B...0x31FF, 0x3400...0x4DBF,
          0x4E00...0x9FFF, 0xAC00...0xD7A3, 0xFF01...0xFFEF, 0x1F300...0x1F6FF:
          continue
        default: return false
        }
      }
      return true
    }
  }
}
