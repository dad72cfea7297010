import LoRATensor

extension Trainer {
  /// Trains to the end, until `onStep` returns stop, or until the task is cancelled.
  ///
  /// A cancelled run returns normally, with ``TrainingResult/isCancelled``; the model keeps what it
  /// learned. Steps run on the caller's executor and keep it busy; other tasks run between steps.
  /// To save the run as it goes, take its steps one at a time; see ``TrainingRun``.
  ///
  /// - Parameters:
  ///   - state: the state to resume from, see ``TrainingState``; nil starts a new run.
  ///   - isolation: where the steps run.
  ///   - onStep: called after each step.
  ///
  /// Throws what `onStep` throws, ``TrainingError/differentRun(part:saved:current:)`` for the state
  /// of a different run, and ``TrainingError/nonFiniteLoss(step:examples:value:)`` or
  /// ``TrainingError/nonFiniteGradient(step:parameter:)`` before the update that would have
  /// corrupted the parameters.
  @discardableResult
  public func run(
    from state: TrainingState? = nil, isolation: isolated (any Actor)? = #isolation,
    onStep: (StepReport) throws -> StepDecision = { _ in .continue }
  ) async throws -> TrainingResult {
    var run = try TrainingRun(self, from: state)
    while try run.advance(onStep) { await Task.yield() }
    return run.result
  }

  /// Trains as ``run(from:isolation:onStep:)`` does, for programs without concurrency.
  @discardableResult
  public func run(
    from state: TrainingState? = nil,
    onStep: (StepReport) throws -> StepDecision = { _ in .continue }
  ) throws -> TrainingResult {
    var run = try TrainingRun(self, from: state)
    while try run.advance(onStep) {}
    return run.result
  }
}
