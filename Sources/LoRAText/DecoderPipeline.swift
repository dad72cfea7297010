import LoRAPatterns

/// The decoders of a `tokenizer.json`, one behind the other, fed token by token.
///
/// Decoding all at once is the same pipeline, fed with everything; so a streamed text cannot differ
/// from a decoded one.
struct DecoderPipeline: Sendable {
  private var stages: [DecoderStage]
  /// The bytes of a code point that is not complete yet.
  private var incomplete: [UInt8] = []

  init(_ kinds: [DecoderStage.Kind]) {
    var isFused = false
    stages = kinds.map { kind in
      let stage = DecoderStage(kind, onFusedText: isFused)
      switch kind {
      case .fuse, .byteLevel: isFused = true
      default: break
      }
      return stage
    }
  }

  /// The text that a token settles.
  mutating func append(_ token: [UInt8]) -> String {
    text(run([token], from: 0))
  }

  /// The rest of the text; the pipeline must not be used any more.
  mutating func finish() -> String {
    var output = ""
    for i in stages.indices {
      let rest = stages[i].finish()
      output += text(run(rest, from: i + 1))
    }
    let end = String(decoding: incomplete, as: UTF8.self)
    incomplete = []
    return output + end
  }

  private mutating func run(_ tokens: [[UInt8]], from first: Int) -> [[UInt8]] {
    var tokens = tokens
    for i in stages.indices.dropFirst(first) { tokens = stages[i].push(tokens) }
    return tokens
  }

  private mutating func text(_ tokens: [[UInt8]]) -> String {
    var bytes = incomplete
    for token in tokens { bytes += token }
    let complete = bytes.count - incompleteTail(of: bytes)
    incomplete = Array(bytes[complete...])
    return String(decoding: bytes[..<complete], as: UTF8.self)
  }
}

/// How many bytes at the end could be the start of a code point that is not complete.
private func incompleteTail(of bytes: [UInt8]) -> Int {
  for length in 1...3 where length <= bytes.count {
    let first = bytes[bytes.count - length]
    guard first & 0xC0 != 0x80 else { continue }
    guard first >= 0xC2, first <= 0xF4, scalarLength(startingWith: first) > length else { return 0 }
    guard length > 1 else { return 1 }
    // The second byte settles whether a code point can still come of it.
    let second = bytes[bytes.count - length + 1]
    let allowed: ClosedRange<UInt8> =
      switch first {
      case 0xE0: 0xA0...0xBF
      case 0xED: 0x80...0x9F
      case 0xF0: 0x90...0xBF
      case 0xF4: 0x80...0x8F
      default: 0x80...0xBF
      }
    return allowed.contains(second) ? length : 0
  }
  return 0
}

/// One decoder and what it holds back.
struct DecoderStage: Sendable {
  enum Kind: Sendable {
    case byteLevel
    case byteFallback
    case fuse
    case strip(content: [UInt8], start: Int, stop: Int)
    case replace(TextPattern, with: [UInt8])
    case metaspace(replacement: [UInt8], dropsFirst: Bool)
    /// What is done where there is no decoder: a space between tokens.
    case join
  }

  private let kind: Kind
  /// Whether all text is one token by now, of which what comes in are parts.
  private let onFusedText: Bool
  private var held: [UInt8] = []
  private var isFirst = true
  private var stripped = 0

  init(_ kind: Kind, onFusedText: Bool) {
    self.kind = kind
    self.onFusedText = onFusedText
  }

