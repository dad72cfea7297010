import LoRAAutograd
import LoRAModels
import LoRATensor
import Logging

/// A run of a trainer, step by step: it can stop after any step and resume from its state.
///
/// ```swift
/// var run = try TrainingRun(trainer)
/// while let report = try run.step() {
///   if report.step.isMultiple(of: 100) { try run.state().save(to: "run.safetensors") }
/// }
/// run.result.losses.last
///
/// // In another process, with the same model, adapter, data and options:
/// var rest = try TrainingRun(trainer, from: TrainingState(path: "run.safetensors"))
/// ```
///
/// A resumed run ends with the same bits as an uninterrupted one. It changes the trained parameters
/// in the model, so two runs must not train the same parameters at the same time.
public struct TrainingRun<Data: TrainingData>: Sendable {
  /// The trainer of this run.
  public let trainer: Trainer<Data>
  /// The number of steps of the whole run.
  public let stepCount: Int
  /// The result so far, including earlier parts of the run.
  public internal(set) var result = TrainingResult()

  /// The evaluations that were noted, including earlier parts of the run.
  public internal(set) var evaluations: [EvaluationPoint] = []

  let order: BatchOrder
  /// All trained parameters, in the order in which their norms are added.
  let parameters: [NamedParameter]
  var optimizerState = OptimizerState()
  /// The values at the lowest evaluation, by path; empty if they are not held.
  var best: [String: Tensor] = [:]
  /// Whether blocks are recomputed instead of kept.
  let isCheckpointed: Bool
  /// The loss of the run's first batch, before training.
  var firstLoss: Double?
  /// Whether this value has made a step: the first one checks what cannot be known before.
  var hasStepped = false
  /// Whether this value has looked at what was learned, after the last step.
  private var hasEnded = false
  /// The order of the examples in the current epoch.
  private var epoch: (index: Int, examples: [Int])?
  /// What the run is of, once it was asked for.
  private var identity: RunIdentity?
  /// The identity of a run on the same base and data, if one is known.
  private let known: RunIdentity?

  /// Starts a run, or resumes from `state` and sets the parameters to its values.
  ///
  /// Throws ``TrainingError/differentRun(part:saved:current:)`` for the state of a different run,
  /// and ``TrainingError/duplicateParameter(path:)`` if two trained parameters share a path. In
  /// both cases nothing changes.
  public init(_ trainer: Trainer<Data>, from state: TrainingState? = nil) throws(TrainingError) {
    try self.init(trainer, from: state, sharing: nil)
  }

  /// As the public one; `other` is the identity of a run on the same base and data, whose fingerprints need
  /// not be taken again.
  init(
    _ trainer: Trainer<Data>, from state: TrainingState? = nil, sharing other: RunIdentity?
  ) throws(TrainingError) {
    self.trainer = trainer
    known = other
    let options = trainer.options
    try trainer.optimizer.check()
    order = BatchOrder(
      exampleCount: trainer.data.exampleCount, batchSize: options.batchSize,
      accumulation: options.accumulation, seed: options.shuffles ? options.seed : nil,
      lengths: options.groupsByLength
        ? (0..<trainer.data.exampleCount).map { trainer.data.tokenCount(of: [$0]) } : nil)
    stepCount = options.stepCount(stepsPerEpoch: order.stepsPerEpoch)
    parameters = trainer.groups.flatMap(\.parameters)
    var paths: Set<String> = []
    if let twice = parameters.first(where: { !paths.insert($0.path).inserted }) {
      throw .duplicateParameter(path: twice.path)
    }
    isCheckpointed = trainer.isCheckpointed
    if isCheckpointed, options.checkpointing == .automatic {
      trainer.logger.notice("blocks are computed twice a step, to fit the memory")
    }
    result.trainedParameterCount = parameters.reduce(0) { $0 + $1.parameter.shape.elementCount }
    if options.warmupSteps >= stepCount {
      trainer.logger.warning(
        "the learning rate never reaches its full value",
        metadata: ["warmup": "\(options.warmupSteps)", "steps": "\(stepCount)"])
    }
    if options.batchSize > trainer.data.exampleCount {
      trainer.logger.warning(
        "a batch asks for more examples than there are",
        metadata: ["batch": "\(options.batchSize)", "examples": "\(trainer.data.exampleCount)"])
    }
    if let state { try restore(state) }
  }

