import LoRATensor

extension Trainer {
  /// Trains to the end, until `onStep` says stop, or until the task is cancelled.
  ///
  /// A cancelled run returns normally, with ``TrainingResult/isCancelled``: the model keeps what the
  /// steps so far have taught it. Steps run on the caller's executor, which they keep busy; between
  /// them others get their turn.
  ///
  /// Throws what `onStep` throws, and ``TrainingError/nonFiniteLoss(step:rows:value:)`` or
  /// ``TrainingError/nonFiniteGradient(step:parameter:)`` before the update that would have spoilt
  /// the parameters.
  @discardableResult
  public func run(
    isolation: isolated (any Actor)? = #isolation,
    onStep: (StepReport) throws -> StepDecision = { _ in .continue }
  ) async throws -> TrainingResult {
    var run = TrainingRun(self)
    while try run.advance(onStep) { await Task.yield() }
    return run.result
  }

  /// Trains like ``run(isolation:onStep:)``, in a program without concurrency.
  @discardableResult
  public func run(
    onStep: (StepReport) throws -> StepDecision = { _ in .continue }
  ) throws -> TrainingResult {
    var run = TrainingRun(self)
    while try run.advance(onStep) {}
    return run.result
  }
}
