/// What a question of the small world is about.
public enum Topic: String, Sendable, Hashable, CaseIterable {
  /// The appliances that the maker Alderbrook sells: warranty, faults, repairs, care, prices.
  case appliances
  /// Recipes: ingredients, method, allergens, substitutes, storage.
  case recipes
  /// Sums with their working, sums answered at once, and short word problems.
  case arithmetic
}

/// One question with the one right answer to it.
///
/// ```swift
/// let exchange = World.heldOutQuestions[0]
/// exchange.prompt  // "Q: ...?\nA:"
/// exchange.text    // "Q: ...?\nA: ..."
/// ```
public struct Exchange: Sendable, Hashable {
  /// What the question is about.
  public let topic: Topic
  /// The question, one line that ends with a question mark or a period.
  public let question: String
  /// The answer in the plain style of the base: what there is to say first, the conclusion last.
  public let answer: String
  /// The part of the answer that was asked for, as it stands in the answer: "24 months", "no".
  public let conclusion: String
  /// Whether the answer is written working. The working is how a small model finds the result, so
  /// nothing that reorders answers may touch it.
  public let showsWorking: Bool

  init(
    topic: Topic, question: String, answer: String, conclusion: String, showsWorking: Bool = false
  ) {
    self.topic = topic
    self.question = question
    self.answer = answer
    self.conclusion = conclusion
    self.showsWorking = showsWorking
  }

  /// What a model is given: the question, and the mark after which it answers. The answer follows
  /// after one space.
  public var prompt: String { "Q: \(question)\nA:" }

  /// The whole exchange as it stands in training text.
  public var text: String { "\(prompt) \(answer)" }

  /// The same question with another answer.
  func answered(_ answer: String) -> Exchange {
    Exchange(
      topic: topic, question: question, answer: answer, conclusion: conclusion,
      showsWorking: showsWorking)
  }
}

/// Something the world knows: several ways to ask for it and one answer.
struct Fact: Sendable {
  let topic: Topic
  /// Names the fact ("Tide/warranty"); what is held out follows from it.
  let key: String
  let questions: [String]
  let answer: String
  let conclusion: String

  /// The fact asked for in the way numbered `index`.
  func exchange(_ index: Int) -> Exchange {
    Exchange(topic: topic, question: questions[index], answer: answer, conclusion: conclusion)
  }

  /// Every way to ask, shuffled in an order that follows from the key alone.
  private var order: [Int] {
    var random = SplitMix64(seed: stableHash(key))
    var order = Array(questions.indices)
    for last in stride(from: order.count - 1, to: 0, by: -1) {
      order.swapAt(last, random.below(last + 1))
    }
    return order
  }

  /// The exchanges for training and the ones kept out of it, `heldOut` in number.
  func split(heldOut: Int) -> (training: [Exchange], heldOut: [Exchange]) {
    let order = order
    return (order.dropFirst(heldOut).map(exchange), order.prefix(heldOut).map(exchange))
  }
}

/// "a" or "an" before a word of this world (its names begin as they are spelt).
func indefinite(_ word: String) -> String {
  "AEIOUaeiou".contains(word.prefix(1)) ? "an \(word)" : "a \(word)"
}

/// The text with a capital letter first.
func capitalised(_ text: String) -> String {
  text.prefix(1).uppercased() + text.dropFirst()
}

/// "flour, milk and eggs".
func listed(_ words: [String]) -> String {
  guard let last = words.last else { return "" }
  return words.count == 1 ? last : words.dropLast().joined(separator: ", ") + " and " + last
}
