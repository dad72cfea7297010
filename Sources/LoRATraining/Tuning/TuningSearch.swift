import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor

/// A search of ``AutoLoRA`` under way: trials that are trained further and further, and the record of them.
struct TuningSearch<Data: TrainingData> {
  /// What a trial needs to go on.
  struct Live {
    /// The state from before the decay; nil before the first training.
    var state: TrainingState?
    var isAttached = false
  }

  let task: AutoLoRA<Data>
  var record: TuningRecord
  var onMeasurement: (TuningRecord) throws -> Void = { _ in }

  let folder: TuningFolder?
  var live: [Int: Live] = [:]
  /// The trained values of the winner, by path.
  var best: [String: Tensor] = [:]
  /// What all runs are of, once it is known: the same base and data.
  var identity: RunIdentity?
  /// When the clock stood at 0.
  private var start: Double
  /// What an earlier part of the search has tried.
  let earlier: [TuningRecord.Trial]

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
  mutating func takeUp(_ seconds: Double) { start = task.clock() - max(seconds, elapsed) }

  /// The seconds that are left.
  var left: Double { record.limit - elapsed }

  /// The seconds that training these trials up to `examples` and measuring them will take.
  func cost(of trials: [Int], to examples: Int) -> Double {
    let each = trials.map { cost(of: $0, to: examples) }
    guard let seconds = record.seconds, seconds.width > 1 else { return each.reduce(0, +) }
    return groups(of: each).reduce(0) { sum, group in
      sum + (group.max() ?? 0) * (group.count > 1 ? seconds.slowdown : 1)
    }
  }

  /// The seconds that training `trial` alone up to `examples` and measuring it will take.
  private func cost(of trial: Int, to examples: Int) -> Double {
    guard let seconds = record.seconds else { return 0 }
    let measured = record.trials[trial].measurements
    let trained = measured.map(\.examples).max() ?? 0
    // Going on begins before the decay, a tenth before the end.
    let more = Double(examples) - 0.9 * Double(trained)
    var example = seconds.example
    if let last = measured.last, last.examples > 0 {
      let first = measured.dropLast().map(\.examples).max().map { 0.9 * Double($0) } ?? 0
      let alone = last.seconds / (last.isSideBySide ? seconds.slowdown : 1)
      let own = (alone - seconds.measurement) / max(1, Double(last.examples) - first)
      if own > 0 { example = own }
    }
    return max(0, more) * example + seconds.measurement
  }

  /// What is trained side by side, and one after another.
  func groups<Element>(of elements: [Element]) -> [[Element]] {
    let width = record.seconds?.width ?? 1
    return stride(from: 0, to: elements.count, by: width).map {
      Array(elements[$0..<min($0 + width, elements.count)])
    }
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
  func steps(of candidate: TuningCandidate, for examples: Int) -> Int {
    let count = task.data.exampleCount
    let batch = candidate.batchSize * task.options.accumulation
    let (epochs, rest) = examples.quotientAndRemainder(dividingBy: count)
    return max(1, epochs * ((count + batch - 1) / batch) + (rest + batch - 1) / batch)
  }

  static func name(_ trial: Int) -> String { "auto-lora-\(trial)" }

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
        _ = try trained([winner.trial], to: measurement.examples)[0].get()
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