  mutating func push(_ tokens: [[UInt8]]) -> [[UInt8]] {
    switch kind {
    case .fuse: return tokens
    case .byteLevel:
      // Ill-formed bytes are repaired where the text leaves the pipeline or is looked at again.
      return tokens.map { token in
        held += ByteLevelAlphabet.bytes(of: token) ?? token
        let complete = held.count - incompleteTail(of: held)
        defer { held.removeFirst(complete) }
        return Array(String(decoding: held[..<complete], as: UTF8.self).utf8)
      }
    case .byteFallback:
      var output: [[UInt8]] = []
      for token in tokens {
        if let byte = Self.byte(of: token) {
          held.append(byte)
        } else {
          output += takeByteRun()
          output.append(token)
        }
      }
      return output
    case .join:
      return tokens.map { token in
        defer { isFirst = false }
        return isFirst ? token : [0x20] + token
      }
    case .metaspace(let replacement, let dropsFirst):
      return tokens.map { token in
        defer { isFirst = false }
        let drops = dropsFirst && (isFirst || onFusedText)
        return TextPattern.literal(replacement)
          .replacingMatches(in: token, with: drops ? [] : [0x20])
      }
    case .replace(let pattern, let content):
      guard onFusedText else {
        return tokens.map { pattern.replacingMatches(in: $0, with: content) }
      }
      for token in tokens { held += token }
      guard case .literal(let literal) = pattern else { return [] }
      return [takeReplaced(literal, with: content, keeping: literal.count - 1)]
    case .strip(let content, let start, let stop):
      guard onFusedText else {
        return tokens.map { Self.strip($0, content, start: start, stop: stop) }
      }
      return tokens.map { stripPart($0, content, start: start, stop: stop) }
    }
  }

  mutating func finish() -> [[UInt8]] {
    defer { held = [] }
    switch kind {
    case .byteLevel: return held.isEmpty ? [] : [Array(String(decoding: held, as: UTF8.self).utf8)]
    case .byteFallback: return takeByteRun()
    case .replace(let pattern, let content):
      return held.isEmpty ? [] : [pattern.replacingMatches(in: held, with: content)]
    case .strip(let content, let start, let stop):
      return held.isEmpty
        ? [] : [Self.strip(held, content, start: max(0, start - stripped), stop: stop)]
    case .fuse, .join, .metaspace: return []
    }
  }

  // MARK: Byte fallback

  private static func byte(of token: [UInt8]) -> UInt8? {
    guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">") else {
      return nil
    }
    return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
  }

  /// The text of a run of byte tokens, or one U+FFFD for each if they are not UTF-8 as a whole.
  private mutating func takeByteRun() -> [[UInt8]] {
    guard !held.isEmpty else { return [] }
    defer { held = [] }
    if String(validating: held, as: UTF8.self) != nil { return [held] }
    return held.map { _ in [0xEF, 0xBF, 0xBD] }
  }

  // MARK: Replacing in fused text

  private mutating func takeReplaced(
    _ literal: [UInt8], with content: [UInt8], keeping tail: Int
  ) -> [UInt8] {
    var output: [UInt8] = []
    var position = 0
    while position + tail < held.count {
      if held[position...].starts(with: literal) {
        output += content
        position += literal.count
      } else {
        output.append(held[position])
        position += 1
      }
    }
    held.removeFirst(min(position, held.count))
    return output
  }

  // MARK: Stripping

  private static func strip(
    _ token: [UInt8], _ content: [UInt8], start: Int, stop: Int
  ) -> [UInt8] {
    var text = token[...]
    for _ in 0..<start {
      guard text.starts(with: content) else { break }
      text = text.dropFirst(content.count)
    }
    for _ in 0..<stop {
      guard text.suffix(content.count).elementsEqual(content) else { break }
      text = text.dropLast(content.count)
    }
    return Array(text)
  }

  /// Strips a part of a text: at its start what is left to strip; its end is held back as far as it
  /// may have to be stripped.
  private mutating func stripPart(
    _ part: [UInt8], _ content: [UInt8], start: Int, stop: Int
  ) -> [UInt8] {
    held += part
    if isFirst {
      while stripped < start, held.starts(with: content) {
        held.removeFirst(content.count)
        stripped += 1
      }
      if stripped < start {
        // Too short to tell yet.
        if held.count < content.count, content.starts(with: held) { return [] }
        stripped = start
      }
      isFirst = false
    }
    var kept = 0
    while kept < stop * content.count,
      held.dropLast(kept).suffix(content.count).elementsEqual(content)
    { kept += content.count }
    // A part may end within the content's bytes.
    for length in 1..<max(content.count, 1) where kept == 0 && stop > 0 {
      if held.suffix(length).elementsEqual(content.prefix(length)) { kept = max(kept, length) }
    }
    let emitted = Array(held.dropLast(kept))
    held = Array(held.suffix(kept))
    return emitted
  }
}
