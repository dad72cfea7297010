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
      return example.labels.contains(where: isBlank) ? "the label is empty" : nil
    }
    guard let (place, answer) = example.lastAnswer else { return "there is no answer" }
    if answer.isEmpty { return "the answer is empty" }
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

  private static func isBlank(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy(\.properties.isWhitespace)
  }
}

extension CheckedExample.Turn {
  /// Whether nothing is said and no tool called.
  var isEmpty: Bool { !callsTools && words.hash.isEmpty }
}
