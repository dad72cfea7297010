import LoRATensor

/// How long a training will take, carried over from a few of its own steps.
///
/// ```swift
/// let prediction = try trainer.predictTime()
/// prediction.seconds          // of all steps of the run
/// prediction.seconds(of: 100) // of 100 of them
/// ```
public struct TimePrediction: Sendable, Hashable {
  /// The seconds that the steps of the run will take together. Reading the model and the data, and
  /// evaluations, come on top.
  public let seconds: Double
  /// The number of steps of the run.
  public let stepCount: Int
  /// The number of steps that were measured, those that warmed up not counted.
  public let measuredSteps: Int
  /// The seconds that measuring took, warming up included.
  public let measuringSeconds: Double

  package init(
    seconds: Double, stepCount: Int, measuredSteps: Int, measuringSeconds: Double
  ) {
    self.seconds = seconds
    self.stepCount = stepCount
    self.measuredSteps = measuredSteps
    self.measuringSeconds = measuringSeconds
  }

  /// The seconds of `count` steps.
  public func seconds(of count: Int) -> Double {
    seconds / Double(max(1, stepCount)) * Double(count)
  }
}

extension Trainer {
  /// Measures a few steps of the run and carries their times over to all of them.
  ///
  /// The steps are the run's own: they are sorted by how much there is to compute (positions with their
  /// padding, and attention), cut into four parts of equal work, and one from the middle of each part is
  /// made, again and again while there is time. Each counts for the work of its part. The longest step comes
  /// first and is not counted: in it memory is taken and weights are read. The optimizer's updates are made
  /// at a learning rate of 0, so that nothing is changed; an optimizer of one's own must see to that.
  ///
  /// Time: about `limit`, and at least two steps. Memory: that of training.
  ///
  /// Throws as ``run(from:isolation:onStep:)`` does.
  public func predictTime(
    within limit: Duration = .seconds(10)
  ) throws -> TimePrediction {
    let clock = ContinuousClock()
    let start = clock.now
    func elapsed() -> Double { start.duration(to: clock.now) / .seconds(1) }
    let limit = limit / .seconds(1)
    var run = try TrainingRun(self)
    let work = StepWork(self)
    // An epoch stands for the others, whose order is another.
    let count = min(run.stepCount, run.order.stepsPerEpoch)
    let steps = (0..<count).map { (index: $0, work: work(run.batches(ofStep: $0))) }
      .sorted { ($0.work, $0.index) < ($1.work, $1.index) }
    let total = steps.reduce(0) { $0 + $1.work }
    var state = OptimizerState()
    let longest = steps[steps.count - 1].index
    var seconds = try run.rehearse(step: longest, state: &state)
    while elapsed() < min(0.5, limit / 8) {
      seconds = try run.rehearse(step: longest, state: &state)
    }
    var parts = Self.parts(steps, count: seconds > limit ? 1 : 4)
    var measured = 0
    repeat {
      for index in parts.indices {
        parts[index].seconds.append(try run.rehearse(step: parts[index].step, state: &state))
        measured += 1
      }
    } while elapsed() + elapsed() / Double(measured + 1) * Double(parts.count) < limit
      && measured < 64 * parts.count
    let epoch = parts.reduce(0) { sum, part in
      sum + part.share * total / max(part.work, .leastNonzeroMagnitude) * part.middle
    }
    return TimePrediction(
      seconds: epoch / Double(count) * Double(run.stepCount), stepCount: run.stepCount,
      measuredSteps: measured, measuringSeconds: elapsed())
  }

  /// Cuts steps, sorted by their work, into at most `count` parts of about equal work.
  private static func parts(
    _ steps: [(index: Int, work: Double)], count: Int
  ) -> [MeasuredPart] {
    let total = steps.reduce(0) { $0 + $1.work }
    var groups: [[(index: Int, work: Double)]] = []
    var sum = 0.0
    for step in steps {
      // A part begins where the one before has its share.
      if groups.isEmpty || sum >= total * Double(groups.count) / Double(count) {
        groups.append([])
      }
      groups[groups.count - 1].append(step)
      sum += step.work
    }
    return groups.map { group in
      let middle = group[group.count / 2]
      return MeasuredPart(
        step: middle.index, work: middle.work,
        share: group.reduce(0) { $0 + $1.work } / max(total, .leastNonzeroMagnitude))
    }
  }
}

/// Steps of similar work, of which one is measured for all.
private struct MeasuredPart {
  let step: Int
  let work: Double
  /// The part of all work that theirs is.
  let share: Double
  var seconds: [Double] = []

  /// The middle one of the times, or the mean of the two in the middle: another program's moment counts
  /// little.
  var middle: Double {
    let sorted = seconds.sorted()
    let half = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
  }
}
