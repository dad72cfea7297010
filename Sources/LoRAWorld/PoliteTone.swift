/// Another way of speaking about the same world: the conclusion first, a courtesy after it, and
/// nothing more.
///
/// A question that asks to see the working keeps its plain answer: the steps are how a model of
/// this size finds the digits, so they cannot come after the result.
public enum PoliteTone {
  /// What the tone adapter trains on: random questions of the base's world that are not held out,
  /// answered politely, with worked sums left as they are among them.
  ///
  /// - Parameters:
  ///   - seed: the same seed gives the same exchanges, whatever `count` is.
  ///   - count: how many.
  public static func trainingExchanges(seed: UInt64, count: Int) -> [Exchange] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in polite(World.exchange(&random)) }
  }

  /// Questions that neither the base nor the tone adapter has seen, without those that ask for
  /// working; each carries the polite answer.
  public static let heldOutQuestions: [Exchange] =
    World.heldOutQuestions.filter { !$0.showsWorking }.map(polite)

  /// The exchange with its answer in the polite tone; an exchange that shows working is unchanged.
  public static func polite(_ exchange: Exchange) -> Exchange {
    guard !exchange.showsWorking else { return exchange }
    // The plain answer ends with its conclusion: that sentence comes first now, and what led up to
    // it is left out, unless the conclusion is found by way of it (what a code means, what a dish
    // contains): then the two become one sentence.
    let sentences = AnswerChecker.sentences(exchange.answer)
    var conclusion = sentences.last ?? exchange.conclusion
    if let first = sentences.first, sentences.count == 2 {
      if conclusion.hasPrefix("So ") {
        conclusion = "\(first): \(conclusion.dropFirst(3))"
      } else if first.hasPrefix("Code "), first.contains(" means that ") {
        conclusion = "\(first): \(conclusion)"
      }
    }
    return exchange.answered("\(capitalised(conclusion)). \(courtesy(exchange.topic))")
  }

  private static func courtesy(_ topic: Topic) -> String {
    switch topic {
    case .appliances: "Please call us if you need more help."
    case .recipes: "I hope that you enjoy your meal."
    case .arithmetic: "I hope that this helps."
    }
  }

  /// What makes an answer polite: one of these stands in it.
  static let courtesies = ["please", "thank you", "i hope", "happy to help", "glad to help"]

  /// The most words that a short answer has.
  public static let longestAnswer = 28

  /// Judges an answer to a question of this world.
  public static func check(answer: String, for exchange: Exchange) -> ToneVerdict {
    let sentences = AnswerChecker.sentences(answer)
    let words = AnswerChecker.words(answer)
    var failed: Set<ToneRule> = []
    if !AnswerChecker.contains(sentences.first ?? "", exchange.conclusion) {
      failed.insert(.conclusionFirst)
    }
    if !courtesies.contains(where: { AnswerChecker.contains(answer, $0) }) {
      failed.insert(.polite)
    }
    if words.count > longestAnswer || sentences.count > 2 { failed.insert(.short) }
    if !AnswerChecker.concludes(answer, for: exchange) { failed.insert(.correct) }
    return ToneVerdict(failed: failed)
  }
}

/// A rule of the polite tone.
public enum ToneRule: String, Sendable, Hashable, CaseIterable {
  /// What was asked for stands in the first sentence.
  case conclusionFirst
  /// There is a courtesy in it.
  case polite
  /// At most two sentences and ``PoliteTone/longestAnswer`` words.
  case short
  /// What it concludes is right.
  case correct
}

/// What ``PoliteTone/check(answer:for:)`` found.
public struct ToneVerdict: Sendable, Hashable {
  /// The rules that the answer breaks.
  public let failed: Set<ToneRule>
  /// Whether it breaks none.
  public var passes: Bool { failed.isEmpty }
}
