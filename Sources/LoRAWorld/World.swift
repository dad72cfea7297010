/// The small world that the built-in base speaks about: a maker of appliances, a recipe book and
/// arithmetic, in plain English.
///
/// ```swift
/// for document in World.trainingDocuments(seed: 1, count: 3) { print(document, "\n") }
/// let exam = World.heldOutQuestions  // at least 500, none of them in any training document
/// ```
///
/// Its facts are fixed; a seed decides which are asked for, in which order and in which words.
/// Held out are two ways to ask for every fact, chosen fact by fact, and one pair of operands in
/// twelve: the base must carry a way of asking over from other facts, and must calculate.
public enum World {
  /// The token between documents: where one begins, the last has ended.
  public static let endOfText = "<|endoftext|>"

  /// Ways of asking for a fact that are kept out of training.
  static let heldOutPhrasings = 2

  /// Every fact of the appliances, the recipes and the multiplication table.
  static let facts: [Fact] =
    ApplianceCatalogue.models.flatMap(\.facts) + RecipeBook.recipes.flatMap(\.facts)
    + Arithmetic.table

  /// How many facts there are to know, those of the multiplication table among them.
  public static var factCount: Int { facts.count }

  /// What may be asked in training, fact by fact, for each topic.
  private static let training: [Topic: [[Exchange]]] = Dictionary(
    grouping: facts.map { $0.split(heldOut: heldOutPhrasings).training },
    by: { $0.first?.topic ?? .arithmetic })

  private static let prose: [String] =
    ApplianceCatalogue.models.flatMap { [$0.sheet, $0.guide] }
    + RecipeBook.recipes.flatMap { [$0.page, $0.notes] }

  /// Text to train the base on: mostly one exchange a document, now and then a product sheet, a
  /// repair guide or a page of the recipe book.
  ///
  /// - Parameters:
  ///   - seed: the same seed gives the same documents on every machine, whatever `count` is.
  ///   - count: how many.
  /// - Returns: a lazy sequence; about 4 microseconds and no memory to speak of for each document.
  public static func trainingDocuments(seed: UInt64, count: Int) -> TrainingDocuments {
    TrainingDocuments(seed: seed, count: count)
  }

  /// A random exchange of the base's world, none that is held out.
  static func exchange(_ random: inout SplitMix64) -> Exchange {
    switch random.below(100) {
    case ..<38: fact(.appliances, &random)
    case ..<66: fact(.recipes, &random)
    case ..<71: fact(.arithmetic, &random)
    case ..<79: Arithmetic.Exercise.sum.draw(&random, heldOut: false)
    case ..<87: Arithmetic.Exercise.difference.draw(&random, heldOut: false)
    case ..<94: Arithmetic.Exercise.product.draw(&random, heldOut: false)
    default: Arithmetic.Exercise.story.draw(&random, heldOut: false)
    }
  }

  /// A random exchange about a random fact of a topic.
  static func fact(_ topic: Topic, _ random: inout SplitMix64) -> Exchange {
    random.pick(random.pick(training[topic] ?? []))
  }

  /// A random passage of prose.
  static func passage(_ random: inout SplitMix64) -> String {
    random.pick(prose)
  }

  /// Exchanges that no training document contains, over all topics: one for every fact, and
  /// exercises with operands that occur in no training document.
  public static let heldOutQuestions: [Exchange] =
    facts.flatMap { $0.split(heldOut: heldOutPhrasings).heldOut.prefix(1) }
    + heldOutExercises(
      seed: 2, [(.sum, 50), (.difference, 40), (.product, 40), (.story, 40)])

  /// Exercises with held-out operands, no question twice.
  static func heldOutExercises(
    seed: UInt64, _ counts: [(Arithmetic.Exercise, Int)]
  ) -> [Exchange] {
    var random = SplitMix64(seed: seed)
    var seen: Set<String> = []
    return counts.flatMap { exercise, count in
      var drawn: [Exchange] = []
      while drawn.count < count {
        let exchange = exercise.draw(&random, heldOut: true)
        if seen.insert(exchange.question).inserted { drawn.append(exchange) }
      }
      return drawn
    }
  }

  /// Whether a question about a fact is kept out of training documents. For sums, see the operands:
  /// ``isHeldOut(sumOf:and:)``.
  public static func isHeldOut(_ question: String) -> Bool {
    heldOutPhrases.contains(question)
  }

  private static let heldOutPhrases: Set<String> = Set(
    facts.flatMap { $0.split(heldOut: heldOutPhrasings).heldOut.map(\.question) })

  /// Whether no training document adds these two numbers.
  public static func isHeldOut(sumOf a: Int, and b: Int) -> Bool {
    Arithmetic.isHeldOut(a, .plus, b)
  }

  /// Whether no training document takes `b` from `a`.
  public static func isHeldOut(differenceOf a: Int, and b: Int) -> Bool {
    Arithmetic.isHeldOut(a, .minus, b)
  }

  /// Whether no training document multiplies these two numbers.
  public static func isHeldOut(productOf a: Int, and b: Int) -> Bool {
    Arithmetic.isHeldOut(a, .times, b)
  }
}

/// Documents of the small world, made one by one as they are asked for.
public struct TrainingDocuments: Sequence, Sendable {
  let seed: UInt64
  let count: Int

  /// Starts from the first document again.
  public func makeIterator() -> Iterator {
    Iterator(random: SplitMix64(seed: seed), left: count)
  }

  /// Makes the documents.
  public struct Iterator: IteratorProtocol, Sendable {
    var random: SplitMix64
    var left: Int

    /// The next document, an exchange in its text form or a passage of prose.
    public mutating func next() -> String? {
      guard left > 0 else { return nil }
      left -= 1
      return random.below(16) == 0 ? World.passage(&random) : World.exchange(&random).text
    }
  }
}
