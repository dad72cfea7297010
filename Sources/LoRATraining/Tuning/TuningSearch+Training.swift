import LoRAModels
import LoRATensor

// How trials are trained: side by side where that takes less time.

extension TuningSearch {
  /// What a training and its measurement gave.
  struct Outcome {
    var score: TuningScore
    /// The state from before the decay, where a longer training goes on.
    var stable: TrainingState
    var final: TrainingState
  }

  /// Trains trials until they have gone through `examples`, and measures them.
  mutating func train(_ indexes: [Int], to examples: Int) throws {
    var open: [Int] = []
    for index in indexes where record.trials[index].failure == nil {
      let isMeasured = record.trials[index].measurements.contains { $0.examples >= examples }
      if try !isMeasured && !replay(index, to: examples) { open.append(index) }
    }
    for group in groups(of: open) { try trainAtOnce(group, to: examples) }
  }

  private mutating func trainAtOnce(_ group: [Int], to examples: Int) throws {
    let began = elapsed
    let outcomes = try trained(group, to: examples)
    let seconds = elapsed - began
    // What ended one cancelled those beside it: the reason comes before its consequence.
    var end: (any Error)?
    for (index, outcome) in zip(group, outcomes) {
      do {
        let outcome = try outcome.get()
        record.trials[index].measurements.append(
          TuningRecord.Measurement(
            examples: examples, steps: outcome.final.step, score: outcome.score, seconds: seconds,
            elapsed: elapsed, isSideBySide: group.count > 1))
        live[index]?.state = outcome.stable
        identity = outcome.stable.identity
        try folder?.save(outcome.stable, TuningFolder.trial(record.trials[index]))
        if takes(TuningRecord.Place(trial: index, examples: examples)) {
          best = outcome.final.values
          try folder?.save(outcome.final, TuningFolder.winner)
        }
      } catch let error as TrainingError where error.endsCandidate {
        record.trials[index].failure = "\(error)"
      } catch let error as NonFiniteOutput {
        record.trials[index].failure = "\(error)"
      } catch let error as NonFiniteScore {
        record.trials[index].failure = "\(error)"
      } catch {
        if end == nil || end is CancellationError { end = error }
        continue
      }
      try note()
    }
    if let end { throw end }
  }

  /// What training each of these trials until it has gone through `examples` gives. Several have a thread
  /// each: within a region of the pool, every operation stays on its thread.
  mutating func trained(
    _ group: [Int], to examples: Int
  ) throws -> [Result<Outcome, any Error>] {
    for index in group { try attach(index) }
    let runs = try group.map { index in
      let steps = steps(of: record.trials[index].candidate, for: examples)
      return try TrainingRun(
        try trainer(of: index, steps: steps), from: live[index]?.state, sharing: identity)
    }
    let stop = Locked(false)
    var outcomes: [Result<Outcome, any Error>?] = Array(repeating: nil, count: group.count)
    let search = self
    outcomes.withUnsafeMutableBufferPointer { outcomes in
      parallelFor(group.count) { place in
        outcomes[place] = Result {
          do {
            return try search.outcome(of: runs[place], trial: group[place], unless: stop)
          } catch {
            // What ends the search ends what is beside it.
            if (error as? TrainingError)?.endsCandidate != true && !(error is NonFiniteOutput)
              && !(error is NonFiniteScore)
            {
              stop.withLock { $0 = true }
            }
            throw error
          }
        }
      }
    }
    return outcomes.compactMap { $0 }
  }

  private func outcome(
    of start: TrainingRun<Data>, trial index: Int, unless stop: Locked<Bool>
  ) throws -> Outcome {
    var run = start
    let isDefault = record.trials[index].stage == .default
    let decay = isDefault ? 0 : run.trainer.options.stableDecay.stepCount(of: run.stepCount)
    try advance(&run, to: run.stepCount - decay, unless: stop)
    let stable = run.state()
    try advance(&run, to: run.stepCount, unless: stop)
    let score = try task.measure(Self.name(index))
    guard score.value.isFinite, score.loss?.isFinite ?? true else { throw NonFiniteScore() }
    return Outcome(score: score, stable: stable, final: run.state())
  }

  private func advance(
    _ run: inout TrainingRun<Data>, to step: Int, unless stop: Locked<Bool>
  ) throws {
    while run.result.steps < step {
      if stop.withLock({ $0 }) || task.isCancelled() { throw CancellationError() }
      guard try run.step() != nil else { throw CancellationError() }
    }
  }

