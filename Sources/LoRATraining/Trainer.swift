public import LoRAAutograd
public import LoRAModels
import LoRATensor
public import Logging

/// Trains parameters on data: an adapter or a whole model, the library's or your own.
///
/// ```swift
/// try model.inject(LoRA(rank: 8), named: "support")
/// let trainer = try Trainer(
///   model, training: .adapter("support"), on: data, options: TrainingOptions(learningRate: 2e-3))
/// let result = try await trainer.run { report in
///   show(report.loss)
///   return .continue
/// }
/// ```
///
/// The same model, data, options and seed give the same bits at any number of threads.
///
/// A trainer only describes the training. ``run(from:isolation:onStep:)`` starts from the
/// parameters' current values with a fresh optimizer, or resumes from a ``TrainingState``.
/// ``TrainingRun`` makes the steps one at a time. Between steps the model holds the result of the
/// last complete step.
public struct Trainer<Data: TrainingData>: Sendable {
  /// The settings of the run.
  public let options: TrainingOptions
  /// The training data.
  public let data: Data
  /// The parameters to train, in groups that may have their own learning rates. Initially one group
  /// of everything, or the groups of ``LoRAPlus``.
  public var groups: [ParameterGroup]
  /// The optimizer. AdamW with the settings of the options unless set.
  public var optimizer: any Optimizer
  /// Whether a run of it will hold the values of its lowest evaluation, see
  /// ``TrainingRun/note(evaluation:)``: one more copy of what is trained, which predicted memory counts.
  public var keepsBest = false
  /// The logger for warnings. Drops them unless set.
  public let logger: Logger

  /// The loss of a batch: `scale` times the sum of the losses of its targets.
  public typealias Loss = @Sendable (_ batch: Data.Batch, _ scale: Float) throws -> Variable

  let loss: Loss
  /// What the loss is, for saved runs.
  var objective = "a closure"
  /// Whether the loss was written by whoever made the trainer, and may break its contract.
  var isOwnLoss = true
  /// In what a step's forward and backward computations run: the choice of adapters.
  let scope: @Sendable (() throws -> Void) throws -> Void
  /// What its memory is predicted from, where that can be done.
  var workload: TrainingWorkload?
  /// The module that is trained, or that the adapter is attached to.
  let model: (module: any Module, target: TrainingTarget)?

  /// Creates a trainer for any parameters with any loss.
  ///
  /// - Parameters:
  ///   - parameters: the parameters to train, with names for errors; frozen ones are left out.
  ///   - data: the training data.
  ///   - options: the settings of the run.
  ///   - logger: the logger for warnings.
  ///   - loss: computes `scale` times the sum of the losses of a batch; the scale is 1 / (number of
  ///     targets in the step), see ``TrainingData/targetCount(of:)``.
  ///
  /// Throws ``TrainingError`` for options out of range, missing data, or no trainable parameters.
  public init(
    parameters: [NamedParameter], on data: Data, options: TrainingOptions = TrainingOptions(),
    logger: Logger = .silent, loss: @escaping Loss
  ) throws {
    try self.init(
      parameters: parameters, on: data, options: options, logger: logger, model: nil,
      scope: { try $0() }, loss: loss)
  }

  /// Creates a trainer for a module, or for an adapter on it, with any loss.
  ///
  /// Training an adapter freezes the base's parameters; ``TrainingTarget/full`` makes them float32
  /// and trainable, see `Module.prepareForFullTraining()`.
  public init(
    _ model: some Module, training target: TrainingTarget, on data: Data,
    options: TrainingOptions = TrainingOptions(), logger: Logger = .silent, loss: @escaping Loss
  ) throws {
    let selection = target.selection
    // Fails now rather than at the first step if adapters are merged.
    try model.withAdapters(selection) {}
    if target == .full, options.loraPlus != nil {
      throw TrainingError.invalidOption(
        name: "LoRA+", value: "on", expected: "an adapter to train, not the whole model")
    }
    let embeddings = model.modules().filter { $0.module is Embedding }.map(\.path)
    try self.init(
      parameters: target.prepare(model), embeddings: embeddings, on: data, options: options,
      logger: logger, model: (model, target),
      scope: { body in try model.withAdapters(selection, body) }, loss: loss)
  }

