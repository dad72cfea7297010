import ArgumentParser
import LoRAFormats
import LoRAKit

/// What a task is given on the command line.
struct TaskInput {
  let model: ModelOptions
  let data: String
  let evalData: String?
  let examples: ExampleOptions
  /// The adapter that training goes on from.
  let initAdapter: String?
  let seed: UInt64
}

/// What `lora train` makes a model learn: how data are read, which kind of model they need, and how it is
/// measured.
protocol TrainingTask {
  associatedtype Data: TrainingData
  /// The model, as the task needs it.
  var pretrained: PretrainedModel { get }
  /// Whether batches are made of examples of similar length where nothing else is said.
  var groupsByLength: Bool { get }
  /// The paths of the modules of a head that is trained along.
  var headModules: [String] { get }
  /// What lies beside an adapter of the task.
  var filesBesideAdapter: [(name: String, content: [UInt8])] { get }
  /// A recipe with what the task wants of it.
  func complete(_ recipe: PEFTAdapterConfiguration) -> PEFTAdapterConfiguration
  /// The trainer on the task's data.
  func trainer(training target: TrainingTarget, options: TrainingOptions) throws -> Trainer<Data>
  /// How good the model is on the data that it does not learn from; nil where there are none.
  func evaluate(training method: TrainingMethod) throws -> TaskMeasurement?
}

extension TrainingTask {
  var groupsByLength: Bool { true }
  var headModules: [String] { [] }
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

  init(_ values: [(key: String, name: String, number: Double)]) {
    self.values = values.map { Value(key: $0.key, name: $0.name, number: $0.number) }
  }

  var description: String {
    values.map { "\($0.name) \(decimal($0.number, 5))" }.joined(separator: ", ")
  }
}

/// The tasks by their names on the command line.
enum TaskArgument: String, ExpressibleByArgument, CaseIterable {
  /// The next token of texts.
  case text
  /// The labels of texts.
  case classification
  /// The labels of each word of texts.
  case tokenClassification = "token-classification"
  /// Vectors of texts.
  case embedding

  static let help =
    "the next token of texts (text), the labels of texts (classification) or of each of their words "
    + "(token-classification), or vectors that are close for texts of a pair, or of a label (embedding)"
}
