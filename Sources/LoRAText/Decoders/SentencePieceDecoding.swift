import LoRAPatterns

/// How SentencePiece makes a text of its pieces: spaces for "\u{2581}" but before the text, bytes
/// joined to characters, a sign for what was unknown.
///
/// Source: `SentencePieceProcessor::Decode` of sentencepiece 0.2.
struct SentencePieceDecoding: Sendable {
  var unknown: [UInt8]
  var unknownSurface: [UInt8]
  var hasBytes: Bool
  /// Whether one space before the text is the normalizer's.
  var dropsSpace: Bool
  /// Whether all are.
  var dropsSpaces: Bool

  /// What is remembered from token to token.
  struct State: Sendable {
    fileprivate var bytes: [UInt8] = []
    fileprivate var isAtStart = true
    fileprivate var hasDroppedSpace = false
    fileprivate var hasText = false
  }

  private static let space: [UInt8] = [0xE2, 0x96, 0x81]

  /// The text that a token settles; an empty one stands for a token that is left out.
  func text(of token: [UInt8], _ state: inout State) -> [UInt8] {
    if hasBytes, let byte = DecoderStage.byte(of: token) {
      state.bytes.append(byte)
      return characters(&state, isEnd: false)
    }
    let before = finish(&state)
    if state.hasDroppedSpace || state.hasText { state.isAtStart = false }
    var output = (token == unknown ? unknownSurface : token)[...]
    state.hasDroppedSpace = false
    if token != unknown {
      if state.isAtStart, dropsSpace, output.starts(with: Self.space) {
        output = output.dropFirst(Self.space.count)
        state.hasDroppedSpace = !dropsSpaces
      }
      output =
        TextPattern.literal(Self.space).replacingMatches(in: Array(output), with: [0x20])[...]
    }
    if !output.isEmpty { state.hasText = true }
    return before + output
  }

  /// What a token is within a text.
  func bytes(of token: [UInt8]) -> [UInt8] {
    if hasBytes, let byte = DecoderStage.byte(of: token) { return [byte] }
    if token == unknown { return unknownSurface }
    return TextPattern.literal(Self.space).replacingMatches(in: token, with: [0x20])
  }

  /// The text of the bytes that are left.
  func finish(_ state: inout State) -> [UInt8] { characters(&state, isEnd: true) }

  /// The characters that bytes have become, and U+FFFD for each byte that can't become one.
  private func characters(_ state: inout State, isEnd: Bool) -> [UInt8] {
    var output: [UInt8] = []
    while let first = state.bytes.first {
      let length = first < 0x80 ? 1 : scalarLength(startingWith: first)
      let candidate = Array(state.bytes.prefix(length))
      if candidate.count == length, String(validating: candidate, as: UTF8.self) != nil {
        output += candidate
        state.bytes.removeFirst(length)
      } else if !isEnd, incompleteTail(of: state.bytes) == state.bytes.count {
        break
      } else {
        output += [0xEF, 0xBF, 0xBD]
        state.bytes.removeFirst()
      }
    }
    if !output.isEmpty { state.hasText = true }
    return output
  }
}
