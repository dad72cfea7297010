import LoRAAutograd
import LoRATensor

/// How good a model was after a step of a run, on data that it does not learn from.
public struct EvaluationPoint: Sendable, Hashable, Codable {
  /// The number of steps made.
  public let step: Int
  /// What is to become low: a loss, or a score with the sign turned.
  public let loss: Double

  /// Creates a point.
  public init(step: Int, loss: Double) {
    self.step = step
    self.loss = loss
  }
}

extension TrainingRun {
  /// Notes how good the model is after the last step, for ``bestEvaluation``. If the trainer
  /// ``Trainer/keepsBest``, the values of what is trained are held if this is the lowest so far; a saved state
  /// has them.
  ///
  /// A number that is not finite is never the lowest.
  ///
  /// ```swift
  /// trainer.keepsBest = true
  /// var run = try TrainingRun(trainer)
  /// while run.evaluationsSinceBest < 3, let report = try run.step() {
  ///   if report.step.isMultiple(of: 50) { run.note(evaluation: try model.evaluate(on: heldOut).nll) }
  /// }
  /// run.restoreBest()
  /// ```
  public mutating func note(evaluation loss: Double) {
    let isLowest = loss.isFinite && loss < bestEvaluation?.loss ?? .infinity
    evaluations.append(EvaluationPoint(step: result.steps, loss: loss))
    guard isLowest, trainer.keepsBest else { return }
    best = Dictionary(uniqueKeysWithValues: parameters.map { ($0.path, $0.parameter.value) })
  }

  /// The lowest evaluation that was noted, the first of equal ones.
  public var bestEvaluation: EvaluationPoint? {
    evaluations.filter(\.loss.isFinite).min { ($0.loss, $0.step) < ($1.loss, $1.step) }
  }

  /// How many evaluations were noted since the lowest one.
  public var evaluationsSinceBest: Int {
    guard let best = bestEvaluation else { return evaluations.count }
    return evaluations.count { $0.step > best.step }
  }

  /// Gives what is trained the values that it had at ``bestEvaluation``, and forgets them; nil, and
  /// nothing changes, if none are held.
  @discardableResult
  public mutating func restoreBest() -> EvaluationPoint? {
    guard !best.isEmpty else { return nil }
    for (path, parameter) in parameters {
      if let value = best[path] { parameter.value = value }
    }
    best = [:]
    return bestEvaluation
  }
}
