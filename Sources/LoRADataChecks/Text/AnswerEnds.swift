/// What an answer may have in common with many others without a full stop before it: its last words, what
/// stands last in brackets or behind a dash, or all of it.
enum AnswerEnds {
  /// The fewest words of an end, and signs of scripts without spaces: fewer are how one speaks.
  static let leastWords = 8
  static let leastSigns = 16
  /// The fewest words of an end that marks set apart.
  static let leastApart = 5

  /// Which end it is.
  enum Kind: UInt64 {
    /// The last words.
    case words = 1
    /// What stands behind the last bracket, dash or colon.
    case apart
    /// The whole answer.
    case whole
  }

  /// The ends of an answer, each a range of its words.
  static func ends(
    of text: String, _ words: TextWords
  ) -> [(kind: Kind, words: Range<Int>)] {
    let count = words.words.count
    guard count >= leastApart else { return [] }
    var text = text
    return text.withUTF8 { bytes in
      /// The fewest words of an end that begins at a word and is mostly of signs, or not.
      func least(_ start: Int, _ words: TextWords) -> Int {
        let signs = words.starts[start...].count { (0xE3...0xE9).contains(bytes[Int($0)]) }
        return signs * 2 > count - start ? leastSigns : leastWords
      }
      var ends: [(Kind, Range<Int>)] = []
      if count >= least(0, words), isProse(bytes, from: 0) { ends.append((.whole, 0..<count)) }
      // An answer says something else too.
      let tail = count - least(max(0, count - leastWords), words)
      if tail >= 3, isProse(bytes, from: Int(words.starts[tail])) {
        ends.append((.words, tail..<count))
      }
      if let start = startApart(bytes, words), start > tail || tail < 3, start >= 3,
        count - start >= (least(start, words) == leastSigns ? leastSigns / 2 : leastApart),
        isProse(bytes, from: Int(words.starts[start]))
      {
        ends.append((.apart, start..<count))
      }
      return ends
    }
  }

  /// The first word behind the last mark that sets an end apart; nil without one.
  private static func startApart(_ bytes: UnsafeBufferPointer<UInt8>, _ words: TextWords) -> Int? {
    let count = words.words.count
    // No more than the words of an end are looked at.
    for index in stride(from: count - 1, through: max(1, count - 2 * leastWords), by: -1) {
      var position = Int(words.starts[index]) - 1
      while position >= 0, position > Int(words.starts[index - 1]), isBetween(bytes, position) {
        if setsApart(bytes, position) { return index }
        position -= 1
      }
    }
    return nil
  }

  /// Whether a byte is none of a word: a sign, a space, or part of a dash that is no ASCII.
  private static func isBetween(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int) -> Bool {
    !bytes[position].isAlphanumeric
  }

  private static func setsApart(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int) -> Bool {
    switch bytes[position] {
    case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "*"), 0x0A: true
    case UInt8(ascii: "-"), UInt8(ascii: ":"): bytes.byte(position + 1) == 0x20
    // The last byte of – and —, of which the first two are E2 80.
    case 0x93, 0x94: bytes.byte(position - 1) == 0x80 && bytes.byte(position - 2) == 0xE2
    default: false
    }
  }

  /// Whether the text from `start` on has neither digits nor signs of code: programs and tables end alike.
  private static func isProse(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Bool {
    bytes[start...].allSatisfy { byte in
      byte >= 0x80 || byte.isUppercase || byte.isLowercase || byte <= 0x20 || prose.contains(byte)
    }
  }

  private static let prose = Set(".,!?'\"-():*[]".utf8)
}
