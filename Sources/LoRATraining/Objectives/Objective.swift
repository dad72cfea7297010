public import LoRAAutograd
public import LoRAModels

/// The objective of training: the losses of a model on batches of data, such as ``NextToken``.
///
/// An objective is independent of model, data and trainer. A custom objective is a value that
/// computes the loss of a batch; a closure works as well, see
/// ``Trainer/init(_:training:on:options:logger:loss:)``.
///
/// ```swift
/// struct SquaredError: Objective {
///   typealias Data = Points
///   func loss(_ model: Network, _ batch: Points.Batch, scale: Float) -> Variable {
///     let difference = model(Variable(batch.x)) - Variable(batch.y)
///     return (difference * difference).sum().scaled(by: scale)
///   }
/// }
/// let trainer = try Trainer(network, training: .full, on: points, objective: SquaredError())
/// ```
public protocol Objective<Model, Data>: Sendable {
  /// The type of model to train: a module's type, or `any LanguageModel`.
  associatedtype Model: Sendable
  /// The type of training data.
  associatedtype Data: TrainingData

  /// `scale` times the sum of the losses of the batch's targets, a scalar.
  ///
  /// The scale is 1 / (number of targets in the step), see ``TrainingData/targetCount(of:)``, so
  /// that the batches of one step add up to their mean. The first step checks that the loss is
  /// multiplied by it.
  func loss(_ model: Model, _ batch: Data.Batch, scale: Float) throws -> Variable

  /// Throws if `model` can't be trained on `data`. A trainer calls it first; by default it accepts
  /// everything.
  func check(_ model: Model, on data: Data) throws

  /// The workload for predicting the memory of a step; nil, the default, if that is not possible.
  func workload(
    _ model: Model, training target: TrainingTarget, on data: Data, batchSize: Int
  ) -> TrainingWorkload?

  /// The name and every setting that affects the loss: a saved run resumes only with the same
  /// identifier. By default the printed value.
  var identifier: String { get }
}

extension Objective {
  /// Accepts every model and data set.
  public func check(_ model: Model, on data: Data) throws {}

  /// No prediction.
  public func workload(
    _ model: Model, training target: TrainingTarget, on data: Data, batchSize: Int
  ) -> TrainingWorkload? { nil }

  /// The printed value: for a structure, its name and properties.
  public var identifier: String { String(describing: self) }
}

extension Objective where Model == any LanguageModel, Data == TokenDataSet {
  /// Throws ``TrainingError`` for examples that the model can't read.
  public func check(_ model: any LanguageModel, on data: TokenDataSet) throws {
    try data.check(for: model)
  }
}

/// An objective of the library's own: its tests hold that a loss is multiplied by its scale, so a run
/// does not spend a forward pass on it.
protocol TestedObjective: Objective {}
