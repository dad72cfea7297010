import LoRAAutograd
import LoRAModels
public import LoRATensor

/// The state of a ``TrainingRun`` between two steps, as a value: all it needs to resume to the same
/// bits.
///
/// ```swift
/// let state = run.state()
/// try state.save(to: "run.safetensors")
/// var rest = try TrainingRun(trainer, from: TrainingState(path: "run.safetensors"))
/// ```
///
/// It holds the trained parameters, the optimizer state and the losses so far. Dropout and the
/// order of the examples are functions of the options' seed and the step, so these two are the
/// random state and the position in the data. It does not hold frozen parameters or the data, but
/// recognizes them; resuming with others throws
/// ``TrainingError/differentRun(part:saved:current:)``.
///
/// Options that change no result may differ (``TrainingOptions/checkpointing``,
/// ``TrainingOptions/memoryLimit``). With a constant schedule, or before the decay of
/// ``LearningRateSchedule/stable``, the duration may differ too, to extend a run.
public struct TrainingState: Sendable {
  /// The options of the run.
  public let options: TrainingOptions
  /// The loss of each completed step.
  public let losses: [Double]
  /// The number of tokens in all batches so far, without padding.
  public let tokens: Int
  /// The trained parameters, by path.
  public let values: [String: Tensor]
  /// The optimizer state.
  public let optimizer: OptimizerState
  /// The evaluations that were noted so far.
  public let evaluations: [EvaluationPoint]
  /// The trained parameters at the lowest evaluation, by path, where the run holds them.
  public let best: [String: Tensor]

  /// The loss of the run's first batch, before anything was learned.
  let firstLoss: Double?
  let identity: RunIdentity

  /// The number of completed steps.
  public var step: Int { losses.count }

  init(
    options: TrainingOptions, losses: [Double], tokens: Int, firstLoss: Double?,
    values: [String: Tensor], optimizer: OptimizerState, evaluations: [EvaluationPoint],
    best: [String: Tensor], identity: RunIdentity
  ) {
    self.options = options
    self.losses = losses
    self.tokens = tokens
    self.firstLoss = firstLoss
    self.values = values
    self.optimizer = optimizer
    self.evaluations = evaluations
    self.best = best
    self.identity = identity
  }
}

extension RunPart: CustomStringConvertible {
  /// As it stands in "the saved run is of ...".
  public var description: String {
    switch self {
    case .model: "another model"
    case .adapter: "another adapter"
    case .parameters: "other parameters"
    case .data: "other data"
    case .objective: "another objective"
    case .optimizer: "another optimizer"
    case .options: "other options"
    }
  }
}

// MARK: - Whose state it is

extension TrainingState {
  /// Throws if this is not the state of a run of `trainer`, whose identity is `current`.
  func check(
    for trainer: Trainer<some TrainingData>, _ current: RunIdentity, parameters: [NamedParameter],
    stepCount: Int
  ) throws(TrainingError) {
    func demand(
      _ part: RunPart, _ saved: String, _ current: String
    ) throws(TrainingError) {
      if saved != current { throw .differentRun(part: part, saved: saved, current: current) }
    }
    let trained: RunPart =
      switch trainer.model?.target {
      case .adapter: .adapter
      case .full: .model
      case nil: .parameters
      }
    try demand(
      .model, Self.frozen(identity.model), Self.frozen(current.model))
    try checkParameters(parameters, trained)
    try demand(
      .adapter, Self.settings(identity.adapter), Self.settings(current.adapter))
    try demand(
      .data, "\(identity.exampleCount) examples of content \(identity.data)",
      "\(current.exampleCount) examples of content \(current.data)")
    try demand(.objective, identity.objective, current.objective)
    for (name, text) in TrainingOptions.settings {
      try demand(
        .options, "\(name) \(text(options))", "\(name) \(text(trainer.options))")
    }
    // The data are the same, and so are the steps of an epoch.
    let order = BatchOrder(
      exampleCount: trainer.data.exampleCount, batchSize: options.batchSize,
      accumulation: options.accumulation, seed: nil)
    let saved = options.stepCount(stepsPerEpoch: order.stepsPerEpoch)
    let isOpen = [saved, stepCount].allSatisfy {
      options.schedule.isOpen(before: step, total: $0, decay: options.stableDecay)
    }
    guard saved == stepCount || isOpen else {
      throw .differentRun(
        part: .options, saved: "\(step) of \(saved) steps made", current: "\(stepCount) steps")
    }
    try demand(.optimizer, identity.optimizer, current.optimizer)
    try demand(
      .options, "\(identity.groups.count) groups", "\(current.groups.count) groups")
    for (group, other) in zip(identity.groups, current.groups) {
      try demand(.options, Self.rates(group), Self.rates(other))
    }
    try checkOptimizer(trainer.optimizer)
  }

