/// A set of tokens of a vocabulary, one bit each.
public struct TokenMask: Sendable, Hashable {
  /// How many ids the vocabulary has.
  public let vocabularySize: Int
  /// The bits, 64 in a word: id `i` is bit `i % 64` of word `i / 64`.
  public internal(set) var words: [UInt64]

  init(vocabularySize: Int) {
    self.vocabularySize = vocabularySize
    words = [UInt64](repeating: 0, count: (vocabularySize + 63) / 64)
  }

  /// Whether a token is one of the set.
  public func contains(_ id: Int) -> Bool {
    id >= 0 && id < vocabularySize && words[id >> 6] >> UInt64(id & 63) & 1 == 1
  }

  /// How many tokens the set has.
  public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// Whether no token is one of the set.
  public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

  /// The tokens in ascending order.
  public var ids: [Int] {
    var ids: [Int] = []
    ids.reserveCapacity(count)
    for (i, word) in words.enumerated() {
      var rest = word
      while rest != 0 {
        ids.append(i << 6 + rest.trailingZeroBitCount)
        rest &= rest - 1
      }
    }
    return ids
  }

  mutating func insert(_ id: Int) { words[id >> 6] |= 1 << UInt64(id & 63) }
}
