import LoRAAutograd

extension TrainingRun {
  /// Makes step `index` as it will be made, but at a learning rate of 0, so that the values of no parameter
  /// change; the seconds that it took. `state` is the optimizer's, which grows as a run's does.
  ///
  /// Throws as ``step()`` does for numbers that are not finite.
  mutating func rehearse(step index: Int, state: inout OptimizerState) throws -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    // A loss of one's own is tried with another scale in the first step alone.
    hasStepped = true
    trainer.optimizer.prepare(trainer.groups, &state)
    let (_, gradients) = try gradients(of: batches(ofStep: index), step: index)
    let norm = gradients.norm(over: parameters.map(\.parameter))
    guard norm.isFinite else {
      throw TrainingError.nonFiniteGradient(step: index + 1, parameter: firstNonFinite(gradients))
    }
    trainer.optimizer.step(
      gradients, groups: trainer.groups, factor: 0,
      gradientScale: GradientClipping.coefficient(norm: norm, limit: trainer.options.clipNorm),
      state: &state)
    return start.duration(to: clock.now) / .seconds(1)
  }
}
