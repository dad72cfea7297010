public import LoRAKit

/// One of the two things that the quickstart teaches the base with an adapter.
public struct Lesson: Sendable {
  /// What the adapter is called.
  public let name: String
  /// The adapter's recipe.
  public var method: LoRA
  /// How it is trained.
  public var options: TrainingOptions
  /// What it is trained on.
  public var exchanges: [Exchange]

  /// Facts that the base cannot know: a new product line's warranty terms, faults and repairs. Two
  /// questions about the old world are rehearsed for each new one, so that it does not forget.
  public static let products = Lesson(
    name: "products", method: LoRA(rank: 16, alpha: 32),
    options: options(steps: 850, learningRate: 1.8e-3),
    exchanges: NewProductLine.trainingExchanges
      + withLittleWorking(NewProductLine.rehearsal(seed: 1, count: 780)))

  /// A tone: the conclusion first, polite, short.
  public static let polite = Lesson(
    name: "polite", method: LoRA(rank: 16, alpha: 32),
    options: options(steps: 950, learningRate: 2.2e-3),
    exchanges: withLittleWorking(PoliteTone.trainingExchanges(seed: 1, count: 4000)))

  /// What it is examined by: questions that it was not taught in these words, with their right answers.
  public var heldOutExchanges: [Exchange] {
    name == Self.polite.name ? PoliteTone.heldOutQuestions : NewProductLine.heldOutExchanges
  }

  /// Small batches: with the same number of examples, more steps teach more.
  private static func options(steps: Int, learningRate: Double) -> TrainingOptions {
    TrainingOptions(
      duration: .steps(steps), batchSize: 4, learningRate: learningRate, schedule: .cosine,
      warmupSteps: 20, clipNorm: 1)
  }

  /// The exchanges with one in four of those that show their working: they are long, and hardly
  /// forgotten.
  public static func withLittleWorking(_ exchanges: [Exchange]) -> [Exchange] {
    var shown = 0
    return exchanges.filter { exchange in
      guard exchange.showsWorking else { return true }
      shown += 1
      return shown % 4 == 1
    }
  }

  /// Injects the adapter into every linear layer of the examined model and trains it.
  @discardableResult
  public func teach(
    _ examiner: Examiner, onStep: (StepReport) throws -> StepDecision = { _ in .continue }
  ) throws -> TrainingResult {
    try examiner.model.inject(method, named: name, into: .allLinear)
    let data = try examiner.dataSet(exchanges)
    return try Trainer(examiner.model, training: .adapter(name), on: data, options: options)
      .run(onStep: onStep)
  }
}
