/// Judges answers.
public enum AnswerChecker {
  /// Whether an answer is, but for white space around it, exactly the base's.
  public static func isCorrect(_ answer: String, for exchange: Exchange) -> Bool {
    trimmed(answer) == exchange.answer
  }

  /// Whether an answer, in whatever style, comes to the right conclusion.
  ///
  /// The conclusion must stand as whole words in the first or in the last sentence (behind its last
  /// equals sign or colon, if it has one), and nothing there may contradict it: no other number (but
  /// those of the question) beside it, no "yes" beside "no".
  public static func concludes(_ answer: String, for exchange: Exchange) -> Bool {
    let sentences = sentences(answer)
    let candidates = Set([sentences.first, sentences.last].compactMap { $0 })
    let allowed = Set(numbers(exchange.conclusion) + numbers(exchange.question))
    return candidates.contains { sentence in
      let claim =
        sentence.split(whereSeparator: { "=:".contains($0) }).last.map(String.init) ?? sentence
      guard contains(claim, exchange.conclusion) else { return false }
      let opposite = ["yes": "no", "no": "yes"][exchange.conclusion]
      if let opposite, contains(claim, opposite) { return false }
      return numbers(claim).allSatisfy(allowed.contains)
    }
  }

  /// Without white space around it.
  static func trimmed(_ text: String) -> String {
    guard let first = text.firstIndex(where: { !$0.isWhitespace }),
      let last = text.lastIndex(where: { !$0.isWhitespace })
    else { return "" }
    return String(text[first...last])
  }

  /// The sentences of a text without their final marks. This world has no abbreviations.
  static func sentences(_ text: String) -> [String] {
    text.split(whereSeparator: { ".!?\n".contains($0) }).map { trimmed(String($0)) }
      .filter { !$0.isEmpty }
  }

  /// The words of a text in lower case, without marks.
  static func words(_ text: String) -> [String] {
    text.lowercased().split(whereSeparator: { !$0.isLetter && !$0.isNumber }).map(String.init)
  }

  /// Whether the words of `phrase` follow one another in `text`.
  static func contains(_ text: String, _ phrase: String) -> Bool {
    let (text, phrase) = (words(text), words(phrase))
    guard !phrase.isEmpty, text.count >= phrase.count else { return false }
    return (0...text.count - phrase.count).contains { start in
      text[start..<start + phrase.count].elementsEqual(phrase)
    }
  }

  /// The numbers in a text, as they are written.
  static func numbers(_ text: String) -> [String] {
    words(text).filter { $0.allSatisfy(\.isNumber) }
  }
}
