import LoRAFiles
import LoRAJSON
import LoRAKit

// From the first step of a run to its last: progress, log, evaluations and checkpoints.

extension TrainCommand {
  /// How far a training came.
  struct Outcome {
    var steps = 0
    var loss = 0.0
    var trainableParameters: Int
    /// The memory that was predicted for it.
    var predictedBytes: Int?
    /// Whether evaluations ended it.
    var isStoppedEarly = false
    /// The step whose values are saved instead of the last one's.
    var best: Int?
    /// What ended it before its end and was no signal.
    var failure: (any Error)?
    /// What happened, in earlier parts of the run too.
    var history = TrainingHistory()
  }

  /// Makes the steps of `run` to the end, or until something stops it that leaves the steps before it
  /// worth saving: evaluations, a signal, a loss that is not finite, a log that cannot be written.
  /// `before` is what was measured before the first step.
  func make(
    _ run: inout TrainingRun<some TrainingData>, _ task: some TrainingTask,
    _ before: TaskMeasurement?
  ) throws -> Outcome {
    var record = try TrainingRecord(
      log: log, keptIn: checkpoints.checkpointEvery == nil ? nil : folder.history,
      board: try reporting.board(continuing: isResumed ? run.result.steps : nil),
      continuing: isResumed ? run.result.steps : nil)
    if let before, run.result.steps == 0 { try record.begin(with: before) }
    if run.result.steps == 0 { try sample(task, after: 0, &record) }
    var outcome = Outcome(
      steps: run.result.steps, loss: run.result.losses.last ?? 0,
      trainableParameters: run.result.trainedParameterCount,
      predictedBytes: run.trainer.predictedMemory?.total)
    var progress = Progress()
    var pace = TrainingPace(record.history)
    Interrupt.watch()
    do {
      var watch = TrainingWatch(run, chanceLoss: task.chanceLoss)
      try evaluateIfDue(&run, task, &record, &watch)
      while !isExhausted(run), let report = try run.step() {
        (outcome.steps, outcome.loss) = (report.step, report.loss)
        pace.add(report)
        progress.report(report.step, of: report.stepCount, pace.parts, curve: pace.curve)
        try record.add(.step(report))
        try tell(watch.warnings(after: report, of: run), after: report.step, &record)
        if Interrupt.isRequested { break }
        try evaluateIfDue(&run, task, &record, &watch)
        try sampleIfDue(run, task, &record)
        if let every = checkpoints.checkpointEvery, report.step.isMultiple(of: every),
          !run.isFinished
        {
          try folder.save(run.state(), keeping: checkpoints.keep ?? 2)
        }
      }
      outcome.isStoppedEarly = isExhausted(run) && !run.isFinished
    } catch {
      outcome.failure = error
    }
    progress.finish()
    outcome.history = record.history
    if let failure = outcome.failure, outcome.steps == 0 { throw failure }
    if checkpoints.checkpointEvery != nil, !run.isFinished, !outcome.isStoppedEarly {
      do {
        try folder.save(run.state(), keeping: checkpoints.keep ?? 2)
      } catch {
        StandardError.line("warning: the state to resume from is not saved: \(error)")
      }
    }
    outcome.best = run.restoreBest()?.step
    return outcome
  }

  /// Whether evaluations have not improved for as long as is waited.
  private func isExhausted(_ run: TrainingRun<some TrainingData>) -> Bool {
    evaluation.patience.map { run.evaluationsSinceBest >= $0 } ?? false
  }

  /// Measures the model where it is to be measured and was not: a run that was stopped in a step has
  /// that before it goes on.
  private func evaluateIfDue(
    _ run: inout TrainingRun<some TrainingData>, _ task: some TrainingTask,
    _ record: inout TrainingRecord, _ watch: inout TrainingWatch
  ) throws {
    let step = run.result.steps
    guard let every = evaluation.evalEvery, step > 0, run.evaluations.last?.step != step,
      step.isMultiple(of: every) || run.isFinished,
      let measurement = try task.evaluate(training: recipe.trained)
    else { return }
    run.note(evaluation: measurement.criterion)
    let isBest = run.bestEvaluation?.step == step
    StandardError.line("evaluation after step \(step): \(measurement)\(isBest ? ", the best" : "")")
    try record.add(.measurement(measurement.after(step)))
    try tell(
      watch.warnings(after: EvaluationPoint(step: step, loss: measurement.criterion)), after: step,
      &record)
  }

  /// Asks the prompts of samples where that is due: as often as is said, or at evaluations, and in the end.
  private func sampleIfDue(
    _ run: TrainingRun<some TrainingData>, _ task: some TrainingTask,
    _ record: inout TrainingRecord
  ) throws {
    let step = run.result.steps
    let every = reporting.sampleEvery ?? evaluation.evalEvery
    let isDue = run.isFinished || isExhausted(run) || every.map { step.isMultiple(of: $0) } ?? false
    if isDue { try sample(task, after: step, &record) }
  }

  private func sample(
    _ task: some TrainingTask, after step: Int, _ record: inout TrainingRecord
  ) throws {
    for sample in try task.samples(after: step) {
      StandardError.line(
        "sample \(sample.prompt + 1) \(step == 0 ? "before" : "after step \(step)"): \(sample.text)"
      )
      try record.add(.sample(sample))
    }
  }

  private func tell(
    _ warnings: [TrainingWarning], after step: Int, _ record: inout TrainingRecord
  ) throws {
    for warning in warnings {
      StandardError.line("warning: \(warning)")
      try record.add(.warning(step: step, text: "\(warning)"))
    }
  }
}
