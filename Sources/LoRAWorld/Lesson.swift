public import LoRAKit

/// One of the two things that the quickstart teaches the base with an adapter.
public struct Lesson: Sendable {
  /// What the adapter is called.
  public let name: String
  /// The adapter's recipe.
  public let method: LoRA
  /// How it is trained.
  public let options: TrainingOptions
  /// What it is trained on.
  public let exchanges: [Exchange]

  /// Facts that the base cannot know: a new product line's warranty terms, faults and repairs. As
  /// many questions about the old world are rehearsed, so that it does not forget.
  public static let products = Lesson(
    name: "products", method: LoRA(rank: 16, alpha: 32),
    options: options(steps: 220, learningRate: 5e-3),
    exchanges: interleaved(
      NewProductLine.trainingExchanges,
      NewProductLine.rehearsal(seed: 1, count: NewProductLine.trainingExchanges.count)))

  /// A tone: the conclusion first, polite, short.
  public static let polite = Lesson(
    name: "polite", method: LoRA(rank: 8, alpha: 16),
    options: options(steps: 140, learningRate: 4e-3),
    exchanges: PoliteTone.trainingExchanges(seed: 1, count: 2400))

  private static func options(steps: Int, learningRate: Double) -> TrainingOptions {
    TrainingOptions(
      duration: .steps(steps), batchSize: 16, learningRate: learningRate, schedule: .cosine,
      warmupSteps: 10, clipNorm: 1)
  }

  /// Elements of both, one by one in turn.
  private static func interleaved(_ a: [Exchange], _ b: [Exchange]) -> [Exchange] {
    zip(a, b).flatMap { [$0, $1] }
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