  /// Whether all steps are complete.
  public var isFinished: Bool { result.steps >= stepCount }

  /// Makes the next step and returns its report; nil at the end of the run, or if the task is
  /// cancelled (see ``TrainingResult/isCancelled``).
  ///
  /// Throws as ``Trainer/run(from:isolation:onStep:)`` does.
  public mutating func step() throws -> StepReport? {
    guard !isFinished else {
      if hasStepped, !hasEnded {
        hasEnded = true
        try checkLearning()
      }
      return nil
    }
    if Task.isCancelled {
      result.isCancelled = true
      return nil
    }
    let report = try makeStep()
    hasStepped = true
    return report
  }

  /// The state after the last complete step. Copies no parameters, but while the state is held the
  /// next step writes new values beside its values. The first call reads the frozen weights and the
  /// data once to fingerprint them.
  public mutating func state() -> TrainingState {
    let identity = identity ?? RunIdentity(trainer, sharing: known)
    self.identity = identity
    return TrainingState(
      options: trainer.options, losses: result.losses, tokens: result.tokens,
      firstLoss: firstLoss,
      values: Dictionary(
        uniqueKeysWithValues: parameters.map { ($0.path, $0.parameter.value) }),
      optimizer: optimizerState, evaluations: evaluations, best: best, identity: identity)
  }

  /// Takes over what `state` holds, if it is this run's.
  private mutating func restore(_ state: TrainingState) throws(TrainingError) {
    let identity = RunIdentity(trainer, sharing: known)
    try state.check(for: trainer, identity, parameters: parameters, stepCount: stepCount)
    self.identity = identity
    for (path, parameter) in parameters {
      if let value = state.values[path] { parameter.value = value }
    }
    optimizerState = state.optimizer
    result.losses = state.losses
    result.tokens = state.tokens
    firstLoss = state.firstLoss
    evaluations = state.evaluations
    best = trainer.keepsBest ? state.best : [:]
  }

  /// Makes the next step and reports it; false when the run is over.
  mutating func advance(_ onStep: (StepReport) throws -> StepDecision) throws -> Bool {
    guard let report = try step() else { return false }
    if try onStep(report) == .stop {
      result.isStopped = true
      return false
    }
    return true
  }

  private mutating func makeStep() throws -> StepReport {
    let clock = ContinuousClock()
    let start = clock.now
    let index = result.steps
    let batches = batches(ofStep: index)
    // Better an error than numbers from, or a signal at, a page that is not there any more.
    try MappedFile.checkAll()
    if !hasStepped { trainer.optimizer.prepare(trainer.groups, &optimizerState) }
    defer { if !hasStepped { optimizerState.dropUnused() } }
    let (loss, gradients) = try gradients(of: batches, step: index)
    if !hasStepped { try checkReach(of: gradients, batches) }
    let norm = gradients.norm(over: parameters.map(\.parameter))
    guard norm.isFinite else {
      throw TrainingError.nonFiniteGradient(step: index + 1, parameter: firstNonFinite(gradients))
    }
    let options = trainer.options
    let factor = options.schedule.factor(
      step: index, warmup: options.warmupSteps, total: stepCount, decay: options.stableDecay)
    trainer.optimizer.step(
      gradients, groups: trainer.groups, factor: factor,
      gradientScale: GradientClipping.coefficient(norm: norm, limit: options.clipNorm),
      state: &optimizerState)
    result.losses.append(loss)
    let tokens = batches.reduce(0) { $0 + trainer.data.tokenCount(of: $1) }
    result.tokens += tokens
    let seconds = start.duration(to: clock.now) / .seconds(1)
    let (epoch, stepInEpoch) = index.quotientAndRemainder(dividingBy: order.stepsPerEpoch)
    return StepReport(
      step: index + 1, stepCount: stepCount, loss: loss, gradientNorm: norm,
      learningRate: options.learningRate * factor, tokens: tokens,
      tokensPerSecond: Double(tokens) / max(seconds, 1e-9),
      epoch: Double(epoch) + Double(stepInEpoch + 1) / Double(order.stepsPerEpoch))
  }

