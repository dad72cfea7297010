import LoRAFormats
import LoRAKit

/// What a task is given on the command line.
struct TaskInput {
  let model: ModelOptions
  let data: [WeightedFile]
  let evalData: String?
  /// What is kept of the data to measure on.
  var split: DataSplit?
  let examples: ExampleOptions
  /// The adapter that training goes on from.
  let initAdapter: String?
  let seed: UInt64
  /// Whether the examples of a batch become one sequence.
  var isPacked = false
  /// What is asked while training.
  let reporting: ReportOptions
}

extension TaskInput {
  /// The examples to learn from and those to measure on, if there are any, as `read` reads them of a file.
  func examples<Example: SplittableExample>(
    _ read: (_ path: String) throws -> [Example]
  ) throws -> (training: [DataPart<Example>], heldOut: [DataPart<Example>]?) {
    let selection = try DataSelection(data, split: split, read: read)
    tellSplit(
      selection.validation.reduce(0) { $0 + $1.examples.count },
      of: selection.training.reduce(0) { $0 + $1.examples.count })
    guard let evalData else { return (selection.training, split.map { _ in selection.validation }) }
    return (
      selection.training, [DataPart(source: evalData, examples: try read(evalData))]
    )
  }

  /// Says how many examples are kept from training.
  func tellSplit(_ held: Int, of learned: Int) {
    guard split != nil else { return }
    StandardError.line(
      "note: \(counted(held, "example")) of \(data.names) \(held == 1 ? "is" : "are") for validation, "
        + "\(counted(learned, "example")) to learn from")
  }
}

/// What `lora train` makes a model learn: how data are read, which kind of model they need, and how it is
/// measured.
protocol TrainingTask: Sendable {
  associatedtype Data: TrainingData
  /// The examples that are learned from.
  var data: Data { get }
  /// The model, as the task needs it.
  var pretrained: PretrainedModel { get }
  /// Whether batches are made of examples of similar length where nothing else is said.
  var groupsByLength: Bool { get }
  /// The paths of the modules of a head that is trained along.
  var headModules: [String] { get }
  /// Whether the head begins from random numbers.
  var hasNewHead: Bool { get }
  /// What lies beside an adapter of the task.
  var filesBesideAdapter: [(name: String, content: [UInt8])] { get }
  /// A recipe with what the task wants of it.
  func complete(_ recipe: PEFTAdapterConfiguration) -> PEFTAdapterConfiguration
  /// The trainer on the task's data.
  func trainer(training target: TrainingTarget, options: TrainingOptions) throws -> Trainer<Data>
  /// The loss of guessing, where the first loss can be judged by it.
  var chanceLoss: Double? { get }
  /// How good the model is on the data that it does not learn from; nil where there are none.
  func evaluate(training method: TrainingMethod) throws -> TaskMeasurement?
  /// Those data in numbers; nil where there are none.
  var heldOut: DataSummary? { get }
  /// What the model says to the prompts of samples after `step`; nothing where there are none.
  func samples(after step: Int) throws -> [TrainingSample]
  /// The losses of some examples, of about `mostTokens` in all; nil for a task whose examples have none of
  /// their own.
  func exampleLosses(mostTokens: Int) throws -> ExampleLosses?
}

extension TrainingTask {
  var groupsByLength: Bool { true }
  var headModules: [String] { [] }
  var hasNewHead: Bool { false }

  /// The learning rate of a head beside an adapter where nothing is said: nil for one that was trained before. A
  /// new one begins from random numbers, while an adapter begins at a model that can do most of what is asked.
  func usualHeadRate(at learningRate: Double) -> Double? {
    hasNewHead ? max(learningRate, min(10 * learningRate, 1e-2)) : nil
  }

  var chanceLoss: Double? { nil }
  var heldOut: DataSummary? { nil }
  func samples(after step: Int) throws -> [TrainingSample] { [] }
  func exampleLosses(mostTokens: Int) throws -> ExampleLosses? { nil }
  var filesBesideAdapter: [(name: String, content: [UInt8])] { [] }
  func complete(_ recipe: PEFTAdapterConfiguration) -> PEFTAdapterConfiguration { recipe }
}

/// What a model was measured to be worth, as numbers with names.
struct TaskMeasurement: CustomStringConvertible {
  struct Value {
    /// The name in JSON, after `eval_`.
    let key: String
    /// The name in sentences.
    let name: String
    let number: Double
  }

  let values: [Value]
  /// What is to become low: the first value, or its negative.
  let criterion: Double

  /// - Parameters:
  ///   - values: the numbers, first the one that tells which of two models is better.
  ///   - highIsGood: whether it is the higher one.
  init(_ values: [(key: String, name: String, number: Double)], highIsGood: Bool = false) {
    criterion = (highIsGood ? -1 : 1) * (values.first?.number ?? 0)
    self.values = values.map { Value(key: $0.key, name: $0.name, number: $0.number) }
  }

  /// The measurement in a training's history.
  func after(_ step: Int) -> TrainingMeasurement {
    TrainingMeasurement(
      step: step,
      values: values.map { .init(key: $0.key, name: $0.name, number: $0.number) })
  }

  var description: String {
    values.map { "\($0.name) \(decimal($0.number, 5))" }.joined(separator: ", ")
  }
}
