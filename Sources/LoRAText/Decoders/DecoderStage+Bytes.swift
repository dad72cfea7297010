extension DecoderStage {
  /// What a token becomes within a text, neither first nor last; nil if that depends on its neighbours.
  func bytes(of token: [UInt8]) -> [UInt8]? {
    switch kind {
    case .byteLevel: return ByteLevelAlphabet.bytes(of: token) ?? token
    case .byteFallback: return Self.byte(of: token).map { [$0] } ?? token
    case .fuse: return token
    case .strip(let content, let start, let stop):
      // Of a text that is one by now, only the ends are stripped.
      if onFusedText { return stop == 0 ? token : nil }
      return Self.strip(token, content, start: start, stop: stop)
    case .replace(let pattern, let content):
      if onFusedText {
        guard case .literal(let literal) = pattern, literal.count == 1 else { return nil }
      }
      return pattern.replacingMatches(in: token, with: content)
    case .metaspace(let replacement, let dropsFirst):
      return TextPattern.literal(replacement)
        .replacingMatches(in: token, with: dropsFirst && onFusedText ? [] : [0x20])
    case .sentencePiece(let decoding): return decoding.bytes(of: token)
    case .wordPiece, .wordEnds, .join, .ctc: return nil
    }
  }
}
