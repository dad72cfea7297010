import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATraining
import Logging
import Synchronization
import Testing

/// What a model or a loss of one's own can get wrong is said in the first step, with the remedy.
@Suite struct ContractTests {
  private func train(
    _ model: ToyNetwork, target: TrainingTarget = .full,
    options: TrainingOptions = TrainingOptions(duration: .steps(2), batchSize: 4),
    logger: Logger = .silent,
    _ loss: @escaping @Sendable (Variable, (x: Tensor, y: Tensor), Float) -> Variable
  ) throws -> TrainingResult {
    let trainer = try Trainer(
      model, training: target, on: Points(count: 16, seed: 1), options: options, logger: logger
    ) { batch, scale in
      let difference = model(Variable(batch.x)) - Variable(batch.y)
      return loss(difference * difference, batch, scale)
    }
    return try trainer.run()
  }

  private func text(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func aLossThatIsNotOneNumber() {
    #expect(throws: TrainingError.lossNotScalar(shape: [4, 1])) {
      try train(ToyNetwork(seed: 0)) { losses, _, scale in losses.scaled(by: scale) }
    }
    #expect("\(TrainingError.lossNotScalar(shape: [4, 1]))".contains("sum()"))
  }

  @Test func aLossThatIgnoresItsScale() {
    let message = text {
      _ = try train(ToyNetwork(seed: 0)) { losses, _, _ in losses.sum() }
    }
    #expect(message.contains("for every 'scale'") && message.contains("scaled(by: scale)"))
    // A mean, too: two batches of one step would count twice.
    #expect {
      try train(
        ToyNetwork(seed: 0),
        options: TrainingOptions(duration: .steps(1), batchSize: 4, accumulation: 2)
      ) { losses, batch, _ in losses.sum().scaled(by: 1 / Float(batch.x.shape[0])) }
    } throws: { error in
      if case .lossIgnoresScale? = error as? TrainingError { return true }
      return false
    }
  }

  @Test func aPartOfALossThatIgnoresItsScale() throws {
    let (logger, messages) = Logger.collecting()
    _ = try train(ToyNetwork(seed: 0), logger: logger) { losses, _, scale in
      losses.sum().scaled(by: scale) + Variable(Tensor(scalar: 3))
    }
    #expect(messages.all.filter { $0.contains("not multiplied by its scale") }.count == 1)
  }

  @Test func aRightLossIsNotComplainedOf() throws {
    let (logger, messages) = Logger.collecting()
    _ = try train(ToyNetwork(seed: 0), logger: logger) { losses, _, scale in
      losses.sum().scaled(by: scale)
    }
    #expect(messages.all.isEmpty)
  }

  @Test func aLossWithoutGradient() {
    let constant = text {
      _ = try train(ToyNetwork(seed: 0)) { losses, _, scale in
        Variable(losses.value).sum().scaled(by: scale)
      }
    }
    #expect(constant.contains("depends on no parameter"))
    let model = ToyNetwork(seed: 0)
    let other = ToyNetwork(seed: 1)
    #expect {
      let trainer = try Trainer(
        model, training: .full, on: Points(count: 16, seed: 1)
      ) { batch, scale in Points.loss(other, batch, scale) }
      try trainer.run()
    } throws: { error in
      error as? TrainingError
        == .lossWithoutGradient(isConstant: false, count: 4, example: "first.weight")
    }
    #expect(
      "\(TrainingError.lossWithoutGradient(isConstant: false, count: 4, example: "first.weight"))"
        .contains("'children'"))
  }

  @Test func aLayerThatTheForwardPassLeavesOut() throws {
    final class Unused: Module {
      let toy = ToyNetwork(seed: 0)
      let spare = ToyNetwork(seed: 1)
      var children: Named<any Module> { ["toy": toy, "spare": spare] }
    }
    let model = Unused()
    try model.inject(LoRA(rank: 2), named: "a")
    let (logger, messages) = Logger.collecting()
    let trainer = try Trainer(
      model, training: .adapter("a"), on: Points(count: 16, seed: 1),
      options: TrainingOptions(duration: .steps(2)), logger: logger
    ) { batch, scale in Points.loss(model.toy, batch, scale) }
    try trainer.run()
    let warning = try #require(messages.all.first { $0.contains("learn nothing") })
    #expect(warning.contains("4 of 8") && warning.contains("spare.first.lora_A.weight"))
  }

  @Test(arguments: [
    (TrainingOptions(learningRate: 0), "learning rate"),
    (TrainingOptions(learningRate: -1e-3), "learning rate"),
    (TrainingOptions(learningRate: .infinity), "learning rate"),
    (TrainingOptions(learningRate: 1e30), "learning rate"),
    (TrainingOptions(learningRate: 1e-50), "learning rate"),
    (TrainingOptions(weightDecay: 1e9), "weight decay"),
    (TrainingOptions(weightDecay: .nan), "weight decay"),
    (TrainingOptions(epsilon: 0), "epsilon"),
    (TrainingOptions(clipNorm: .nan), "clipping norm"),
    (TrainingOptions(clipNorm: -.infinity), "clipping norm"),
    (TrainingOptions(batchSize: .min), "batch size"),
    (TrainingOptions(accumulation: -1), "batches a step"),
    (TrainingOptions(duration: .steps(.min)), "steps"),
    (TrainingOptions(duration: .epochs(0)), "epochs"),
    (TrainingOptions(warmupSteps: .min), "warm-up"),
  ]) func whatCannotTrainIsRefused(_ options: TrainingOptions, _ name: String) {
    #expect {
      try options.check()
    } throws: { error in
      guard case .invalidOption(let found, _, let expected)? = error as? TrainingError
      else { return false }
      return found.contains(name) && !expected.isEmpty
    }
  }

  @Test func loraPlusIsRefusedToo() {
    for ratio in [0.5, 0, -1, .nan, .infinity, 1e300] {
      var options = TrainingOptions()
      options.loraPlus = LoRAPlus(ratio: ratio)
      #expect(throws: TrainingError.self) { try options.check() }
    }
    var options = TrainingOptions()
    options.loraPlus = LoRAPlus(ratio: 16, embeddingLearningRate: 0)
    #expect(throws: TrainingError.self) { try options.check() }
    options.loraPlus = LoRAPlus(ratio: 16)
    #expect(throws: Never.self) { try options.check() }
  }

  @Test func theLargestNumbersOverflowNothing() throws {
    let options = TrainingOptions(
      duration: .epochs(.max), batchSize: .max, accumulation: .max, schedule: .cosine,
      warmupSteps: .max, seed: .max)
    let model = ToyNetwork(seed: 0)
    let trainer = try Trainer(
      model, training: .full, on: Points(count: 16, seed: 1), options: options
    ) { Points.loss(model, $0, $1) }
    let result = try trainer.run { $0.step == 3 ? .stop : .continue }
    #expect(result.steps == 3)
    for size in [Int.max, .max - 1, 1 << 62, 1 << 32] {
      let order = BatchOrder(exampleCount: 5, batchSize: size, accumulation: size, seed: 1)
      #expect(order.stepsPerEpoch == 1)
      #expect(order.batches(ofStep: 0, in: [0, 1, 2, 3, 4]) == [[0, 1, 2, 3, 4]])
    }
  }
}

/// What was logged.
final class LoggedMessages: Sendable {
  private let messages = Mutex<[String]>([])
  var all: [String] { messages.withLock { $0 } }
  func add(_ message: String) { messages.withLock { $0.append(message) } }
}

extension Logger {
  /// A logger whose messages, with their metadata, are kept.
  static func collecting() -> (Logger, LoggedMessages) {
    struct Handler: LogHandler {
      let messages: LoggedMessages
      var metadata: Logger.Metadata = [:]
      var logLevel: Logger.Level = .trace
      subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
      }
      func log(event: LogEvent) {
        messages.add("\(event.message) \(event.metadata ?? [:])")
      }
    }
    let messages = LoggedMessages()
    return (Logger(label: "test") { _ in Handler(messages: messages) }, messages)
  }
}
