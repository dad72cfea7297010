/// Answers that say one thing again and again, as a model does that got stuck.
struct RepeatedPhrases: DataDetector {
  /// The longest phrase, in words, whose immediate repetition is looked for.
  private static let longest = 40
  /// How often a letter follows itself at least: nobody cries longer. Of several, twice as many letters.
  private static let leastLetters = 50

  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
    for turn in example.turns where turn.role == "assistant" || turn.role == "text" {
      if let problem = Self.letter(turn) ?? Self.loop(turn) ?? Self.sentence(turn) {
        log.add(.repetition, in: example, problem)
        return
      }
    }
  }

  /// A letter that follows itself, or up to four within a word; lines and leaders are drawn of other signs.
  private static func letter(_ turn: CheckedExample.Turn) -> String? {
    var text = turn.text
    return text.withUTF8 { bytes in
      for period in 1...4 where bytes.count > period {
        var length = 0
        for index in period..<bytes.count {
          let byte = bytes[index]
          guard byte == bytes[index - period], byte.isLowercase || byte.isUppercase else {
            length = 0
            continue
          }
          length += 1
          if length + period == leastLetters * (period == 1 ? 1 : 2) {
            return period == 1
              ? "a letter follows itself more than \(leastLetters) times"
              : "\(period) letters follow themselves \(2 * leastLetters / period) times"
          }
        }
      }
      return nil
    }
  }

  /// A phrase that follows itself.
  private static func loop(_ turn: CheckedExample.Turn) -> String? {
    let words = turn.words.words
    guard words.count >= 12 else { return nil }
    let common = turn.words.letters[.han] + turn.words.letters[.kana] > words.count / 2
    for period in 1...min(longest, words.count / 3) {
      var length = 0
      for index in period..<words.count {
        length = words[index] == words[index - period] ? length + 1 : 0
        let times = length / period + 1
        // "No, no, no" is said, and "ha ha ha ha": the shorter the phrase, the more often.
        let least = period == 1 ? 10 : period == 2 ? 8 : period <= 4 ? 6 : 4
        let covered = length + period
        if times >= least, covered >= (common ? 24 : 16),
          turn.words.hasLetters(in: index + 1 - covered..<index + 1)
        {
          return "a phrase of \(period) word\(period == 1 ? "" : "s") follows itself \(times) times"
        }
      }
    }
    return nil
  }

  /// A sentence that comes back, anywhere in the text.
  private static func sentence(_ turn: CheckedExample.Turn) -> String? {
    guard turn.words.sentences.count >= 4,
      turn.words.hasLetters(in: turn.words.words.indices)
    else { return nil }
    var counts: [UInt64: Int] = [:]
    var repeated = 0
    for sentence in turn.words.sentences where sentence.words.count >= 5 {
      counts[sentence.hash, default: 0] += 1
      if counts[sentence.hash] ?? 0 > 1 { repeated += sentence.words.count }
    }
    guard let most = counts.values.max(), most >= 4, repeated * 2 >= turn.words.words.count else {
      return nil
    }
    return "a sentence is there \(most) times"
  }
}

extension TextWords {
  /// Whether not all words of a range are numbers: rows of zeros are tables.
  fileprivate func hasLetters(in range: Range<Int>) -> Bool {
    letters.total > range.count / 2
  }
}
