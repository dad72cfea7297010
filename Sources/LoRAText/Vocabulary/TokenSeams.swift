import LoRAPatterns

/// Between which code points no token of a vocabulary goes on: where neighbours stand next to each
/// other in no token, no merge can ever join them, and a word may be cut there and encoded in parts.
struct TokenSeams: Sendable {
  /// Open addressing over pairs of code points that stand in some token; 0 where free.
  private var pairs: [UInt64]
  private var count = 0
  /// The code points below this that are tokens of their own, and the others.
  private var isOwn = [Bool](repeating: false, count: 0x400)
  private var others: Set<UInt32> = []

  init(of vocabulary: Vocabulary) {
    pairs = [UInt64](repeating: 0, count: 1 << 10)
    for id in 0..<vocabulary.idCount {
      vocabulary.withSpelling(of: id) { text in
        var previous: UInt32?
        var position = 0
        while position < text.count {
          let (code, count) = decodeScalar(text, at: position)
          if let previous { insert(previous, code) }
          previous = code
          position += count
          guard count == text.count else { continue }
          if code < 0x400 { isOwn[Int(code)] = true } else { others.insert(code) }
        }
      }
    }
  }

  private func key(_ left: UInt32, _ right: UInt32) -> UInt64 {
    (UInt64(left) << 32 | UInt64(right)) + 1
  }

  @inline(__always)
  private func slot(_ key: UInt64) -> Int {
    let mask = pairs.count - 1
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while pairs[slot] != 0, pairs[slot] != key { slot = (slot + 1) & mask }
    return slot
  }

  private mutating func insert(_ left: UInt32, _ right: UInt32) {
    let key = key(left, right)
    let place = slot(key)
    guard pairs[place] == 0 else { return }
    pairs[place] = key
    count += 1
    guard 2 * count > pairs.count else { return }
    let old = pairs
    pairs = [UInt64](repeating: 0, count: 2 * old.count)
    for key in old where key != 0 { pairs[slot(key)] = key }
  }

  private func isToken(_ code: UInt32) -> Bool {
    code < 0x400 ? isOwn[Int(code)] : others.contains(code)
  }

  /// Whether a word may be cut between two code points. Both must be tokens: what is not may be told
  /// from its neighbours by its bytes alone.
  func isSeam(_ left: UInt32, _ right: UInt32) -> Bool {
    pairs[slot(key(left, right))] == 0 && isToken(left) && isToken(right)
  }

  /// Calls `body` with the parts of a word from left to right.
  func forEachPart(
    of word: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    guard !word.isEmpty else { return }
    var start = 0
    var (previous, position) = decodeScalar(word, at: 0)
    while position < word.count {
      let (code, count) = decodeScalar(word, at: position)
      if isSeam(previous, code) {
        body(UnsafeBufferPointer(rebasing: word[start..<position]))
        start = position
      }
      previous = code
      position += count
    }
    body(UnsafeBufferPointer(rebasing: word[start...]))
  }
}
