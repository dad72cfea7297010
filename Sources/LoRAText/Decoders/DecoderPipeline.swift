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

  /// What a token adds to a text that has begun; nil if that depends on the tokens round it.
  func bytes(of token: [UInt8]) -> [UInt8]? {
    stages.reduce(Optional(token)) { token, stage in token.flatMap(stage.bytes) }
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
func incompleteTail(of bytes: [UInt8]) -> Int {
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
