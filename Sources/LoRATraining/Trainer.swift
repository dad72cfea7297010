public import LoRAAutograd
public import LoRAModels
import LoRATensor
public import Logging

/// Trains parameters on data: an adapter or a whole model, ours or yours.
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
/// The same model, data, options and seed give the same bits, at every number of threads.
///
/// A trainer is a description; ``run(isolation:onStep:)`` starts from the parameters' values then
/// and a fresh optimizer. Between steps the model always holds the result of the last whole step.
public struct Trainer<Data: TrainingData>: Sendable {
  /// How long, how fast and in which order.
  public let options: TrainingOptions
  /// The rows to learn from.
  public let data: Data
  /// What is trained, in groups that may have their own rates. At first one group of everything, or
  /// those of ``LoRAPlus``.
  public var groups: [ParameterGroup]
  /// Makes the optimizer of a run. ``AdamW`` with the options' values unless set.
  public var makeOptimizer: @Sendable ([ParameterGroup]) -> any Optimizer
  /// Where warnings go. Nowhere unless set.
  public let logger: Logger

  /// The loss of a batch: `scale` times the sum of the losses of its targets.
  public typealias Loss = @Sendable (_ batch: Data.Batch, _ scale: Float) throws -> Variable

  let loss: Loss
  /// Whether the loss was written by whoever made the trainer, and may break its contract.
  var isOwnLoss = true
  /// In what a step's forward and backward computations run: the choice of adapters.
  let scope: @Sendable (() throws -> Void) throws -> Void
  /// What its memory is predicted from, where that can be done.
  var workload: TrainingWorkload?

  /// Creates a trainer of any parameters under any loss.
  ///
  /// - Parameters:
  ///   - parameters: what is trained, with names for errors; those that are frozen are left out.
  ///   - data: the rows to learn from.
  ///   - options: how long, how fast and in which order.
  ///   - logger: where warnings go.
  ///   - loss: computes `scale` times the sum of the losses of a batch; the scale is 1 / (number
  ///     of targets in the step), see ``TrainingData/targetCount(of:)``.
  ///
  /// Throws ``TrainingError`` for options out of range, no data, or nothing trainable.
  public init(
    parameters: [NamedParameter], on data: Data, options: TrainingOptions = TrainingOptions(),
    logger: Logger = .silent, loss: @escaping Loss
  ) throws {
    try self.init(
      parameters: parameters, on: data, options: options, logger: logger,
      scope: { try $0() }, loss: loss)
  }

  /// Creates a trainer of a module, or of an adapter on it, under any loss.
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
      logger: logger, scope: { body in try model.withAdapters(selection, body) }, loss: loss)
  }

  private init(
    parameters: [NamedParameter], embeddings: [String] = [], on data: Data,
    options: TrainingOptions, logger: Logger,
    scope: @escaping @Sendable (() throws -> Void) throws -> Void, loss: @escaping Loss
  ) throws {
    try options.check()
    guard data.rowCount > 0 else { throw TrainingError.emptyData(source: "the data set") }
    let trainable = parameters.filter(\.parameter.isTrainable)
    guard !trainable.isEmpty else { throw TrainingError.noTrainableParameters }
    self.options = options
    self.data = data
    self.logger = logger
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
    makeOptimizer = { groups in
      AdamW(groups, beta1: options.beta1, beta2: options.beta2, epsilon: options.epsilon)
    }
  }
}

extension Trainer where Data == TokenDataSet {
  /// Creates a trainer of a language model, or of an adapter on it, on next-token prediction.
  ///
  /// Throws ``TrainingError`` for rows that the model can't read, options out of range or nothing
  /// trainable, and `AdapterError` for an adapter that is not attached.
  public init(
    _ model: any LanguageModel, training target: TrainingTarget, on data: TokenDataSet,
    options: TrainingOptions = TrainingOptions(), logger: Logger = .silent
  ) throws {
    try data.check(for: model)
    func make(_ model: some LanguageModel) throws -> Self {
      try Self(model, training: target, on: data, options: options, logger: logger) {
        batch, scale in
        model.loss(tokens: batch.tokens, targets: batch.targets, scale: scale)
      }
    }
    self = try make(model)
    isOwnLoss = false
    if let model = model as? any PretrainedLanguageModel {
      let multiple = max(1, data.paddingMultiple)
      workload = TrainingWorkload(
        model, training: target, rows: min(options.batchSize, data.rowCount),
        length: (data.longestRow + multiple - 1) / multiple * multiple)
    }
  }
}

extension Logger {
  /// A logger that drops everything: the library's default.
  public static var silent: Logger {
    Logger(label: "lora") { _ in SwiftLogNoOpLogHandler() }
  }
}
