import Foundation
import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATraining
import TestSupport
import Testing

/// What goes wrong in a run without an error, and the values of its lowest evaluation.
@Suite struct TrainingWatchTests {
  private func trainer(
    _ network: ToyNetwork = ToyNetwork(seed: 1), learningRate: Double = 1e-2, steps: Int = 30,
    factor: Float = 1
  ) throws -> Trainer<Points> {
    let options = TrainingOptions(
      duration: .steps(steps), batchSize: 16, learningRate: learningRate, clipNorm: 0)
    return try Trainer(
      network, training: .full, on: Points(count: 64, seed: 4), options: options
    ) { Points.loss(network, $0, $1).scaled(by: factor) }
  }

  private func warnings(
    _ trainer: Trainer<Points>, chance: Double? = nil
  ) throws -> [TrainingWarning] {
    var run = try TrainingRun(trainer)
    var watch = TrainingWatch(run, chanceLoss: chance)
    var found: [TrainingWarning] = []
    do {
      while let report = try run.step() { found += watch.warnings(after: report, of: run) }
    } catch TrainingError.nonFiniteLoss {
      // What diverges may come to that in the end.
    }
    return found
  }

  @Test func aRunThatGoesWellHasNone() throws {
    #expect(try warnings(trainer(), chance: 1) == [])
  }

  @Test func aDivergingLossIsSeenOnce() throws {
    var divergent = try trainer(learningRate: 0.8, steps: 60)
    divergent.optimizer = SGD(momentum: 0.9)
    let found = try warnings(divergent)
    #expect(found.count == 1)
    guard case .divergingLoss(let step, let loss, let lowest)? = found.first else {
      Issue.record("\(found)")
      return
    }
    #expect(step >= 10 && loss > 1.75 * lowest + 0.5)
    #expect("\(found[0])".contains("lower the learning rate"))
  }

  /// From the first step on, so that it never was low.
  @Test func aLossThatIsHighFromTheStartIsSeen() throws {
    var divergent = try trainer(learningRate: 3, steps: 40)
    divergent.optimizer = Lion()
    let found = try warnings(divergent)
    #expect(found.count == 1)
    #expect(found.contains { if case .divergingLoss = $0 { true } else { false } }, "\(found)")
  }

  @Test func whatHardlyMovesIsSeen() throws {
    let found = try warnings(trainer(learningRate: 1e-9))
    guard case .hardlyMoving(10, let change)? = found.first else {
      Issue.record("\(found)")
      return
    }
    #expect(found.count == 1 && change < 1e-5 && "\(found[0])".contains("raise the learning rate"))
    #expect(try warnings(trainer(learningRate: 1e-4)) == [])
  }

  /// B that begins at zero and has no gradient.
  @Test func whatStaysZeroIsSeen() throws {
    let (a, b) = (Parameter(Tensor([1, 2])), Parameter(Tensor([0, 0])))
    let trainer = try Trainer(
      parameters: [("lora_A", a), ("lora_B", b)], on: Points(count: 8, seed: 0),
      options: TrainingOptions(duration: .steps(12), learningRate: 1e-2)
    ) { _, scale in
      (Variable(a) * Variable(a) + Variable(b) * Variable(Tensor([0, 0]))).sum().scaled(by: scale)
    }
    let found = try warnings(trainer)
    #expect(found == [.stillZero(steps: 10, count: 1, example: "lora_B")])
    #expect("\(found[0])".contains("'lora_B'"))
  }

  @Test(arguments: [(Float(1000), true), (1, false)]) func aFirstLossAboveChanceIsSeen(
    factor: Float, isSeen: Bool
  ) throws {
    let found = try warnings(trainer(factor: factor), chance: 2)
    #expect(
      found.contains { if case .worseThanChance(_, 2) = $0 { true } else { false } } == isSeen)
  }

  @Test func aFirstLossNearZeroIsSeen() throws {
    let found = try warnings(trainer(factor: 1e-6), chance: 2)
    #expect(found.contains { if case .nothingToLearn = $0 { true } else { false } })
    #expect(
      try !warnings(trainer(factor: 1e-6)).contains {
        if case .nothingToLearn = $0 { true } else { false }
      }, "no judgement without chance")
  }

  @Test func overfittingIsSeenInTheGap() throws {
    var run = try TrainingRun(try trainer())
    var watch = TrainingWatch(run)
    var found: [TrainingWarning] = []
    for loss in [1, 0.5, 0.505, 0.6, 0.7, 0.8] {
      for _ in 0..<5 {
        if let report = try run.step() { found += watch.warnings(after: report, of: run) }
      }
      found += watch.warnings(after: EvaluationPoint(step: run.result.steps, loss: loss))
    }
    #expect(found == [.overfitting(step: 25, loss: 0.7, lowest: 0.5, lowestStep: 10)])
    #expect("\(found[0])".contains("stop at about step 10"))
    // Held-out losses that go on falling are no sign of it.
    var other = TrainingWatch(run)
    for step in 1..<9 {
      #expect(other.warnings(after: EvaluationPoint(step: step, loss: 1 / Double(step))) == [])
    }
  }

  // MARK: Evaluations

  @Test func theValuesOfTheLowestEvaluationComeBack() throws {
    let network = ToyNetwork(seed: 2)
    var trainer = try trainer(network)
    trainer.keepsBest = true
    var run = try TrainingRun(trainer)
    var values: [[Tensor]] = []
    for loss in [3, 1, .nan, 2, 1] as [Double] {
      _ = try run.step()
      run.note(evaluation: loss)
      values.append(network.values)
    }
    #expect(run.bestEvaluation == EvaluationPoint(step: 2, loss: 1))
    #expect(run.evaluationsSinceBest == 3)
    #expect(run.restoreBest() == EvaluationPoint(step: 2, loss: 1))
    #expect(network.values == values[1] && values[1] != values[4])
    #expect(run.restoreBest() == nil)
  }

  @Test func withoutKeepingNothingComesBack() throws {
    let network = ToyNetwork(seed: 2)
    var run = try TrainingRun(try trainer(network))
    #expect(run.evaluationsSinceBest == 0 && run.bestEvaluation == nil)
    _ = try run.step()
    run.note(evaluation: .infinity)
    #expect(run.evaluationsSinceBest == 1 && run.bestEvaluation == nil)
    let before = network.values
    #expect(run.restoreBest() == nil && network.values == before)
  }

  @Test func aSavedStateHasEvaluationsAndValues() throws {
    let file = try ScratchFolder.make() + "/state.safetensors"
    let network = ToyNetwork(seed: 2)
    var trainer = try trainer(network)
    trainer.keepsBest = true
    var run = try TrainingRun(trainer)
    _ = try run.step()
    run.note(evaluation: 1)
    let best = network.values
    _ = try run.step()
    run.note(evaluation: 2)
    try run.state().save(to: file)
    let other = ToyNetwork(seed: 3)
    var second = try self.trainer(other)
    second.keepsBest = true
    var resumed = try TrainingRun(second, from: TrainingState(path: file))
    #expect(resumed.evaluations == run.evaluations && resumed.evaluations.count == 2)
    #expect(other.values == network.values)
    #expect(resumed.restoreBest()?.step == 1)
    #expect(other.values == best)
  }
}