  mutating func batches(ofStep index: Int) -> [[Int]] {
    let (number, stepInEpoch) = index.quotientAndRemainder(dividingBy: order.stepsPerEpoch)
    var current = epoch ?? (number, order.examples(ofEpoch: number))
    if current.index != number { current = (number, order.examples(ofEpoch: number)) }
    epoch = current
    return order.batches(ofStep: stepInEpoch, in: current.examples)
  }

  /// The mean loss over the targets of all `batches` and its gradients.
  ///
  /// The sum grows in place: accumulating over batches takes no second set of gradients.
  mutating func gradients(
    of batches: [[Int]], step: Int
  ) throws -> (Double, Gradients) {
    let scale = scale(of: batches)
    var total = 0.0
    var sum = Gradients()
    for (index, examples) in batches.enumerated() {
      // Each batch draws its own dropout: batches are counted through the run.
      let draw = UInt64(step) &* UInt64(trainer.options.accumulation) &+ UInt64(index)
      try withLoss(of: examples, scale: scale, draw: draw) { batch, loss in
        let value = Double(loss.value.item())
        if trainer.isOwnLoss, !hasStepped, index == 0 { try checkScale(batch, value) }
        guard value.isFinite else {
          throw TrainingError.nonFiniteLoss(step: step + 1, examples: examples, value: value)
        }
        total += value
        loss.accumulateGradients(into: &sum)
      }
      if step == 0, index == 0 { firstLoss = total }
    }
    return (total, sum)
  }

  /// What the losses of a step of these batches are multiplied by: 1 / (the weight of all targets).
  func scale(of batches: [[Int]]) -> Float {
    let weight = batches.reduce(0) { $0 + trainer.data.targetWeight(of: $1) }
    return weight > 0 ? 1 / Float(weight) : 1
  }

  /// Calls `body` with the batch of `examples` and its loss, under the dropout that `draw` says.
  func withLoss(
    of examples: [Int], scale: Float, draw: UInt64, _ body: (Data.Batch, Variable) throws -> Void
  ) throws {
    try Dropout.during(step: draw, seed: trainer.options.seed) {
      try trainer.scope {
        let batch = trainer.data.batch(of: examples)
        let loss = try withNoise(examples, draw) {
          try ProductPrecision.withValue(trainer.options.precision) {
            try BlockCheckpointing.during(isCheckpointed) { try trainer.loss(batch, scale) }
          }
        }
        guard loss.shape.elementCount == 1 else {
          throw TrainingError.lossNotScalar(shape: loss.shape)
        }
        try body(batch, loss)
      }
    }
  }

  /// Calls `body` with the noise of NEFTune on the vectors of these examples' tokens, if there is any.
  private func withNoise<R>(
    _ examples: [Int], _ draw: UInt64, _ body: () throws -> R
  ) rethrows -> R {
    let options = trainer.options
    return try EmbeddingNoise.during(
      alpha: options.neftuneAlpha, seed: options.seed,
      // By step, so that several batches a step have the noise of a large one.
      step: draw / UInt64(options.accumulation), examples: examples,
      lengths: options.neftuneAlpha > 0
        ? examples.map { trainer.data.tokenCount(of: [$0]) } : [], body)
  }

  /// The path of the first parameter with a gradient that is not finite.
  func firstNonFinite(_ gradients: Gradients) -> String {
    let found = parameters.first { gradients[$0.parameter]?.firstNonFiniteIndex() != nil }
    return found?.path ?? "all parameters together"
  }
}
