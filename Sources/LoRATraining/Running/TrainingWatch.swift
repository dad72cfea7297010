import LoRAAutograd
import LoRATensor

/// Watches a run for what goes wrong without an error, and says each thing once.
///
/// ```swift
/// var run = try TrainingRun(trainer)
/// var watch = TrainingWatch(run, chanceLoss: log(Double(model.vocabularySize)))
/// while let report = try run.step() {
///   for warning in watch.warnings(after: report, of: run) { show("\(warning)") }
/// }
/// ```
///
/// Losses and gradients that are not finite are errors of the run. Cost: a few operations a step; until the
/// tenth step a copy of at most a million of the trained numbers.
public struct TrainingWatch: Sendable {
  private let chanceLoss: Double?
  private let isFresh: Bool
  /// Values before the first step; nil once they were compared.
  private var initial: [(path: String, value: Tensor)]?
  private var movingSteps = 0
  private var smoothed = SmoothedLoss()
  private var first: Double?
  /// The lowest smoothed loss from the tenth step on.
  private var lowest: Double?
  private var stepsAbove = 0
  private var hasDiverged = false
  private var bestEvaluation: (point: EvaluationPoint, trainingLoss: Double)?
  private var evaluationsAbove = 0
  private var isOverfitted = false

  private static let mostNumbers = 1_000_000
  private static let firstSteps = 10

  /// Begins to watch a run where it is.
  ///
  /// - Parameters:
  ///   - run: the run, before its next step.
  ///   - chanceLoss: the loss of guessing: the logarithm of the size of the vocabulary, or of the number of
  ///     labels. Nil: the first loss is not judged.
  public init(_ run: TrainingRun<some TrainingData>, chanceLoss: Double? = nil) {
    self.chanceLoss = chanceLoss
    isFresh = run.result.steps == 0
    var (count, sample) = (0, [(path: String, value: Tensor)]())
    for (path, parameter) in run.parameters
    where count + parameter.shape.elementCount <= Self.mostNumbers {
      count += parameter.shape.elementCount
      sample.append((path, parameter.value))
    }
    initial = sample
    for loss in run.result.losses { follow(loss) }
    for point in run.evaluations { _ = warnings(after: point) }
  }

  /// What goes wrong after a step of `run`.
  public mutating func warnings(
    after report: StepReport, of run: TrainingRun<some TrainingData>
  ) -> [TrainingWarning] {
    var warnings: [TrainingWarning] = []
    if isFresh, report.step == 1, let chanceLoss {
      if report.loss > 1.25 * chanceLoss + 1 {
        warnings.append(.worseThanChance(loss: report.loss, chance: chanceLoss))
      } else if report.loss < 0.01 {
        warnings.append(.nothingToLearn(loss: report.loss))
      }
    }
    if report.learningRate > 0 { movingSteps += 1 }
    if movingSteps >= Self.firstSteps, let values = initial {
      initial = nil
      warnings += movement(from: values, in: run)
    }
    follow(report.loss)
    if let lowest, let first, smoothed.value > min(1.75 * lowest + 0.5, 2 * first + 1) {
      stepsAbove += 1
      if stepsAbove == 5, !hasDiverged {
        hasDiverged = true
        warnings.append(
          .divergingLoss(step: report.step, loss: smoothed.value, lowest: min(lowest, first)))
      }
    } else {
      stepsAbove = 0
    }
    return warnings
  }

  /// What goes wrong by an evaluation on held-out data.
  public mutating func warnings(after point: EvaluationPoint) -> [TrainingWarning] {
    guard point.loss.isFinite else { return [] }
    guard let best = bestEvaluation, point.loss >= best.point.loss else {
      bestEvaluation = (point, smoothed.value)
      evaluationsAbove = 0
      return []
    }
    let isAbove = point.loss > best.point.loss + 0.02 * abs(best.point.loss)
    evaluationsAbove = isAbove && smoothed.value < best.trainingLoss ? evaluationsAbove + 1 : 0
    guard evaluationsAbove == 2, !isOverfitted else { return [] }
    isOverfitted = true
    return [
      .overfitting(
        step: point.step, loss: point.loss, lowest: best.point.loss, lowestStep: best.point.step)
    ]
  }

  private mutating func follow(_ loss: Double) {
    if first == nil { first = loss }
    smoothed.add(loss)
    if smoothed.count >= Self.firstSteps { lowest = min(lowest ?? .infinity, smoothed.value) }
  }

  private func movement(
    from values: [(path: String, value: Tensor)], in run: TrainingRun<some TrainingData>
  ) -> [TrainingWarning] {
    let now = Dictionary(uniqueKeysWithValues: run.parameters.map { ($0.path, $0.parameter.value) })
    var (change, size, zeros) = (0.0, 0.0, [String]())
    for (path, before) in values {
      guard let after = now[path] else { continue }
      let square = before.sumOfSquares()
      change += (after - before).sumOfSquares()
      size += square
      if square == 0, after.sumOfSquares() == 0 { zeros.append(path) }
    }
    if let example = zeros.first {
      return [.stillZero(steps: movingSteps, count: zeros.count, example: example)]
    }
    // What began at zero alone is as far as it went.
    let share = size == 0 ? 1 : (change / size).squareRoot()
    return share < 1e-5 ? [.hardlyMoving(steps: movingSteps, change: share)] : []
  }
}
