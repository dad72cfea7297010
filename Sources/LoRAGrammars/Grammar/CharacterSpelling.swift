/// How a character is written in the output.
enum CharacterSpelling: Hashable {
  /// As it is, in UTF-8.
  case plain
  /// Within a JSON string: as it is, by a short escape, or as `\uXXXX`, of which characters beyond
  /// the basic plane take two.
  case json
  /// The same, but printable characters of ASCII are not written as `\uXXXX`.
  case sparingJSON

  struct Key: Hashable {
    var ranges: [ClosedRange<UInt32>]
    var spelling: CharacterSpelling
  }

  /// One digit of a code: how many bits it has, and the bytes that stand for a value.
  fileprivate struct Digit {
    var bits: UInt32
    var bytes: @Sendable (UInt32) -> [UInt8]
    /// What stands before the digit.
    var prefix: [UInt8] = []
  }

  fileprivate static func hexadecimal(_ value: UInt32) -> [UInt8] {
    let value = UInt8(truncatingIfNeeded: value)
    return value < 10 ? [0x30 + value] : [0x37 + value, 0x57 + value]
  }

  private static func lead(_ marker: UInt8, bits: UInt32) -> Digit {
    Digit(bits: bits) { [marker | UInt8(truncatingIfNeeded: $0)] }
  }

  private static let continuation = lead(0x80, bits: 6)
  private static let nibble = Digit(bits: 4, bytes: hexadecimal)

  /// The code points of each length in UTF-8, with what is subtracted, and their digits.
  fileprivate static let utf8: [(range: ClosedRange<UInt32>, digits: [Digit])] = [
    (0x80...0x7FF, [lead(0xC0, bits: 5), continuation]),
    (0x800...0xFFFF, [lead(0xE0, bits: 4), continuation, continuation]),
    (0x10000...0x10FFFF, [lead(0xF0, bits: 3), continuation, continuation, continuation]),
  ]

  /// The digits of an escape behind its `\u`.
  fileprivate static let escape = [nibble, nibble, nibble, nibble]

  /// The digits of a pair of escapes behind the first `\u`, of the code minus 0x10000.
  fileprivate static let pair: [Digit] = [
    Digit(bits: 2, bytes: { hexadecimal(8 + $0) }, prefix: Array("D".utf8)), nibble, nibble,
    Digit(bits: 2, bytes: { hexadecimal(12 + $0) }, prefix: Array("\\uD".utf8)), nibble, nibble,
  ]

  /// The short escapes and what they stand for.
  fileprivate static let short: [(UInt32, UInt8)] = [
    (0x22, 0x22), (0x5C, 0x5C), (0x2F, 0x2F), (0x08, 0x62), (0x0C, 0x66), (0x0A, 0x6E),
    (0x0D, 0x72), (0x09, 0x74),
  ]
}

extension GrammarBuilder {
  /// The part that spells one character of the set: its first state. `ranges` ascend.
  mutating func spelling(
    of ranges: [ClosedRange<UInt32>], as spelling: CharacterSpelling
  ) -> Int32 {
    let key = CharacterSpelling.Key(ranges: ranges, spelling: spelling)
    if let known = spellings[key] { return known }
    var edges: [Grammar.Edge] = []
    let raw: [ClosedRange<UInt32>] =
      spelling == .plain ? [0...0x7F] : [0x20...0x21, 0x23...0x5B, 0x5D...0x7F]
    for range in raw {
      for part in overlap(ranges, range) {
        edges.append(
          Grammar.Edge(
            low: UInt8(part.lowerBound), high: UInt8(part.upperBound), target: end))
      }
    }
    for (range, digits) in CharacterSpelling.utf8 {
      edges += digitEdges(overlap(ranges, range), digits[...])
    }
    if spelling != .plain {
      var escapes = CharacterSpelling.short
        .filter { code, _ in ranges.contains { $0.contains(code) } }
        .map { Grammar.Edge(low: $1, high: $1, target: end) }
      let basic = digitEdges(
        spelling == .json
          ? overlap(ranges, 0...0xFFFF)
          : overlap(ranges, 0...0x1F) + overlap(ranges, 0x7F...0xFFFF),
        CharacterSpelling.escape[...])
      let pairs = overlap(ranges, 0x10000...0x10FFFF)
        .map { $0.lowerBound - 0x10000...$0.upperBound - 0x10000 }
      let all = basic + digitEdges(pairs, CharacterSpelling.pair[...])
      if !all.isEmpty {
        escapes.append(Grammar.Edge(low: 0x75, high: 0x75, target: sharedState(all)))
      }
      if !escapes.isEmpty {
        edges.append(Grammar.Edge(low: 0x5C, high: 0x5C, target: sharedState(escapes)))
      }
    }
    let state = sharedState(edges)
    spellings[key] = state
    return state
  }

  /// The edges for the first of `digits`, where the codes of all are in `ranges`.
  private mutating func digitEdges(
    _ ranges: [ClosedRange<UInt32>], _ digits: ArraySlice<CharacterSpelling.Digit>
  ) -> [Grammar.Edge] {
    guard let digit = digits.first, !ranges.isEmpty else { return [] }
    let rest = digits.dropFirst()
    let shift = rest.reduce(0) { $0 + $1.bits }
    var targets: [UInt8: Int32] = [:]
    // Values whose remaining digits are free share one state, as do others that are alike.
    var value = ranges[0].lowerBound >> shift
    var free: Int32?
    for range in ranges {
      value = max(value, range.lowerBound >> shift)
      while value << shift <= range.upperBound {
        let block = value << shift...(value << shift | ((1 << shift) - 1))
        let isFree = range.lowerBound <= block.lowerBound && block.upperBound <= range.upperBound
        let target: Int32
        if isFree, let free {
          target = free
        } else {
          let parts = overlap(ranges, block)
            .map { $0.lowerBound - block.lowerBound...$0.upperBound - block.lowerBound }
          target = rest.isEmpty ? end : sharedState(digitEdges(parts, rest))
          if isFree { free = target }
        }
        for byte in digit.bytes(value) { targets[byte] = target }
        value += 1
      }
    }
    var edges: [Grammar.Edge] = []
    for (byte, target) in targets.sorted(by: { $0.key < $1.key }) {
      if let last = edges.last, last.target == target, last.high + 1 == byte {
        edges[edges.count - 1].high = byte
      } else {
        edges.append(Grammar.Edge(low: byte, high: byte, target: target))
      }
    }
    for byte in digit.prefix.reversed() {
      // Hexadecimal letters of either case; a backslash and a "u" are one byte each.
      let spellings: [UInt8] = byte == 0x44 ? [0x44, 0x64] : [byte]
      let inner = sharedState(edges)
      edges = spellings.map { Grammar.Edge(low: $0, high: $0, target: inner) }
    }
    return edges
  }

  private func overlap(
    _ ranges: [ClosedRange<UInt32>], _ window: ClosedRange<UInt32>
  ) -> [ClosedRange<UInt32>] {
    ranges.filter { $0.overlaps(window) }.map { $0.clamped(to: window) }
  }
}
