import LoRAAutograd
import LoRAModels
import LoRATensor
import Logging

/// The state of one run of a trainer, a step at a time.
struct TrainingRun<Data: TrainingData> {
  let trainer: Trainer<Data>
  let order: BatchOrder
  let stepCount: Int
  /// All trained parameters, in the order in which norms are added up.
  let parameters: [NamedParameter]
  var optimizer: any Optimizer
  var result = TrainingResult()
  /// Whether blocks are computed a second time instead of being kept.
  let isCheckpointed: Bool
  /// The run's first batch and its loss before anything was learned.
  var first: (rows: [Int], scale: Float, loss: Double)?
  /// The order of the rows in the current epoch.
  var epoch: (index: Int, rows: [Int])?

  init(_ trainer: Trainer<Data>) {
    self.trainer = trainer
    let options = trainer.options
    order = BatchOrder(
      rowCount: trainer.data.rowCount, batchSize: options.batchSize,
      accumulation: options.accumulation, seed: options.shuffles ? options.seed : nil)
    stepCount = options.stepCount(stepsPerEpoch: order.stepsPerEpoch)
    parameters = trainer.groups.flatMap(\.parameters)
    optimizer = trainer.makeOptimizer(trainer.groups)
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
    if options.batchSize > trainer.data.rowCount {
      trainer.logger.warning(
        "a batch asks for more rows than there are",
        metadata: ["batch": "\(options.batchSize)", "rows": "\(trainer.data.rowCount)"])
    }
  }

  /// Makes the next step and reports it; false when the run is over.
  mutating func advance(_ onStep: (StepReport) throws -> StepDecision) throws -> Bool {
    guard result.steps < stepCount else { return false }
    if Task.isCancelled {
      result.isCancelled = true
      return false
    }
    let report = try step()
    if try onStep(report) == .stop {
      result.isStopped = true
      return false
    }
    guard result.steps < stepCount else {
      try checkLearning()
      return false
    }
    return true
  }

  private mutating func step() throws -> StepReport {
    let clock = ContinuousClock()
    let start = clock.now
    let index = result.steps
    let batches = batches(ofStep: index)
    // Better an error than numbers from, or a signal at, a page that is not there any more.
    try MappedFile.checkAll()
    let (loss, gradients) = try gradients(of: batches, step: index)
    if index == 0 { try checkReach(of: gradients, batches) }
    let norm = gradients.norm(over: parameters.map(\.parameter))
    guard norm.isFinite else {
      throw TrainingError.nonFiniteGradient(step: index + 1, parameter: firstNonFinite(gradients))
    }
    let options = trainer.options
    let factor = options.schedule.factor(
      step: index, warmup: options.warmupSteps, total: stepCount)
    optimizer.step(
      gradients, factor: factor,
      gradientScale: GradientClipping.coefficient(norm: norm, limit: options.clipNorm))
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

  private mutating func batches(ofStep index: Int) -> [[Int]] {
    let (number, stepInEpoch) = index.quotientAndRemainder(dividingBy: order.stepsPerEpoch)
    var current = epoch ?? (number, order.rows(ofEpoch: number))
    if current.index != number { current = (number, order.rows(ofEpoch: number)) }
    epoch = current
    return order.batches(ofStep: stepInEpoch, in: current.rows)
  }

  /// The mean loss over the targets of all `batches` and its gradients.
  ///
  /// The sum grows in place: accumulating over batches takes no second set of gradients.
  private mutating func gradients(
    of batches: [[Int]], step: Int
  ) throws -> (Double, Gradients) {
    let data = trainer.data
    let targets = batches.reduce(0) { $0 + data.targetCount(of: $1) }
    let scale = 1 / Float(max(1, targets))
    var total = 0.0
    var sum = Gradients()
    for (index, rows) in batches.enumerated() {
      // Each batch draws its own dropout: batches are counted through the run.
      let draw = UInt64(step) &* UInt64(trainer.options.accumulation) &+ UInt64(index)
      try withLoss(of: rows, scale: scale, draw: draw) { batch, loss in
        let value = Double(loss.value.item())
        if trainer.isOwnLoss, step == 0, index == 0 { try checkScale(batch, value) }
        guard value.isFinite else {
          throw TrainingError.nonFiniteLoss(step: step + 1, rows: rows, value: value)
        }
        total += value
        loss.accumulateGradients(into: &sum)
      }
      if step == 0, index == 0 { first = (rows, scale, total) }
    }
    return (total, sum)
  }

  /// Calls `body` with the batch of `rows` and its loss, under the dropout that `draw` says.
  func withLoss(
    of rows: [Int], scale: Float, draw: UInt64, _ body: (Data.Batch, Variable) throws -> Void
  ) throws {
    try Dropout.during(step: draw, seed: trainer.options.seed) {
      try trainer.scope {
        let batch = trainer.data.batch(of: rows)
        let loss = try ProductPrecision.withValue(trainer.options.precision) {
          try BlockCheckpointing.during(isCheckpointed) { try trainer.loss(batch, scale) }
        }
        guard loss.shape.elementCount == 1 else {
          throw TrainingError.lossNotScalar(shape: loss.shape)
        }
        try body(batch, loss)
      }
    }
  }

  /// The path of the first parameter with a gradient that is not finite.
  private func firstNonFinite(_ gradients: Gradients) -> String {
    let found = parameters.first { gradients[$0.parameter]?.firstNonFiniteIndex() != nil }
    return found?.path ?? "all parameters together"
  }
}