  // MARK: - What a training needs

  func trainer(of index: Int, steps: Int) throws -> Trainer<Data> {
    let trial = record.trials[index]
    return try task.trainer(
      trial.candidate, Self.name(index), trial.options(task.options, steps: steps))
  }

  /// Attaches the adapter of a trial that goes on, or begins.
  mutating func attach(_ index: Int) throws {
    if live[index] == nil {
      live[index] = Live(
        state: record.trials[index].measurements.isEmpty
          ? nil : try folder?.state(TuningFolder.trial(record.trials[index])))
    }
    guard live[index]?.isAttached == false else { return }
    try task.attach(record.trials[index].candidate, Self.name(index))
    live[index]?.isAttached = true
  }

  /// Takes over a measurement, or a failure, of an earlier part of the search.
  private mutating func replay(_ index: Int, to examples: Int) throws -> Bool {
    guard let trial = earlier.first(where: record.trials[index].isTrainedAs) else { return false }
    if let measurement = trial.measurements.first(where: { $0.examples == examples }) {
      record.trials[index].measurements.append(measurement)
      _ = takes(TuningRecord.Place(trial: index, examples: examples))
      takeUp(measurement.elapsed)
      return true
    }
    guard let failure = trial.failure else { return false }
    record.trials[index].failure = failure
    return true
  }

  /// Makes `place`, which was just measured, the winner if it is the best; false if it is not.
  private mutating func takes(_ place: TuningRecord.Place) -> Bool {
    guard let score = record.trials[place.trial].measurements.last?.score else { return false }
    if let best = record.best, !score.isBetter(than: best.score) { return false }
    record.winner = place
    return true
  }

  // MARK: - Time

  /// The seconds that an example of the default takes, alone and beside as many others as there are threads:
  /// in the first steps, the very first aside.
  mutating func measureSpeed() throws -> (alone: Double, sideBySide: Double, width: Int) {
    let alone = try secondsPerExample(copies: 1)
    // The operations of a long step keep all threads busy by themselves, and a memory limit is meant for one
    // training.
    let batch = Double(task.space.start.batchSize * task.options.accumulation)
    let width = min(task.threads, task.space.learningRates.count)
    guard width > 1, alone * batch < 0.5, task.options.memoryLimit == nil else {
      return (alone, alone, 1)
    }
    let sideBySide = try secondsPerExample(copies: width)
    return sideBySide < Double(width) * alone ? (alone, sideBySide, width) : (alone, alone, 1)
  }

  private mutating func secondsPerExample(copies: Int) throws -> Double {
    var names: [String] = []
    var runs: [TrainingRun<Data>] = []
    defer { for name in names { try? task.model.detach(name) } }
    for copy in 0..<copies {
      let name = Self.name(copy)
      try task.attach(task.space.start, name)
      names.append(name)
      let trial = TuningRecord.Trial(candidate: task.space.start, stage: .rate)
      runs.append(
        try TrainingRun(
          try task.trainer(task.space.start, name, trial.options(task.options, steps: 1000)),
          sharing: identity))
    }
    let steps = 4
    var began = 0.0
    for end in [1, steps] {
      began = elapsed
      var errors: [(any Error)?] = Array(repeating: nil, count: copies)
      let stop = Locked(false)
      let search = self
      try runs.withUnsafeMutableBufferPointer { runs in
        errors.withUnsafeMutableBufferPointer { errors in
          parallelFor(copies) { place in
            do { try search.advance(&runs[place], to: end, unless: stop) } catch {
              errors[place] = error
            }
          }
        }
        if let error = errors.compactMap({ $0 }).first { throw error }
      }
    }
    let seconds = elapsed - began
    if identity == nil { identity = runs[0].state().identity }
    let batch = min(task.space.start.batchSize * task.options.accumulation, record.exampleCount)
    return max(seconds / Double((steps - 1) * batch), 1e-9)
  }
}

/// A candidate that could be trained, and not be measured.
private struct NonFiniteScore: Error, CustomStringConvertible {
  var description: String { "its score on the held-out examples is not finite" }
}

extension TrainingError {
  /// Whether it says that a candidate can't be trained, and not that nothing can.
  fileprivate var endsCandidate: Bool {
    switch self {
    case .nonFiniteLoss, .nonFiniteGradient: true
    default: false
    }
  }
}
