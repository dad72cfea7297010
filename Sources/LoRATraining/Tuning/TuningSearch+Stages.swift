import LoRAModels

// What is tried, in which order, for how long.

extension TuningSearch {
  /// How far a search can go in its time, in examples: lengths of trainings, each three times the one before.
  private struct Plan {
    /// One pass over the data; of data for which the time is too short, a sixth of what can be trained on.
    var pass: Int
    /// The shortest training.
    var shortest: Int
    /// How many variants of the best learning rate can be tried.
    var variants: Int

    func length(_ rung: Int) -> Int { (0..<rung).reduce(shortest) { length, _ in 3 * length } }
  }

  mutating func run() throws {
    try measureBase()
    try measureTime()
    guard let seconds = record.seconds else { return }
    let batch = task.space.start.batchSize
    let pass = min(record.exampleCount, Int(left / (6 * seconds.example)))
    guard pass >= min(record.exampleCount, 8 * batch) else { return try trainAlone() }
    let usual = add(task.space.start, .default)
    var options = task.options
    options.batchSize = batch
    let whole = record.exampleCount * options.usualEpochs(ofExamples: record.exampleCount)
    let length = cost(of: [usual], to: whole) <= 0.2 * left ? whole : pass
    guard cost(of: [usual], to: length) <= 0.75 * left else {
      record.trials.removeLast()
      return try trainAlone()
    }
    try train([usual], to: length)
    guard let plan = plan(pass) else { return try finish(usual, to: 2 * length) }
    let rate = try searchRates(plan)
    guard plan.variants > 0 else { return try finish(rate, to: plan.length(2)) }
    let best = try combine(searchVariants(of: rate, plan), with: rate, plan)
    try finish(best, to: plan.length(3))
  }

  /// Measures the model as it is.
  private mutating func measureBase() throws {
    guard record.base == nil else { return }
    let began = elapsed
    let base = try task.measure(nil)
    record.base = base.value.isFinite && base.loss?.isFinite ?? true ? base : nil
    record.seconds = TuningRecord.Seconds(
      measurement: elapsed - began, example: 0, sideBySide: 0, width: 1, elapsed: elapsed)
    try note()
  }

  /// Finds how long a training takes.
  private mutating func measureTime() throws {
    guard (record.seconds?.example ?? 0) == 0 else { return }
    let speed = try measureSpeed()
    let known = elapsed
    record.seconds?.example = speed.alone
    record.seconds?.sideBySide = speed.sideBySide
    record.seconds?.width = speed.width
    record.seconds?.elapsed = known
    try note()
  }

  /// The longest plan that fits what is left; nil if short trainings would be too short to tell anything.
  private func plan(_ pass: Int) -> Plan? {
    guard let seconds = record.seconds else { return nil }
    let space = task.space
    let least = Double(max(4 * space.start.batchSize, min(pass / 6, 64 * space.start.batchSize)))
    // A longer training than eight passes is not planned for; whether it helps is seen then.
    let most = Double(max(8 * pass / 27, Int(least)))
    let neighbours = space.neighbours(of: space.start).count
    // How many trainings, one after another, take as long as `count` side by side.
    func time(_ count: Int) -> Double {
      guard count > 1 else { return Double(count) }
      return Double((count + seconds.width - 1) / seconds.width) * seconds.slowdown
    }
    // In the shortest length: the rates and one beyond, the best two three times as long.
    let rates = time(space.learningRates.count) + 1 + 2 * time(2)
    func shortest(_ units: Double, measurements: Int) -> Double {
      // A tenth on top for the decays, and something for slower methods.
      let time = 0.95 * left - Double(measurements) * seconds.measurement
      return time / (1.15 * units * seconds.example)
    }
    for variants in stride(from: neighbours, through: min(3, neighbours), by: -1) where variants > 0
    {
      // Two that are three times as long, of which one goes on from a third; the winner again.
      let units = rates + 3 * time(variants) + 7.5 * time(2) + 18
      let length = shortest(
        units, measurements: space.learningRates.count + 3 + variants + 2 + 1)
      if length >= least || (length >= 0.7 * least && variants == min(3, neighbours)) {
        return Plan(
          pass: pass, shortest: Int(min(max(length, 0.7 * least), most)), variants: variants)
      }
    }
    let length = shortest(rates + 6 + 18, measurements: space.learningRates.count + 3 + 2)
    guard length >= least else { return nil }
    return Plan(pass: pass, shortest: Int(min(length, most)), variants: 0)
  }

