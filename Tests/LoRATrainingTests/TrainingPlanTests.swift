import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATraining
import Testing

/// What is predicted of a training and recommended for it.
@Suite struct TrainingPlanTests {
  private static let shape = ModelConfiguration(
    hiddenSize: 64, intermediateSize: 192, layerCount: 3, headCount: 4, keyValueHeadCount: 2,
    vocabularySize: 96, tiesWordEmbeddings: true, maximumPositions: 512)
  /// What enters and leaves the layers of one block of it: queries and the output, keys and values, the
  /// feed-forward network's three.
  private static let (attention, feedForward) = (2 * 128 + 2 * 96, 3 * 256)

  private func trainer(
    examples: Int = 40, length: Int = 100, rank: Int = 8,
    _ change: (inout TrainingOptions) -> Void = { _ in }
  ) throws -> Trainer<TokenDataSet> {
    let model = try Self.shape.randomLanguageModel(standardDeviation: 0.1, seed: 5)
    try model.inject(LoRA(rank: rank, alpha: 16, dropout: 0.1), named: "a")
    var options = TrainingOptions(batchSize: 8, learningRate: 1e-2)
    change(&options)
    return try Trainer(
      model, training: .adapter("a"),
      on: TokenDataSet(
        sequences: patternSequences(examples, length: length + 1, vocabulary: 96, seed: 1)),
      options: options)
  }

  @Test func countsWhatAdaptersHaveAndHold() throws {
    let plan = try TrainingPlan(of: trainer())
    #expect(plan.data.tokenCount == 4000 && plan.data.targetCount == 4000)
    #expect(plan.adapters.count == 4 * TrainingPlan.ranks.count)
    for adapter in plan.adapters {
      let size =
        switch adapter.targets.name {
        case "all-linear": Self.attention + Self.feedForward
        case "attention": Self.attention
        case "feed-forward": Self.feedForward
        case "queries and values": 128 + 96
        default: 0
        }
      #expect(adapter.trainedCount == 3 * size * adapter.rank, "\(adapter.targets.name)")
      #expect(adapter.tokenCapacity == 2 * adapter.trainedCount)
    }
    let options = Set(plan.adapters.map(\.targets.option))
    #expect(options.contains("all-linear") && options.contains("q_proj,v_proj"))
  }

  /// The memory of each is that of a trainer that has it.
  @Test(arguments: [4, 64]) func predictsTheMemoryOfEveryRank(rank: Int) throws {
    let plan = try TrainingPlan(of: trainer())
    #expect(plan.settings.batchSize == 4)
    let own = try trainer(rank: rank) {
      $0.batchSize = 4
      $0.checkpointing = .never
    }
    let adapter = try #require(
      plan.adapters.first { $0.targets.name == "all-linear" && $0.rank == rank })
    #expect(adapter.memory == own.predictedMemory)
  }

  /// As many learned tokens as two for each value, and not more.
  @Test(arguments: [(60, 8), (80, 8), (120, 16), (1000, 64)])
  func choosesARankWithRoom(examples: Int, rank: Int) throws {
    let plan = try TrainingPlan(of: trainer(examples: examples, length: 500))
    #expect(plan.settings.rank == rank)
    let capacity = 2 * 3 * (Self.attention + Self.feedForward) * rank
    let reason = try #require(plan.settings.reasons.first { $0.setting == "rank" }?.text)
    #expect(reason.contains("\(capacity)") && reason.contains("\(examples * 500)"))
    #expect((examples * 500 > capacity) == reason.contains("largest"))
  }

  @Test func takesWhatIsDecided() throws {
    let plan = try TrainingPlan(
      of: trainer(), decided: .init(rank: 3, batchSize: 5, epochs: 7))
    let settings = plan.settings
    #expect(settings.rank == 3 && settings.alpha == 6)
    #expect(settings.batchSize == 5 && settings.epochs == 7 && plan.stepCount == 56)
  }

  /// First what changes no result, then what does; and it fits.
  @Test func keepsToTheMemory() throws {
    let trainer = try trainer(examples: 400, length: 500)
    let free = try TrainingPlan(of: trainer, limits: .init(memory: 1 << 40))
    #expect(!free.settings.isCheckpointed && free.settings.concessions.isEmpty)
    var seen: Set<String> = []
    for limit in stride(from: free.memory.total, to: 24 << 20, by: -1 << 20) {
      let plan = try TrainingPlan(of: trainer, limits: .init(memory: limit))
      let settings = plan.settings
      #expect((plan.problem == nil) == (plan.memory.total <= limit))
      #expect(settings.batchSize * settings.accumulation == 8)
      #expect(settings.sequenceLength == nil || settings.batchSize == 1)
      #expect(settings.isCheckpointed == (free.memory.total > limit / 8 * 7))
      seen.insert(
        plan.problem != nil
          ? "nothing"
          : settings.sequenceLength != nil
            ? "shorter" : settings.batchSize < 8 ? "smaller batches" : "checkpointing")
      if settings.sequenceLength != nil { #expect(!settings.concessions.isEmpty) }
    }
    #expect(seen == ["checkpointing", "smaller batches", "shorter", "nothing"])
  }

  @Test func keepsToTheTime() throws {
    let trainer = try trainer(examples: 400)
    // 50 steps a pass, of a second each.
    let measured = TimePrediction(
      seconds: 10, stepCount: 10, measuredSteps: 4, measuringSeconds: 5)
    func plan(_ seconds: Double?) throws -> TrainingPlan {
      var plan = try TrainingPlan(of: trainer, limits: .init(seconds: seconds))
      #expect(plan.stepsPerEpoch == 50 && plan.settings.epochs == 3 && plan.seconds == nil)
      plan.time(measured)
      return plan
    }
    let free = try plan(nil)
    #expect(free.seconds == 150 && free.settings.concessions.isEmpty)
    let fewer = try plan(120)
    #expect(fewer.settings.epochs == 2 && fewer.seconds == 100)
    let part = try plan(20.5)
    #expect(part.settings.steps == 20 && part.seconds == 20)
    // 5e-4 x (2000 / 64)^0.78 is more than is ever recommended.
    #expect(free.settings.learningRate == 0.005 && part.settings.learningRate == 0.005)
    #expect(part.settings.concessions == ["20 steps, 40 % of one pass over the data, for time"])
    let problem = try #require(plan(0.5).problem)
    #expect(problem.contains("one step"))
    // More is computed for a higher rank, and for more layers.
    let all = free.adapters.filter { $0.targets.name == "all-linear" }.compactMap(\.seconds)
    #expect(all.count == 5 && all == all.sorted() && Set(all).count == 5)
  }

  @Test func plansNoWholeModel() throws {
    let model = try Self.shape.randomLanguageModel(standardDeviation: 0.1, seed: 5)
    let data = try TokenDataSet(sequences: [[1, 2, 3]])
    let error = #expect(throws: TrainingError.self) {
      try TrainingPlan(of: Trainer(model, training: .full, on: data))
    }
    guard case .invalidOption(let name, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(name == "what is planned")
  }
}

