import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATraining
import Logging
import Synchronization
import Testing

/// The trainer's core on a toy model of its own modules.
@Suite struct TrainerTests {
  private func trainer(
    _ model: ToyNetwork, _ options: TrainingOptions, target: TrainingTarget = .full,
    examples: Int = 64
  ) throws -> Trainer<Points> {
    try Trainer(model, training: target, on: Points(count: examples, seed: 1), options: options) {
      Points.loss(model, $0, $1)
    }
  }

  /// One to four passes: as many as make 200 steps.
  @Test(arguments: [(1, 4), (8, 4), (400, 4), (536, 3), (800, 2), (1600, 1), (100_000, 1)])
  func usualEpochs(examples: Int, epochs: Int) {
    #expect(TrainingOptions(batchSize: 8).usualEpochs(ofExamples: examples) == epochs)
    #expect(
      TrainingOptions(batchSize: 4, accumulation: 2).usualEpochs(ofExamples: examples) == epochs)
  }

  @Test func aToyModelLearns() throws {
    let model = ToyNetwork(seed: 0)
    let options = TrainingOptions(
      duration: .epochs(60), batchSize: 16, learningRate: 2e-2, schedule: .cosine, warmupSteps: 5)
    let result = try trainer(model, options).run()
    #expect(result.steps == 240 && !result.isCancelled && !result.isStopped)
    #expect(result.trainedParameterCount == 3 * 16 + 16 + 16 + 1)
    let last = result.losses.suffix(4).reduce(0, +) / 4
    #expect(last < 0.01 && result.losses[0] > 10 * last)
  }

  @Test func anAdapterLearnsAndTheBaseStays() throws {
    let model = ToyNetwork(seed: 0)
    let base = model.values
    try model.inject(LoRA(rank: 4, alpha: 8), named: "a", into: .names(["first", "second"]))
    let options = TrainingOptions(duration: .epochs(40), batchSize: 16, learningRate: 2e-2)
    let result = try trainer(model, options, target: .adapter("a")).run()
    #expect(model.values == base)
    #expect(result.trainedParameterCount == 4 * (3 + 16) + 4 * (16 + 1))
    #expect(try #require(result.losses.last) < result.losses[0] / 4)
    #expect(model.namedParameters().allSatisfy { !$0.parameter.isTrainable })
  }

  @Test func accumulatedBatchesEqualALargeOne() throws {
    let (large, small) = (ToyNetwork(seed: 5), ToyNetwork(seed: 5))
    // 60 examples: the last step of an epoch has fewer examples and batches.
    let one = try trainer(
      large, TrainingOptions(duration: .epochs(3), batchSize: 16), examples: 60
    ).run()
    let many = try trainer(
      small, TrainingOptions(duration: .epochs(3), batchSize: 4, accumulation: 4), examples: 60
    ).run()
    #expect(one.steps == 12 && many.steps == 12)
    #expect(largestRelativeDifference(many.losses, one.losses) < 1e-5)
    for (a, b) in zip(large.values, small.values) { #expect(largestDifference(a, b) < 1e-5) }
  }

  @Test func reportsSayWhatHappened() throws {
    let options = TrainingOptions(
      duration: .steps(6), batchSize: 32, learningRate: 0.1, schedule: .linear, warmupSteps: 2)
    var reports: [StepReport] = []
    let result = try trainer(ToyNetwork(seed: 0), options).run {
      reports.append($0)
      return .continue
    }
    #expect(reports.map(\.step) == [1, 2, 3, 4, 5, 6])
    #expect(reports.map(\.loss) == result.losses)
    #expect(reports.map(\.epoch) == [0.5, 1, 1.5, 2, 2.5, 3])
    #expect(reports.allSatisfy { $0.stepCount == 6 && $0.tokens == 32 && $0.gradientNorm > 0 })
    #expect(
      largestRelativeDifference(
        reports.map { $0.learningRate + 1 }, [1, 1.05, 1.1, 1.075, 1.05, 1.025]) < 1e-12)
  }

  @Test func theCallbackCanStopOrFail() throws {
    struct Failure: Error {}
    let model = ToyNetwork(seed: 0)
    let result = try trainer(model, TrainingOptions(duration: .steps(50))).run {
      $0.step == 3 ? .stop : .continue
    }
    #expect(result.isStopped && result.steps == 3 && !result.isCancelled)
    #expect(throws: Failure.self) {
      try trainer(model, TrainingOptions()).run { _ in throw Failure() }
    }
  }

  @Test func aCancelledRunKeepsWhatItLearned() async throws {
    let (model, other) = (ToyNetwork(seed: 2), ToyNetwork(seed: 2))
    let long = try trainer(model, TrainingOptions(duration: .steps(100_000)))
    let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
    let task = Task {
      try await long.run { report in
        continuation.yield(report.step)
        return .continue
      }
    }
    for await step in stream where step == 5 { break }
    task.cancel()
    let result = try await task.value
    #expect(result.isCancelled && result.steps >= 5 && result.steps < 100_000)
    let short = try trainer(other, TrainingOptions(duration: .steps(result.steps)))
    try await short.run()
    #expect(model.values == other.values)
  }

  @Test func aNonFiniteLossChangesNothing() throws {
    let model = ToyNetwork(seed: 0)
    let points = Points(count: 12, seed: 1)
    let options = TrainingOptions(
      duration: .epochs(1), batchSize: 2, accumulation: 2, shuffles: false)
    let calls = Atomic<Int>(0)
    let trainer = try Trainer(model, training: .full, on: points, options: options) {
      batch, scale in
      let call = calls.add(1, ordering: .relaxed).newValue
      let loss = Points.loss(model, batch, scale)
      // The second is the first step's look at what the scale does.
      return call == 5 ? loss.scaled(by: .infinity) : loss
    }
    var before: [Tensor] = []
    let error = #expect(throws: TrainingError.self) {
      try trainer.run { _ in
        before = model.values
        return .continue
      }
    }
    #expect(error == .nonFiniteLoss(step: 2, examples: [6, 7], value: .infinity))
    #expect(!before.isEmpty && model.values == before)
  }

  @Test func aNonFiniteGradientChangesNothing() throws {
    let (good, bad) = (Parameter(Tensor([1])), Parameter(Tensor([0])))
    let points = Points(count: 4, seed: 1)
    let trainer = try Trainer(parameters: [("good", good), ("bad", bad)], on: points) { _, scale in
      // The square root's slope at 0 is infinite, its value is not.
      (Variable(good).sum() + Variable(bad)(.sqrt).sum()).scaled(by: scale)
    }
    let error = #expect(throws: TrainingError.self) { try trainer.run() }
    #expect(error == .nonFiniteGradient(step: 1, parameter: "bad"))
    #expect(good.value == Tensor([1]) && bad.value == Tensor([0]))
  }

  @Test func frozenParametersAreLeftOut() throws {
    let (kept, frozen) = (Parameter(Tensor([1])), Parameter(Tensor([1]), isTrainable: false))
    let points = Points(count: 4, seed: 1)
    let trainer = try Trainer(parameters: [("k", kept), ("f", frozen)], on: points) { _, scale in
      (Variable(kept) * Variable(frozen)).sum().scaled(by: scale)
    }
    #expect(try trainer.run().trainedParameterCount == 1)
    #expect(frozen.value == Tensor([1]) && kept.value != Tensor([1]))
    #expect(throws: TrainingError.noTrainableParameters) {
      try Trainer(parameters: [("f", frozen)], on: points) { _, _ in Variable(frozen).sum() }
    }
  }

  @Test func misuseIsAnError() throws {
    let model = ToyNetwork(seed: 0)
    #expect(throws: TrainingError.emptyData(source: "the data set")) {
      try trainer(model, TrainingOptions(), examples: 0)
    }
    #expect(throws: AdapterError.self) {
      try trainer(model, TrainingOptions(), target: .adapter("none"))
    }
    try model.inject(LoRA(), named: "a", into: ["first"])
    try model.mergeAdapters(["a": 1])
    #expect(throws: AdapterError.merged(adapters: ["a"])) {
      try trainer(model, TrainingOptions(), target: .adapter("a"))
    }
    #expect(throws: AdapterError.merged(adapters: ["a"])) {
      try trainer(model, TrainingOptions())
    }
  }

  @Test(arguments: [
    TrainingOptions(duration: .steps(0)), TrainingOptions(duration: .epochs(-1)),
    TrainingOptions(batchSize: 0), TrainingOptions(accumulation: 0),
    TrainingOptions(learningRate: -1), TrainingOptions(learningRate: .nan),
    TrainingOptions(warmupSteps: -1), TrainingOptions(weightDecay: -0.1),
    TrainingOptions(beta1: 1), TrainingOptions(beta2: -0.5), TrainingOptions(epsilon: .infinity),
    TrainingOptions(clipNorm: -1),
  ]) func optionsOutOfRangeAreErrors(options: TrainingOptions) {
    #expect { try options.check() } throws: { error in
      guard case TrainingError.invalidOption? = error as? TrainingError else { return false }
      return true
    }
  }

  @Test func anOptimizerOfOnesOwn() throws {
    struct Descent: Optimizer {
      func update(
        _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
        state: inout ParameterState
      ) {
        let rate = Float(settings.learningRate) * settings.gradientScale
        parameter.value = parameter.value - gradient.scaled(by: rate)
      }
    }
    var trainer = try trainer(
      ToyNetwork(seed: 0), TrainingOptions(duration: .epochs(20), learningRate: 0.1))
    trainer.optimizer = Descent()
    let result = try trainer.run()
    #expect(try #require(result.losses.last) < result.losses[0] / 2)
  }

  /// The first loss is the same with momentum; what follows is not.
  @Test func stochasticGradientDescentLearns() throws {
    func losses(_ momentum: Double) throws -> [Double] {
      var trainer = try self.trainer(
        ToyNetwork(seed: 0), TrainingOptions(duration: .epochs(10), learningRate: 0.1))
      trainer.optimizer = SGD(momentum: momentum)
      return try trainer.run().losses
    }
    let (plain, fast) = (try losses(0), try losses(0.9))
    #expect(try #require(plain.last) < plain[0] / 2)
    #expect(plain[0] == fast[0] && plain.last != fast.last)
    var trainer = try self.trainer(ToyNetwork(seed: 0), TrainingOptions())
    trainer.optimizer = SGD(momentum: 2)
    #expect(throws: TrainingError.self) { try trainer.run() }
  }

  /// The same loss as a closure and as a conformance: the same bits.
  @Test func anObjectiveOfOnesOwn() throws {
    struct SquaredError: Objective {
      typealias Data = Points
      func loss(_ model: ToyNetwork, _ batch: Points.Batch, scale: Float) -> Variable {
        Points.loss(model, batch, scale)
      }
    }
    let options = TrainingOptions(duration: .steps(5), batchSize: 8)
    let (first, second) = (ToyNetwork(seed: 0), ToyNetwork(seed: 0))
    let closure = try trainer(first, options).run()
    let objective = try Trainer(
      second, training: .full, on: Points(count: 64, seed: 1), objective: SquaredError(),
      options: options
    ).run()
    #expect(closure.losses == objective.losses && first.values == second.values)
  }

  @Test func anObjectiveThatBreaksItsContract() throws {
    struct Unscaled: Objective {
      typealias Data = Points
      func loss(_ model: ToyNetwork, _ batch: Points.Batch, scale: Float) -> Variable {
        Points.loss(model, batch, 1)
      }
    }
    struct Refusing: Objective {
      typealias Data = Points
      func loss(_ model: ToyNetwork, _ batch: Points.Batch, scale: Float) -> Variable {
        Points.loss(model, batch, scale)
      }
      func check(_ model: ToyNetwork, on data: Points) throws {
        throw TrainingError.noTargets(example: 0)
      }
    }
    let data = Points(count: 8, seed: 1)
    #expect {
      try Trainer(ToyNetwork(seed: 0), training: .full, on: data, objective: Unscaled()).run()
    } throws: { error in
      if case .lossIgnoresScale? = error as? TrainingError { return true }
      return false
    }
    #expect(throws: TrainingError.noTargets(example: 0)) {
      try Trainer(ToyNetwork(seed: 0), training: .full, on: data, objective: Refusing())
    }
  }

  @Test func pathsThatOccurTwiceAreErrors() throws {
    let (a, b) = (Parameter(Tensor([1])), Parameter(Tensor([1])))
    let trainer = try Trainer(
      parameters: [("same", a), ("same", b)], on: Points(count: 4, seed: 1)
    ) { _, scale in (Variable(a) * Variable(b)).sum().scaled(by: scale) }
    #expect(throws: TrainingError.duplicateParameter(path: "same")) { try trainer.run() }
  }
}
