import LoRAPatterns

/// One decoder and what it holds back.
struct DecoderStage: Sendable {
  enum Kind: Sendable {
    case byteLevel
    case byteFallback
    case fuse
    case strip(content: [UInt8], start: Int, stop: Int)
    case replace(TextPattern, with: [UInt8])
    case metaspace(replacement: [UInt8], dropsFirst: Bool)
    /// A space between tokens, but none before those with the prefix of a word's later pieces.
    case wordPiece(prefix: [UInt8], cleansUp: Bool)
    /// A space after each token with the suffix of words' ends, instead of it.
    case wordEnds(suffix: [UInt8])
    /// Speech's tokens, one a moment: repetitions and pads go.
    case ctc(pad: [UInt8], wordDelimiter: [UInt8], cleansUp: Bool)
    case sentencePiece(SentencePieceDecoding)
    /// What is done where there is no decoder: a space between tokens.
    case join
  }

  let kind: Kind
  /// Whether all text is one token by now, of which what comes in are parts.
  let onFusedText: Bool
  private var held: [UInt8] = []
  private var isFirst = true
  private var stripped = 0
  private var pieces = SentencePieceDecoding.State()

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
    case .sentencePiece(let decoding):
      return tokens.map { decoding.text(of: $0, &pieces) }
    case .ctc(let pad, let wordDelimiter, let cleansUp):
      guard !onFusedText else {
        for token in tokens { held += token }
        return []
      }
      return tokens.compactMap { token in
        defer { (held, isFirst) = (token, false) }
        if !isFirst, token == held { return nil }
        let text = Self.spoken(token, pad, wordDelimiter, cleansUp)
        return text.isEmpty ? nil : text
      }
    case .join:
      return tokens.map { token in
        defer { isFirst = false }
        return isFirst ? token : [0x20] + token
      }
    case .wordPiece(let prefix, let cleansUp):
      guard !onFusedText else {
        for token in tokens { held += token }
        return []
      }
      return tokens.map { token in
        defer { isFirst = false }
        var text = token
        if !isFirst {
          if !prefix.isEmpty, token.starts(with: prefix) {
            text.removeFirst(prefix.count)
          } else if !prefix.isEmpty {
            text.insert(0x20, at: 0)
          }
        }
        return cleansUp ? Self.cleaned(text) : text
      }
    case .wordEnds(let suffix):
      // The last token has no space behind it, and which that is shows at the end.
      guard !onFusedText else {
        for token in tokens { held += token }
        return []
      }
      var output: [[UInt8]] = []
      for token in tokens {
        if !isFirst {
          output.append(TextPattern.literal(suffix).replacingMatches(in: held, with: [0x20]))
        }
        isFirst = false
        held = token
      }
      return output
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
    case .sentencePiece(let decoding): return [decoding.finish(&pieces)]
    case .ctc(let pad, let wordDelimiter, let cleansUp):
      return onFusedText ? [Self.spoken(held, pad, wordDelimiter, cleansUp)] : []
    case .replace(let pattern, let content):
      return held.isEmpty ? [] : [pattern.replacingMatches(in: held, with: content)]
    case .strip(let content, let start, let stop):
      return held.isEmpty
        ? [] : [Self.strip(held, content, start: max(0, start - stripped), stop: stop)]
    case .wordPiece(_, let cleansUp):
      return held.isEmpty ? [] : [cleansUp ? Self.cleaned(held) : held]
    case .wordEnds(let suffix):
      return held.isEmpty
        ? [] : [TextPattern.literal(suffix).replacingMatches(in: held, with: [])]
    case .fuse, .join, .metaspace: return []
    }
  }

  // MARK: Word pieces

  /// The replacements of spaces that a tokenizer of words has put in, one after the other.
  private static let cleaning: [(TextPattern, [UInt8])] = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
    (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ].map { (.literal(Array($0.0.utf8)), Array($0.1.utf8)) }

  private static func cleaned(_ text: [UInt8]) -> [UInt8] {
    guard text.contains(0x20) else { return text }
    return cleaning.reduce(text) { $1.0.replacingMatches(in: $0, with: $1.1) }
  }

  // MARK: Speech

  private static func spoken(
    _ token: [UInt8], _ pad: [UInt8], _ wordDelimiter: [UInt8], _ cleansUp: Bool
  ) -> [UInt8] {
    let text = TextPattern.literal(pad).replacingMatches(in: token, with: [])
    guard cleansUp else { return text }
    return TextPattern.literal(wordDelimiter).replacingMatches(in: cleaned(text), with: [0x20])
  }

  // MARK: Byte fallback

  static func byte(of token: [UInt8]) -> UInt8? {
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

  static func strip(
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
