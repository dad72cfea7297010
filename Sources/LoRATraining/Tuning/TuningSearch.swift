import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor

/// A search of ``AutoLoRA`` under way: trials that are trained further and further, and the record of them.
struct TuningSearch<Data: TrainingData> {
  /// What a trial needs to go on.
  private struct Live {
    /// The state from before the decay; nil before the first training.
    var state: TrainingState?
    var isAttached = false
  }

  let task: AutoLoRA<Data>
  var record: TuningRecord
  var onMeasurement: (TuningRecord) throws -> Void = { _ in }

  private let folder: TuningFolder?
  private var live: [Int: Live] = [:]
  /// The trained values of the winner, by path.
  private var best: [String: Tensor] = [:]
  /// What all runs are of, once it is known: the same base and data.
  private var identity: RunIdentity?
  /// When the clock stood at 0.
  private var start: Double
  /// What an earlier part of the search has tried.
  private let earlier: [TuningRecord.Trial]

  init(_ task: AutoLoRA<Data>) throws {
    self.task = task
    try task.space.check()
    try task.options.check()
    guard task.seconds > 0, task.seconds.isFinite else {
      throw TrainingError.invalidOption(
        name: "the time of a search", value: "\(task.seconds)", expected: "above 0 seconds")
    }
    folder = task.folder.map { TuningFolder(path: $0) }
    record = TuningRecord(
      metric: task.metric, limit: task.seconds, space: task.space,
      exampleCount: task.data.exampleCount,
      data: task.data.fingerprint)
    start = task.clock() - task.secondsBefore
    guard let before = try folder?.record() else {
      earlier = []
      return
    }
    try before.check(record)
    earlier = before.trials
    record.base = before.base
    record.seconds = before.seconds
    takeUp(before.seconds?.elapsed ?? 0)
  }

  // MARK: - Time

  /// The seconds of the search so far.
  var elapsed: Double { task.clock() - start }

  /// Counts what an earlier part of the search has taken.
  private mutating func takeUp(_ seconds: Double) { start = task.clock() - max(seconds, elapsed) }

  /// The seconds that are left.
  var left: Double { record.limit - elapsed }

  /// The seconds that training `trial` up to `examples` and measuring it will take.
  func cost(of trial: Int, to examples: Int) -> Double {
    guard let seconds = record.seconds else { return 0 }
    let measured = record.trials[trial].measurements
    let trained = measured.map(\.examples).max() ?? 0
    // Going on begins before the decay, a tenth before the end.
    let more = Double(examples) - 0.9 * Double(trained)
    var example = seconds.example
    if let last = measured.last, last.examples > 0 {
      let first = measured.dropLast().map(\.examples).max().map { 0.9 * Double($0) } ?? 0
      let own = (last.seconds - seconds.measurement) / max(1, Double(last.examples) - first)
      if own > 0 { example = own }
    }
    return max(0, more) * example + seconds.measurement
  }

  // MARK: - Trials

  /// Adds a trial; the index of the one there is, if the candidate was tried already.
  mutating func add(
    _ candidate: TuningCandidate, _ stage: TuningRecord.Stage,
    _ dimension: TuningSpace.Dimension? = nil
  ) -> Int {
    let trial = TuningRecord.Trial(candidate: candidate, stage: stage, dimension: dimension)
    if let same = record.trials.firstIndex(where: trial.isTrainedAs) { return same }
    record.trials.append(trial)
    return record.trials.count - 1
  }

  /// Whether the best of trial `a` is better than that of `b`.
  func isBetter(_ a: Int, than b: Int) -> Bool {
    guard let first = record.trials[a].best?.score else { return false }
    guard let second = record.trials[b].best?.score else { return true }
    return first.isBetter(than: second)
  }

  /// The number of steps that go through `examples`.
  private func steps(of candidate: TuningCandidate, for examples: Int) -> Int {
    let count = task.data.exampleCount
    let batch = candidate.batchSize * task.options.accumulation
    let (epochs, rest) = examples.quotientAndRemainder(dividingBy: count)
    return max(1, epochs * ((count + batch - 1) / batch) + (rest + batch - 1) / batch)
  }

  private static func name(_ trial: Int) -> String { "auto-lora-\(trial)" }

  /// Trains a trial until it has gone through `examples`, and measures it. False if it has failed.
  @discardableResult
  mutating func train(_ index: Int, to examples: Int) throws -> Bool {
    guard record.trials[index].failure == nil else { return false }
    if record.trials[index].measurements.contains(where: { $0.examples >= examples }) {
      return true
    }
    if try replay(index, to: examples) { return record.trials[index].failure == nil }
    let began = elapsed
    let trial = record.trials[index]
    let total = steps(of: trial.candidate, for: examples)
    do {
      let (score, final) = try measured(index, steps: total)
      record.trials[index].measurements.append(
        TuningRecord.Measurement(
          examples: examples, steps: total, score: score, seconds: elapsed - began,
          elapsed: elapsed))
      let place = TuningRecord.Place(trial: index, examples: examples)
      if takes(place) {
        best = final.values
        try folder?.save(final, TuningFolder.winner)
      }
    } catch let error as TrainingError where error.endsCandidate {
      record.trials[index].failure = "\(error)"
    } catch let error as NonFiniteOutput {
      record.trials[index].failure = "\(error)"
    } catch let error as NonFiniteScore {
      record.trials[index].failure = "\(error)"
    }
    try note()
    return record.trials[index].failure == nil
  }

