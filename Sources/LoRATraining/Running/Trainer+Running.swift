import LoRATensor

extension Trainer {
  /// Trains to the end, until `onStep` says stop, or until the task is cancelled.
  ///
  /// A cancelled run returns normally, with ``TrainingResult/isCancelled``: the model keeps what the
  /// steps so far have taught it. Steps run on the caller's executor, which they keep busy; between
  /// them others get their turn. To save the run as it goes take its steps one by one, see
  /// ``TrainingRun``.
  ///
  /// - Parameters:
  ///   - state: where to go on, see ``TrainingState``; nil to begin.
  ///   - isolation: where the steps run.
  ///   - onStep: called after each step.
  ///
  /// Throws what `onStep` throws, ``TrainingError/differentRun(part:saved:current:)`` for the state of
  /// another run, and ``TrainingError/nonFiniteLoss(step:rows:value:)`` or
  /// ``TrainingError/nonFiniteGradient(step:parameter:)`` before the update that would have spoilt
  /// the parameters.
  @discardableResult
  public func run(
    from state: TrainingState? = nil, isolation: isolated (any Actor)? = #isolation,
    onStep: (StepReport) throws -> StepDecision = { _ in .continue }
  ) async throws -> TrainingResult {
    var run = try TrainingRun(self, from: state)
    while try run.advance(onStep) { await Task.yield() }
    return run.result
  }

  /// Trains like ``run(from:isolation:onStep:)``, in a program without concurrency.
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