  /// Creates a trainer for a module, or for an adapter on it, with `objective`.
  public init<Model: Module>(
    _ model: Model, training target: TrainingTarget, on data: Data,
    objective: some Objective<Model, Data>, options: TrainingOptions = TrainingOptions(),
    logger: Logger = .silent
  ) throws {
    try self.init(
      model, as: model, training: target, on: data, objective: objective, options: options,
      logger: logger)
  }

  /// Creates a trainer for a language model, or for an adapter on it, with `objective`.
  ///
  /// Throws ``TrainingError`` for data that the model can't read, options out of range or no
  /// trainable parameters, and `AdapterError` for an adapter that is not attached.
  public init(
    _ model: any LanguageModel, training target: TrainingTarget, on data: Data,
    objective: some Objective<any LanguageModel, Data>,
    options: TrainingOptions = TrainingOptions(), logger: Logger = .silent
  ) throws {
    func make(_ module: some LanguageModel) throws -> Self {
      try Self(
        module, as: model, training: target, on: data, objective: objective, options: options,
        logger: logger)
    }
    self = try make(model)
  }

  /// Creates a trainer of `module`, which the objective knows as `model`.
  init<Model: Sendable>(
    _ module: some Module, as model: Model, training target: TrainingTarget, on data: Data,
    objective: some Objective<Model, Data>, options: TrainingOptions, logger: Logger
  ) throws {
    try objective.check(model, on: data)
    try self.init(module, training: target, on: data, options: options, logger: logger) {
      try objective.loss(model, $0, scale: $1)
    }
    self.objective = objective.identifier
    isOwnLoss = !(objective is any TestedObjective)
    workload = objective.workload(
      model, training: target, on: data, batchSize: options.batchSize)
    workload?.accumulates = options.accumulation > 1
  }

  private init(
    parameters: [NamedParameter], embeddings: [String] = [], on data: Data,
    options: TrainingOptions, logger: Logger, model: (module: any Module, target: TrainingTarget)?,
    scope: @escaping @Sendable (() throws -> Void) throws -> Void, loss: @escaping Loss
  ) throws {
    try options.check()
    guard data.exampleCount > 0 else { throw TrainingError.emptyData(source: "the data set") }
    let trainable = parameters.filter(\.parameter.isTrainable)
    guard !trainable.isEmpty else { throw TrainingError.noTrainableParameters }
    self.options = options
    self.data = data
    self.logger = logger
    self.model = model
    self.loss = loss
    self.scope = scope
    groups =
      options.loraPlus?.groups(
        of: trainable, embeddings: embeddings, learningRate: options.learningRate,
        weightDecay: options.weightDecay)
      ?? [
        ParameterGroup(
          trainable, learningRate: options.learningRate, weightDecay: options.weightDecay)
      ]
    optimizer = options.adamW
  }
}

extension Trainer {
  /// Trains the parameters that lie in one of the modules at these paths at `rate`, as a classifier's head
  /// that begins from random numbers; false, and nothing has changed, if none do.
  public mutating func setLearningRate(_ rate: Double, ofModules paths: [String]) -> Bool {
    func lies(_ item: NamedParameter) -> Bool {
      paths.contains { item.path == $0 || item.path.hasPrefix("\($0).") }
    }
    let parts = groups.flatMap { group in
      [
        ParameterGroup(
          group.parameters.filter { !lies($0) }, learningRate: group.learningRate,
          weightDecay: group.weightDecay),
        ParameterGroup(
          group.parameters.filter(lies), learningRate: rate, weightDecay: group.weightDecay),
      ]
    }.filter { !$0.parameters.isEmpty }
    guard parts.contains(where: { $0.parameters.contains(where: lies) }) else { return false }
    groups = parts
    return true
  }
}

extension Trainer where Data == TokenDataSet {
  /// Creates a trainer for a language model, or for an adapter on it, with next-token prediction.
  ///
  /// Throws ``TrainingError`` for examples that the model can't read, options out of range or no
  /// trainable parameters, and `AdapterError` for an adapter that is not attached.
  public init(
    _ model: any LanguageModel, training target: TrainingTarget, on data: TokenDataSet,
    options: TrainingOptions = TrainingOptions(), logger: Logger = .silent
  ) throws {
    try self.init(
      model, training: target, on: data, objective: NextToken(), options: options, logger: logger)
  }
}

extension Logger {
  /// A logger that drops everything: the library's default.
  public static var silent: Logger {
    Logger(label: "lora") { _ in SwiftLogNoOpLogHandler() }
  }
}