/// Times that are carried over from a few steps.
@Suite(.serialized) struct TimePredictionTests {
  /// Examples whose loss takes as long as its batch is large with its padding.
  private struct Waiting: TrainingData {
    let lengths: [Int]
    var exampleCount: Int { lengths.count }
    func batch(of examples: [Int]) -> Int {
      examples.count * (examples.map { lengths[$0] }.max() ?? 0)
    }
    func tokenCount(of examples: [Int]) -> Int { examples.reduce(0) { $0 + lengths[$1] } }
  }

  @Test func followsTheLengthsOfTheData() throws {
    // Mostly short ones, and a few that are forty times as long.
    let data = Waiting(lengths: (0..<120).map { $0 % 15 == 0 ? 40 : 1 + $0 % 3 })
    let parameter = Parameter(Tensor([1, 2] as [Float]))
    let unit = 0.0003
    var options = TrainingOptions(duration: .epochs(3), batchSize: 4)
    options.groupsByLength = true
    let trainer = try Trainer(
      parameters: [("p", parameter)], on: data, options: options
    ) { batch, scale in
      Thread.sleep(forTimeInterval: Double(batch) * unit)
      return Variable(parameter).sum().scaled(by: scale)
    }
    let prediction = try trainer.predictTime(within: .milliseconds(300))
    #expect(prediction.stepCount == 90)
    let clock = ContinuousClock()
    let actual = try clock.measure { try trainer.run() } / .seconds(1)
    #expect(abs(prediction.seconds / actual - 1) < 0.25, "\(prediction) \(actual)")
    #expect(abs(prediction.seconds(of: 30) * 3 - prediction.seconds) < 1e-9)
    #expect(prediction.measuredSteps >= 4 && prediction.measuringSeconds < 3)
  }

  private static let optimizers: [any Optimizer] = [
    AdamW(), AdamW8Bit(leastElements: 64), Lion(), Adafactor(), SGD(momentum: 0.5), Muon(),
  ]

  /// Nothing is changed: a run behind a prediction is the run without one, to the bit.
  @Test(arguments: optimizers) func changesNothing(optimizer: any Optimizer) throws {
    let shape = ModelConfiguration(
      hiddenSize: 32, intermediateSize: 48, layerCount: 2, headCount: 2, vocabularySize: 96)
    func run(predicting: Bool, _ target: TrainingTarget) throws -> (losses: [Double], [Tensor]) {
      let model = try shape.randomLanguageModel(standardDeviation: 0.1, seed: 5)
      if target != .full {
        try model.inject(LoRA(rank: 4, alpha: 8, dropout: 0.2), named: "a")
      }
      var trainer = try Trainer(
        model, training: target,
        on: TokenDataSet(
          sequences: patternSequences(10, length: 12, vocabulary: 96, seed: 1)),
        options: TrainingOptions(
          duration: .epochs(2), batchSize: 2, accumulation: 2, learningRate: 1e-2,
          weightDecay: 0.1))
      trainer.optimizer = optimizer
      if predicting {
        let before = trainer.groups.flatMap(\.parameters).map(\.parameter.value)
        _ = try trainer.predictTime(within: .milliseconds(20))
        #expect(trainer.groups.flatMap(\.parameters).map(\.parameter.value) == before)
      }
      let losses = try trainer.run().losses
      return (losses, trainer.groups.flatMap(\.parameters).map(\.parameter.value))
    }
    for target in [TrainingTarget.adapter("a"), .full] {
      let (alone, after) = (
        try run(predicting: false, target), try run(predicting: true, target)
      )
      #expect(alone.losses == after.losses && alone.1 == after.1)
      #expect(Set(alone.losses).count == 6)
    }
  }

  @Test func aLossThatIsNotFiniteIsAnError() throws {
    let parameter = Parameter(Tensor([1, 2] as [Float]))
    let trainer = try Trainer(
      parameters: [("p", parameter)], on: Waiting(lengths: [1, 1]),
      options: TrainingOptions(batchSize: 1)
    ) { _, scale in Variable(parameter).sum().scaled(by: .infinity) }
    #expect {
      try trainer.predictTime()
    } throws: {
      guard case .nonFiniteLoss(let step, _, _)? = $0 as? TrainingError else { return false }
      return step >= 1
    }
  }
}