  /// Trains the default for as long as there is time: a search would tell nothing.
  private mutating func trainAlone() throws {
    guard let seconds = record.seconds else { return }
    let index = add(task.space.start, .rate)
    let examples = (0.9 * left - seconds.measurement) / max(seconds.example, 1e-9)
    try train([index], to: max(1, Int(min(examples, Double(record.exampleCount)))))
  }

  // MARK: - Comparing

  /// The trials among `trials` that were trained on `examples`, the best first: before a pass is over by the
  /// loss, where there is one, which tells candidates apart long before right answers do.
  private func ranked(_ trials: [Int], at examples: Int, _ plan: Plan) -> [Int] {
    trials.compactMap { index -> (index: Int, score: TuningScore)? in
      guard record.trials[index].failure == nil else { return nil }
      let measurement = record.trials[index].measurements.first { $0.examples == examples }
      return measurement.map { measurement in
        let score = measurement.score
        guard examples < plan.pass, let loss = score.loss else { return (index, score) }
        return (index, TuningScore(value: -loss))
      }
    }.sorted { $0.score.isBetter(than: $1.score) }.map(\.index)
  }

  // MARK: - The stages

  /// The best learning rate for the default, by short trainings.
  private mutating func searchRates(_ plan: Plan) throws -> Int {
    var rates = task.space.learningRates.map { addRate($0) }
    try train(rates, to: plan.shortest)
    // Where the best is at an end, what lies beyond it.
    for _ in 0..<2 where task.space.learningRates.count > 1 {
      guard let best = ranked(rates, at: plan.shortest, plan).first else { break }
      let rate = record.trials[best].candidate.learningRate
      let all = rates.map { record.trials[$0].candidate.learningRate }
      let factor = rate == all.max() ? 3.16 : rate == all.min() ? 1 / 3.16 : 1
      guard factor != 1, rate * factor <= TrainingOptions.greatestRate,
        rate * factor >= TrainingOptions.leastRate
      else { break }
      rates.append(addRate(rate * factor))
      try train(rates.suffix(1), to: plan.shortest)
    }
    let best = Array(ranked(rates, at: plan.shortest, plan).prefix(2))
    try train(best, to: plan.length(1))
    let result = ranked(best, at: plan.length(1), plan).first ?? best.first ?? rates[0]
    try drop(allBut: [result])
    return result
  }

  private mutating func addRate(_ rate: Double) -> Int {
    var candidate = task.space.start
    candidate.learningRate = rate
    return add(candidate, .rate)
  }

  /// The variants of `best` that are better than it, the best first.
  private mutating func searchVariants(of best: Int, _ plan: Plan) throws -> [Int] {
    let length = plan.length(1)
    var variants: [Int] = []
    let neighbours = task.space.neighbours(of: record.trials[best].candidate)
    for group in groups(of: Array(neighbours.prefix(plan.variants))) {
      let indexes = group.map { add($0.candidate, .variant, $0.dimension) }
      try train(indexes, to: length)
      variants += indexes
      try drop(allBut: [best] + ranked(variants, at: length, plan).prefix(1))
    }
    return Array(ranked(variants + [best], at: length, plan).prefix { $0 != best })
  }

