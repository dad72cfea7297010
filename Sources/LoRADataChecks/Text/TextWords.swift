/// The words of a text, as numbers that are the same for the same word whatever its case and width.
///
/// Scripts that write words without spaces (Chinese, Japanese, Thai) give a word for every character.
struct TextWords: Sendable {
  /// A sentence: what stands up to a full stop or a line end.
  struct Sentence: Sendable {
    /// Its words' hash.
    let hash: UInt64
    /// Its words in `words`.
    let words: Range<Int>
    /// Its bytes in the text.
    let bytes: Range<Int>
    /// Whether it has digits.
    let hasDigits: Bool
  }

  /// The words.
  private(set) var words: [UInt32] = []
  /// The byte of the text at which each begins.
  private(set) var starts: [Int32] = []
  /// The sentences.
  private(set) var sentences: [Sentence] = []
  /// The number of letters of each script.
  private(set) var letters = ScriptCounts()
  /// A hash of the text without differences of case, width and white space.
  private(set) var hash = TextHash()
  /// The same without the marks that one question has and another has not: full stops, quotes, commas.
  private(set) var plainHash = TextHash()
  /// A hash of its numbers and the signs of arithmetic.
  private(set) var numbers: UInt64 = 0
  /// The number of code points.
  private(set) var characterCount = 0

  init(_ text: String) {
    var text = text
    text.withUTF8 { scan($0) }
  }

  /// The hash of one word, as ``words`` has it.
  static func hash(of word: String) -> UInt32 { TextWords(word).words.first ?? 0 }

  private mutating func scan(_ bytes: UnsafeBufferPointer<UInt8>) {
    words.reserveCapacity(bytes.count / 5 + 1)
    starts.reserveCapacity(bytes.count / 5 + 1)
    var position = 0
    var (word, wordStart): (UInt64, Int) = (0, 0)
    var isNumber = false
    var sentence = SentenceState()
    var (spaceIsDue, plainSpaceIsDue) = (false, false)

    func mixed(_ hash: UInt64, _ value: UInt32) -> UInt64 {
      (hash ^ UInt64(value)) &* 0x9e37_79b9_7f4a_7c15 &+ 0x632b_e59b_d9b4_e019
    }
    func endWord(_ this: inout TextWords) {
      guard word != 0 else { return }
      let hash = UInt32(truncatingIfNeeded: ((word ^ (word >> 29)) &* 0xbf58_476d_1ce4_e5b9) >> 32)
      this.words.append(hash)
      this.starts.append(Int32(truncatingIfNeeded: wordStart))
      sentence.hash = mixed(sentence.hash, hash)
      if isNumber {
        this.numbers = mixed(this.numbers, hash)
        sentence.hasDigits = true
      }
      (word, isNumber) = (0, false)
    }
    func endSentence(_ this: inout TextWords, at end: Int) {
      endWord(&this)
      if this.words.count > sentence.firstWord {
        this.sentences.append(
          Sentence(
            hash: sentence.hash, words: sentence.firstWord..<this.words.count,
            bytes: sentence.start..<end, hasDigits: sentence.hasDigits))
      }
      sentence = SentenceState(start: end, firstWord: this.words.count)
    }

    while position < bytes.count {
      let (scalar, length) = bytes.scalar(at: position)
      characterCount += 1
      let folded = CodePoints.folded(scalar)
      let type = CodePoints.type(of: folded)
      if type == .space {
        spaceIsDue = !hash.isEmpty
        plainSpaceIsDue = !plainHash.isEmpty
      } else {
        if spaceIsDue { hash.combine(0x20) }
        spaceIsDue = false
        hash.combine(folded)
        if !CodePoints.isMark(folded) || bytes.isWithinNumber(position) {
          if plainSpaceIsDue { plainHash.combine(0x20) }
          plainSpaceIsDue = false
          plainHash.combine(folded)
        }
      }
      if word == 0 { wordStart = position }
      switch type {
      case .letter(let script):
        letters.add(script)
        if script.hasNoSpaces {
          endWord(&self)
          wordStart = position
          word = mixed(0, folded)
          endWord(&self)
        } else {
          word = mixed(word, folded)
        }
      case .digit:
        word = mixed(word, folded)
        isNumber = true
      case .space, .other:
        // An apostrophe within a word is left out: don't and dont are one.
        if folded != 0x27 { endWord(&self) }
        let next = position + length
        if CodePoints.isArithmetic(folded), bytes.isOperator(position..<next) {
          numbers = mixed(numbers, folded)
        }
        let endsLine = scalar == 0x0A || scalar == 0x0D
        let ends =
          endsLine || CodePoints.isFullStop(folded)
          || (CodePoints.isStop(folded) && (next == bytes.count || bytes[next] <= 0x20))
        if ends { endSentence(&self, at: endsLine ? position : next) }
      }
      position += length
    }
    endSentence(&self, at: bytes.count)
  }

  private struct SentenceState {
    var start = 0
    var firstWord = 0
    var hash: UInt64 = 0x51ed_270b_27b2_9f4d
    var hasDigits = false
  }
}

/// A hash of 128 bits, in which equal texts are the only ones that are ever equal.
struct TextHash: Sendable, Hashable {
  private(set) var first: UInt64 = 0x2545_f491_4f6c_dd1d
  private(set) var second: UInt64 = 0x9e37_79b9_7f4a_7c15
  private(set) var isEmpty = true

  mutating func combine(_ value: UInt32) {
    isEmpty = false
    first = (first ^ UInt64(value)) &* 0xff51_afd7_ed55_8ccd
    first ^= first >> 33
    second = (second &+ UInt64(value)) &* 0xc4ce_b9fe_1a85_ec53
    second ^= second >> 31
  }

  mutating func combine(_ other: TextHash) {
    for word in [other.first, other.second] {
      combine(UInt32(truncatingIfNeeded: word))
      combine(UInt32(truncatingIfNeeded: word >> 32))
    }
  }

  mutating func combine(_ text: String) {
    for scalar in text.unicodeScalars { combine(scalar.value) }
    combine(0x11_0000)
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// Whether a sign stands between spaces or beside a digit: not as in well-known, or **bold**.
  fileprivate func isOperator(_ sign: Range<Int>) -> Bool {
    let (before, behind) = (byte(sign.lowerBound - 1), byte(sign.upperBound))
    if before <= 0x20, behind <= 0x20 { return true }
    return before.isDigit || behind.isDigit
      || before == 0x20 && byte(sign.lowerBound - 2).isDigit
      || behind == 0x20 && byte(sign.upperBound + 1).isDigit
  }

  /// Whether the byte at `position` stands between two digits.
  fileprivate func isWithinNumber(_ position: Int) -> Bool {
    byte(position - 1).isDigit && byte(position + 1).isDigit
  }

  /// The code point whose UTF-8 begins at `position`, and how many bytes it has. The bytes are valid UTF-8.
  func scalar(at position: Int) -> (value: UInt32, length: Int) {
    let first = UInt32(self[position])
    if first < 0x80 { return (first, 1) }
    let length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    guard position + length <= count else { return (0xFFFD, count - position) }
    var value = first & (0x7F >> UInt32(length))
    for index in 1..<length { value = value << 6 | UInt32(self[position + index] & 0x3F) }
    return (value, length)
  }
}
