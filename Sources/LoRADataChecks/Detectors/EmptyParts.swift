import LoRATraining

/// Examples of which nothing can be learned: no question, no answer, or an answer that is its question.
struct EmptyParts: DataDetector {
  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
    if let problem = Self.problem(example) { log.add(.empty, in: example, problem) }
  }

  private static func problem(_ example: CheckedExample) -> String? {
    if case .tokens(let ids) = example.record.content {
      return ids.isEmpty ? "there are no tokens" : nil
    }
    guard example.turns.contains(where: { !$0.isEmpty }) else { return "there is no text" }
    if case .text = example.record.content {
      if example.labels.contains(where: isBlank) { return "the label is empty" }
      guard example.turns.count == 2 else { return nil }
      if example.turns[1].isEmpty { return "the second text is empty" }
      // Of an own label, that they are the same may be what is learned.
      return example.labels.isEmpty && example.turns[0].words.hash == example.turns[1].words.hash
        ? "both texts are the same" : nil
    }
    if let last = example.turns.last, last.role == "rejected", last.isEmpty {
      return "the rejected answer is empty"
    }
    guard let (place, answer) = example.lastAnswer else { return "there is no answer" }
    if answer.isEmpty { return "the answer is empty" }
    if Self.isPlaceholder(answer.text),
      !example.turns[..<place].contains(where: {
        $0.text.lowercased().contains(answer.text.lowercased())
      })
    {
      return "the answer is \(Excerpt.of(answer.text))"
    }
    let before = example.turns[..<place]
    guard let question = before.last(where: { $0.role == "user" }) else {
      return example.isChat ? nil : "there is no question"
    }
    if question.isEmpty { return "the question is empty" }
    if question.words.hash == answer.words.hash, question.words.words.count > 2 {
      return "the answer is the question"
    }
    return nil
  }

  /// Whether a text stands where there was none: what programs write for nothing, or nothing but dots.
  private static func isPlaceholder(_ text: String) -> Bool {
    guard text.utf8.count <= 32 else { return false }
    let word = String(
      String.UnicodeScalarView(text.unicodeScalars.filter { !$0.properties.isWhitespace })
    )
    .lowercased()
    return ["n/a", "null", "nan", "undefined", "#n/a", "tbd", "todo"].contains(word)
      || ["-", "--", "–", "—", "?", "??", "???", "[]", "{}", "()", "\"\"", "''"].contains(word)
      || brackets.contains { word == $0 + "answer" + $1 || word == $0 + "output" + $1 }
      || word.unicodeScalars.allSatisfy { [0x2E, 0x2026, 0x3002, 0xFF0E, 0x5F].contains($0.value) }
  }

  /// What people put round the name of something that is to be filled in.
  private static let brackets = [("<", ">"), ("[", "]"), ("{", "}"), ("{{", "}}")]

  private static func isBlank(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy(\.properties.isWhitespace)
  }
}

extension CheckedExample.Turn {
  /// Whether nothing is said and no tool called.
  var isEmpty: Bool {
    guard !callsTools, words.words.isEmpty else { return false }
    return words.hash.isEmpty
      || text.unicodeScalars.allSatisfy {
        $0.properties.isWhitespace || CodePoints.isInvisible($0.value)
      }
  }
}