  private func checkParameters(
    _ parameters: [NamedParameter], _ part: RunPart
  ) throws(TrainingError) {
    let saved = identity.groups.flatMap(\.parameters)
    guard saved.count == parameters.count else {
      throw .differentRun(
        part: part, saved: "\(saved.count) trained parameters",
        current: "\(parameters.count) trained parameters")
    }
    for (name, (path, parameter)) in zip(saved, parameters) {
      let shape = values[name]?.shape ?? []
      guard name == path, shape == parameter.shape, best[name]?.shape ?? shape == shape else {
        throw .differentRun(
          part: part, saved: "'\(name)' of shape \(shape)",
          current: "'\(path)' of shape \(parameter.shape)")
      }
    }
  }

  private func checkOptimizer(_ optimizer: any Optimizer) throws(TrainingError) {
    for (path, state) in self.optimizer.parameters {
      let shape = values[path]?.shape ?? []
      let types = optimizer.stateTypes(of: shape)
      let wanted = optimizer.stateShapes(of: shape).map {
        "\($0.key) \(types[$0.key] ?? .float32) \($0.value)"
      }
      let saved = state.tensors.map { "\($0.key) \($0.value.dtype) \($0.value.shape)" }
      guard Set(saved) == Set(wanted) else {
        throw .differentRun(
          part: .optimizer, saved: "\(Self.list(saved)) of '\(path)'",
          current: "\(Self.list(wanted))")
      }
    }
  }

  private static func list(_ tensors: [String]) -> String {
    tensors.isEmpty ? "nothing" : tensors.sorted().joined(separator: ", ")
  }

  private static func frozen(_ hash: String?) -> String {
    hash.map { "frozen weights of content \($0)" } ?? "parameters alone"
  }

  private static func settings(_ hash: String?) -> String {
    hash.map { "settings and frozen numbers of content \($0)" } ?? "no adapter"
  }

  private static func rates(_ group: RunIdentity.Group) -> String {
    "learning rate \(group.learningRate) and weight decay \(group.weightDecay) of "
      + "\(group.parameters.count) parameters"
  }
}

extension TrainingOptions {
  /// What numbers depend on but the duration, as a name and a text of each.
  package var described: [(name: String, text: String)] {
    Self.settings.map { ($0.name, $0.text(self)) }
  }

  fileprivate static let settings: [(name: String, text: @Sendable (TrainingOptions) -> String)] = [
    ("batch size", { "\($0.batchSize)" }), ("accumulation", { "\($0.accumulation)" }),
    ("learning rate", { "\($0.learningRate)" }), ("schedule", { "\($0.schedule)" }),
    ("warm-up", { "\($0.warmupSteps)" }), ("weight decay", { "\($0.weightDecay)" }),
    ("beta1", { "\($0.beta1)" }), ("beta2", { "\($0.beta2)" }), ("epsilon", { "\($0.epsilon)" }),
    ("clipping norm", { "\($0.clipNorm)" }), ("seed", { "\($0.seed)" }),
    ("shuffling", { "\($0.shuffles)" }), ("precision", { "\($0.precision)" }),
    ("decay of the schedule", { $0.schedule == .stable ? "\($0.stableDecay)" : "as the schedule" }),
    ("NEFTune's alpha", { "\($0.neftuneAlpha)" }),
    ("batches by length", { "\($0.groupsByLength)" }),
    ("LoRA+ ratio", { $0.loraPlus.map { "\($0.ratio)" } ?? "none" }),
    ("LoRA+ rate of embeddings", { $0.loraPlus.map { "\($0.embeddingLearningRate)" } ?? "none" }),
  ]
}