  /// The best of what helped, together; of that at half the learning rate; of what helped most; of `best`.
  private mutating func combine(
    _ helpful: [Int], with best: Int, _ plan: Plan
  ) throws -> Int {
    var combined = record.trials[best].candidate
    var taken: Set<TuningSpace.Dimension> = []
    for index in helpful {
      guard let dimension = record.trials[index].dimension, taken.insert(dimension).inserted else {
        continue
      }
      combined.take(dimension, of: record.trials[index].candidate)
    }
    var slower = combined
    // What learns fastest at first is too fast for a longer training.
    slower.learningRate /= 2
    var finalists = [add(combined, .combination)]
    if task.space.learningRates.count > 1 { finalists.append(add(slower, .combination)) }
    finalists += (helpful.prefix(1) + [best]).filter { !finalists.contains($0) }
    let length = plan.length(2)
    for (place, group) in groups(of: finalists).enumerated() {
      // What is likeliest first; the rest if the winner's longest training stays possible.
      guard place == 0 || cost(of: group, to: length) < 0.35 * left else { continue }
      try train(group, to: length)
    }
    let result = ranked(finalists, at: length, plan).first ?? best
    try drop(allBut: [result])
    return result
  }

  /// Trains the best longer, as long as that helps, and tries more of its neighbours in the time that is left.
  private mutating func finish(_ first: Int, to planned: Int) throws {
    var best = first
    var length = planned
    // Not every hope for ever.
    var failures = 0
    while failures < 6 {
      let trained = record.trials[best].measurements.map(\.examples).max() ?? 0
      if stillLearns(best) {
        let affordable = affordable(best, to: max(length, 2 * trained))
        if Double(affordable) >= 1.25 * Double(trained) {
          try train([best], to: affordable)
          length = 2 * affordable
          continue
        }
      }
      let target = record.trials[best].best?.examples ?? planned
      guard let group = try trainUntried(of: best, to: target), !group.isEmpty else { break }
      for index in group {
        if isBetter(index, than: best) {
          best = index
          failures = 0
        } else {
          failures += 1
        }
      }
      try drop(allBut: [best])
    }
  }

  /// Whether the longest training of a trial was its best by the metric or by the loss: answers may become worse
  /// before they are right, while the loss tells that they are on their way.
  private func stillLearns(_ index: Int) -> Bool {
    let trial = record.trials[index]
    guard let last = trial.measurements.max(by: { $0.examples < $1.examples }) else { return false }
    if trial.best?.examples == last.examples { return true }
    guard let loss = last.score.loss else { return false }
    return trial.measurements.allSatisfy { $0.score.loss ?? .infinity >= loss }
  }

  /// Trains neighbours of `best` that were not tried, as many as are trained at once; nil where there is no time.
  private mutating func trainUntried(of best: Int, to examples: Int) throws -> [Int]? {
    let count = record.trials.count
    let group = untried(of: best).prefix(record.seconds?.width ?? 1).map {
      add($0.candidate, .variant, $0.dimension)
    }
    guard cost(of: group, to: examples) < 0.95 * left else {
      record.trials.removeLast(record.trials.count - count)
      return nil
    }
    try train(group, to: examples)
    return group
  }

  /// The most examples up to `length` that training `index` can go through in the time that is left.
  private func affordable(_ index: Int, to length: Int) -> Int {
    let cost = cost(of: [index], to: length)
    let time = 0.93 * left
    guard cost > time else { return length }
    let trained = record.trials[index].measurements.map(\.examples).max() ?? 0
    let rest = Double(length) - 0.9 * Double(trained)
    let measurement = record.seconds?.measurement ?? 0
    let share = (time - measurement) / max(cost - measurement, 1e-9)
    return max(0, Int(0.9 * Double(trained) + share * rest))
  }

  /// The neighbours of `best` that were not tried; what makes it learn more slowly or less by heart first, where
  /// longer training did not help.
  private func untried(
    of best: Int
  ) -> [(dimension: TuningSpace.Dimension, candidate: TuningCandidate)] {
    let tried = Set(record.trials.filter { $0.stage != .default }.map(\.candidate))
    let trial = record.trials[best]
    let open = task.space.neighbours(of: trial.candidate).filter { !tried.contains($0.candidate) }
    guard trial.best?.examples != trial.measurements.map(\.examples).max() else { return open }
    func isCalmer(_ candidate: TuningCandidate) -> Bool {
      candidate.learningRate < trial.candidate.learningRate
        || candidate.dropout > trial.candidate.dropout
    }
    return open.filter { isCalmer($0.candidate) } + open.filter { !isCalmer($0.candidate) }
  }
}