  /// Trains and measures. Keeps the state from before the decay, and returns the one behind it.
  private mutating func measured(
    _ index: Int, steps: Int
  ) throws -> (score: TuningScore, final: TrainingState) {
    let trial = record.trials[index]
    try attach(index)
    var run = try TrainingRun(
      try trainer(of: index, steps: steps), from: live[index]?.state, sharing: identity)
    let options = run.trainer.options
    let decay = trial.stage == .default ? 0 : options.stableDecay.stepCount(of: steps)
    try advance(&run, to: steps - decay)
    let stable = run.state()
    identity = stable.identity
    try advance(&run, to: steps)
    let score = try task.measure(Self.name(index))
    guard score.value.isFinite, score.loss?.isFinite ?? true else { throw NonFiniteScore() }
    live[index]?.state = stable
    try folder?.save(stable, TuningFolder.trial(record.trials[index]))
    return (score, run.state())
  }

  private func trainer(of index: Int, steps: Int) throws -> Trainer<Data> {
    let trial = record.trials[index]
    return try task.trainer(
      trial.candidate, Self.name(index), trial.options(task.options, steps: steps))
  }

  /// Makes `place`, which was just measured, the winner if it is the best; false if it is not.
  private mutating func takes(_ place: TuningRecord.Place) -> Bool {
    guard let score = record.trials[place.trial].measurements.last?.score else { return false }
    if let best = record.best, !score.isBetter(than: best.score) { return false }
    record.winner = place
    return true
  }

  private func advance(_ run: inout TrainingRun<Data>, to step: Int) throws {
    while run.result.steps < step {
      if task.isCancelled() { throw CancellationError() }
      guard try run.step() != nil else { throw CancellationError() }
    }
  }

  /// The seconds that an example takes in the first steps of a trial, the very first aside.
  mutating func secondsPerExample(of index: Int) throws -> Double {
    try attach(index)
    var run = try TrainingRun(try trainer(of: index, steps: 1000), sharing: identity)
    try advance(&run, to: 1)
    let began = elapsed
    let steps = 4
    try advance(&run, to: steps)
    let seconds = elapsed - began
    // It begins anew when its turn comes.
    try task.model.detach(Self.name(index))
    live[index] = nil
    let batch = record.trials[index].candidate.batchSize * task.options.accumulation
    return max(
      seconds / Double((steps - 1) * min(batch, record.exampleCount)), 1e-9)
  }

  /// Attaches the adapter of a trial that goes on, or begins.
  private mutating func attach(_ index: Int) throws {
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

  /// Writes down and reports what has become of a trial.
  mutating func note() throws {
    record.elapsed = elapsed
    try folder?.save(record)
    try onMeasurement(record)
  }

  /// Gives the winner's adapter its values and its name, and takes the others off.
  mutating func settle() throws {
    guard let winner = record.winner, let measurement = record.best else {
      throw TrainingError.invalidOption(
        name: "the time of a search", value: "\(record.limit) seconds",
        expected: "enough for one candidate that learns something: see the record's failures")
    }
    try drop(allBut: [winner.trial])
    try attach(winner.trial)
    let name = Self.name(winner.trial)
    if best.isEmpty {
      // Measured before this search was taken up again.
      let trainer = try trainer(of: winner.trial, steps: measurement.steps)
      if let state = try folder?.state(TuningFolder.winner), state.step == measurement.steps {
        _ = try TrainingRun(trainer, from: state, sharing: identity)
      } else {
        live[winner.trial]?.state = nil
        _ = try measured(winner.trial, steps: measurement.steps)
      }
    } else {
      for (path, parameter) in task.model.adapterParameters(named: name) {
        if let value = best[path] { parameter.value = value }
      }
    }
    try task.model.renameAdapter(name, to: task.adapterName)
    live = [:]
    record.isFinished = true
    record.elapsed = elapsed
    try folder?.save(record)
    folder?.removeStates()
  }

  /// Forgets the states and adapters of all trials but `kept`.
  mutating func drop(allBut kept: [Int]) throws {
    for index in live.keys where !kept.contains(index) {
      if live[index]?.isAttached == true { try task.model.detach(Self.name(index)) }
      live[index] = nil
      folder?.removeState(TuningFolder.trial(record.trials[index]))
    }
  }

  /// Takes every adapter of the search off the model.
  mutating func detachAll() {
    for index in live.keys where live[index]?.isAttached == true {
      try? task.model.detach(Self.name(index))
    }
    live = [:]
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
