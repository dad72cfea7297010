/// Answers in another language than their questions, where it is not what most answers of the file have.
///
/// A question that is too short to tell counts as one in the file's language if it has words of it, and none of
/// the answer's. Where a question speaks of a language or of translating, that is meant.
struct MixedLanguages: DataDetector {
  private struct Candidate {
    let number: UInt32
    let line: UInt32
    /// The question's language; 255 where it does not say.
    let question: UInt8
    /// Of a question that does not say: which languages it has words of, a bit each in their order in the guess.
    let hints: UInt32
    let answer: UInt8
  }

  private let guess = LanguageGuess()
  private var names: [String] = []
  /// How many answers each language has.
  private var counts: [Int] = []
  private var candidates: [Candidate] = []

  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
    guard let (place, answer) = example.lastAnswer,
      let answerLanguage = guess.language(of: answer.words)
    else { return }
    let answerIndex = index(of: answerLanguage)
    counts[answerIndex] += 1
    guard let question = example.turns[..<place].last(where: { $0.role == "user" }),
      case let questionLanguage = guess.language(of: question.words),
      questionLanguage != answerLanguage,
      !example.turns[..<place].contains(where: { Self.speaksOfLanguages($0.text) })
    else { return }
    candidates.append(
      Candidate(
        number: UInt32(truncatingIfNeeded: example.number),
        line: UInt32(truncatingIfNeeded: example.line),
        question: questionLanguage.map { UInt8(index(of: $0)) } ?? .max,
        hints: questionLanguage == nil ? guess.hints(of: question.words) : 0,
        answer: UInt8(answerIndex)))
  }

  private mutating func index(of name: String) -> Int {
    if let index = names.firstIndex(of: name) { return index }
    names.append(name)
    counts.append(0)
    return names.count - 1
  }

  mutating func finish(_ log: inout FindingLog) {
    guard let most = counts.max() else { return }
    let common = names[counts.firstIndex(of: most) ?? 0]
    for candidate in candidates where counts[Int(candidate.answer)] < most {
      let answer = names[Int(candidate.answer)]
      let question: String
      if candidate.question == .max {
        guard LanguageGuess.hints(candidate.hints, sayOnly: common, not: answer) else { continue }
        question = common
      } else {
        question = names[Int(candidate.question)]
      }
      log.add(
        Finding(
          .language, line: Int(candidate.line), example: Int(candidate.number),
          detail: "the question is in \(question), the answer in \(answer)"))
    }
    candidates = []
  }

  private static let words = [
    "translat", "language", "english", "german", "french", "spanish", "italian", "portuguese",
    "dutch",
    "swedish", "in polish", "into polish", "turkish", "russian", "ukrainian", "japanese", "chinese",
    "korean", "arabic",
    "hebrew", "greek", "hindi", "thai", "latin", "übersetz", "sprache", "englisch", "deutsch",
    "französisch",
    "spanisch", "traduc", "traduir", "traduis", "anglais", "français", "español", "inglés", "tradu",
    "翻訳", "訳し", "英語", "日本語", "中国語", "韓国語", "フランス語", "ドイツ語", "スペイン語", "翻译", "中文", "英文",
  ].map { Array($0.utf8) }

  /// Whether a text names a language, or speaks of translating.
  private static func speaksOfLanguages(_ text: String) -> Bool {
    var lower = text.lowercased()
    return lower.withUTF8 { bytes in
      for index in bytes.indices {
        for word in words where word[0] == bytes[index] && bytes.hasPrefix(word, at: index) {
          return true
        }
      }
      return false
    }
  }
}
