public import LoRAAutograd
public import LoRAModels

/// What a training minimizes: the losses of a model on batches of data, as ``NextToken``.
///
/// A recipe, apart from model, data and trainer. One of your own is a value that computes the loss of
/// a batch; a closure does as well, see ``Trainer/init(_:training:on:options:logger:loss:)``.
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
  /// The models that it trains: a module's type, or `any LanguageModel`.
  associatedtype Model: Sendable
  /// The data that it is computed on.
  associatedtype Data: TrainingData

  /// `scale` times the sum of the losses of the batch's targets, one number.
  ///
  /// The scale is 1 / (number of targets in the step), see ``TrainingData/targetCount(of:)``: batches
  /// of one step then add up to their mean. The first step checks that the loss is multiplied by it.
  func loss(_ model: Model, _ batch: Data.Batch, scale: Float) throws -> Variable

  /// Throws if `model` can't be trained on `data`. A trainer asks first; by default all is fine.
  func check(_ model: Model, on data: Data) throws

  /// What the memory of a step is predicted from; nil, the default, where that can't be done.
  func workload(
    _ model: Model, training target: TrainingTarget, on data: Data, batchSize: Int
  ) -> TrainingWorkload?

  /// The name and every setting that a loss depends on: a saved run resumes under the same identifier
  /// only. By default what the value prints as.
  var identifier: String { get }
}

extension Objective {
  /// All is fine.
  public func check(_ model: Model, on data: Data) throws {}

  /// Not to be predicted.
  public func workload(
    _ model: Model, training target: TrainingTarget, on data: Data, batchSize: Int
  ) -> TrainingWorkload? { nil }

  /// What the value prints as: of a structure its name and properties.
  public var identifier: String { String(describing: self) }
}

extension Objective where Model == any LanguageModel, Data == TokenDataSet {
  /// Throws ``TrainingError`` for rows that the model can't read.
  public func check(_ model: any LanguageModel, on data: TokenDataSet) throws {
    try data.check(for: model)
  }
}

/// An objective of the library's own: its tests hold that a loss is multiplied by its scale, so a run
/// does not spend a forward pass on it.
protocol TestedObjective: Objective {}
