import Foundation
import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATraining
import TestSupport
import Testing

/// Agreement with PyTorch's, transformers' and bitsandbytes' optimizers over 100 steps, and with
/// transformers' warm-up stable decay; see Tests/Reference/optimizers.py.
@Suite struct OptimizerTests {
  private struct Case: Decodable, CustomTestStringConvertible {
    let `case`: String
    let shapes: [String]
    let settings: Settings

    struct Settings: Decodable {
      let lr: Double
      let weight_decay: Double
    }

    var testDescription: String { `case` }

    var optimizer: any Optimizer {
      get throws {
        switch `case` {
        case "lion": Lion()
        case "lion_slow": Lion(beta1: 0.95, beta2: 0.98)
        case "adamw_8bit": AdamW8Bit(leastElements: 0)
        case "adafactor": Adafactor()
        case "adafactor_settings":
          Adafactor(decayExponent: -0.5, epsilon1: 1e-6, epsilon2: 1e-2, clipThreshold: 1.5)
        case "adafactor_absolute": Adafactor(epsilon1: 1e-15, isRelative: false)
        case "muon": Muon()
        case "muon_original":
          Muon(momentum: 0.9, isNesterov: false, iterations: 3, scale: .original)
        case "sgd": SGD(momentum: 0.9, isNesterov: true)
        default: throw CocoaError(.featureUnsupported)
        }
      }
    }
  }

  private static let cases: [Case] =
    (try? ReferenceFile("optimizers.safetensors").metadata("cases")) ?? []

  @Test func thereAreCases() { #expect(Self.cases.count == 9) }

  @Test(arguments: cases) private func followsItsReference(item: Case) throws {
    let reference = try ReferenceFile("optimizers.safetensors")
    let optimizer = try item.optimizer
    try optimizer.check()
    for shape in item.shapes {
      let parameter = Parameter(try reference.tensor("\(shape)/initial"))
      let gradients = try reference.tensor("\(shape)/gradients")
      let expected = try reference.tensor("\(item.case)/\(shape)")
      let group = ParameterGroup(
        [("p", parameter)], learningRate: item.settings.lr, weightDecay: item.settings.weight_decay)
      var state = OptimizerState()
      for step in 0..<100 {
        // Held at every third step, so that both ways of writing are taken.
        let held = step % 3 == 0 ? parameter.value : Tensor([0])
        let kept = held.scalars()
        var found = Gradients()
        found[parameter] = gradients[row: step % 7].scaled(by: 2)
        optimizer.step(
          found, groups: [group], gradientScale: (0.5 + Float(step % 5) / 4) / 2, state: &state)
        #expect(held.scalars() == kept, "values that somebody holds are not written to")
        guard let row = [1, 2, 10, 100].firstIndex(of: step + 1) else { continue }
        let wanted = expected[row: row]
        let difference = largestDifference(parameter.value, wanted)
        let size = max(1, wanted.scalars().map(abs).max() ?? 0)
        #expect(difference < 1e-5 * size, "\(item.case), \(shape), after \(step + 1) steps")
      }
      let sizes = optimizer.stateShapes(of: parameter.shape)
      let types = optimizer.stateTypes(of: parameter.shape)
      let tensors = try #require(state["p"]?.tensors)
      #expect(tensors.mapValues(\.shape) == sizes)
      for (name, tensor) in tensors { #expect(tensor.dtype == types[name] ?? .float32) }
      #expect(
        optimizer.stateBytes(of: parameter.shape) == tensors.values.reduce(0) { $0 + $1.byteCount })
    }
  }

  @Test func codesStandForTheValuesOfBitsandbytes() throws {
    let reference = try ReferenceFile("optimizers.safetensors")
    for (name, map) in [("signed", AdamW8Bit.signedFractions), ("unsigned", AdamW8Bit.fractions)] {
      let expected = try reference.tensor("map/\(name)").scalars()
      #expect(map.count == 256)
      for (a, b) in zip(map, expected) { #expect(abs(a - b) <= 2e-7 * abs(b), "\(name)") }
    }
  }

  @Test func eightBitsTakeAQuarterOfTheMemory() {
    let exact = AdamW().stateBytes(of: [64, 128])
    #expect(exact == 64 * 128 * 8)
    #expect(AdamW8Bit().stateBytes(of: [64, 128]) == 64 * 128 * 2 + 32 * 2 * 4)
    #expect(AdamW8Bit().stateBytes(of: [63, 65]) == 63 * 65 * 8, "below 4096 elements AdamW's")
    #expect(Lion().stateBytes(of: [64, 128]) == exact / 2)
    #expect(Muon().stateBytes(of: [64, 128]) == exact / 2)
    #expect(Muon().stateBytes(of: [64]) == 64 * 8)
    #expect(Adafactor().stateBytes(of: [64, 128]) == (64 + 128) * 4)
  }

  /// A whole model's state is counted as it will be allocated, and values that are held too.
  @Test func predictedMemoryHasTheState() throws {
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    var trainer = try Trainer(
      model, training: .full,
      on: TokenDataSet(sequences: patternSequences(4, length: 9, vocabulary: 64, seed: 0)))
    let shapes = trainer.groups.flatMap { $0.parameters.map(\.parameter.shape) }
    let count = shapes.reduce(0) { $0 + $1.elementCount }
    func trained() throws -> Int { try #require(trainer.predictedMemory).trained }
    #expect(try trained() == 3 * 4 * count)
    for optimizer in [Lion(), AdamW8Bit(), Adafactor(), Muon(), SGD()] as [any Optimizer] {
      trainer.optimizer = optimizer
      let state = shapes.reduce(0) { $0 + optimizer.stateBytes(of: $1) }
      #expect(try trained() == 4 * count + state, "\(optimizer)")
    }
    trainer.keepsBest = true
    #expect(try trained() == 2 * 4 * count)
  }

  /// A trained toy has the loss of float32 moments within a hundredth after 200 steps.
  @Test func eightBitsLoseLittle() throws {
    func trained(_ optimizer: any Optimizer) throws -> Double {
      let network = ToyNetwork(seed: 3)
      let options = TrainingOptions(
        duration: .steps(200), batchSize: 16, learningRate: 5e-3, schedule: .linear)
      var trainer = try Trainer(
        network, training: .full, on: Points(count: 64, seed: 4), options: options
      ) { Points.loss(network, $0, $1) }
      trainer.optimizer = optimizer
      let losses = try trainer.run().losses
      return losses.suffix(4).reduce(0, +) / 4
    }
    let (exact, coded) = (try trained(AdamW()), try trained(AdamW8Bit(leastElements: 0)))
    #expect(abs(coded / exact - 1) < 0.01, "\(coded) beside \(exact)")
    #expect(coded != exact)
  }

  @Test func settingsOutOfRangeAreErrors() {
    let optimizers: [any Optimizer] = [
      Lion(beta1: 1), Lion(beta2: .nan), AdamW8Bit(epsilon: 0), AdamW8Bit(leastElements: -1),
      Adafactor(decayExponent: 0.1), Adafactor(epsilon1: 0), Adafactor(clipThreshold: 0),
      Adafactor(epsilon2: -1), Muon(momentum: 1), Muon(iterations: 0),
      Muon(vectors: AdamW(beta1: 2)),
    ]
    for optimizer in optimizers {
      #expect(throws: TrainingError.self, "\(optimizer)") { try optimizer.check() }
    }
  }

  /// Interrupted after 3 of 7 steps, saved, read and resumed: the same bits.
  @Test(arguments: ["lion", "adamw_8bit", "adafactor", "muon", "sgd"])
  func aRunResumesWithTheSameBits(name: String) throws {
    let item = try #require(Self.cases.first { $0.case == name })
    func trainer(_ network: ToyNetwork) throws -> Trainer<Points> {
      var options = TrainingOptions(duration: .steps(7), batchSize: 4, learningRate: 1e-3)
      options.weightDecay = 0.1
      var trainer = try Trainer(
        network, training: .full, on: Points(count: 16, seed: 4), options: options
      ) { Points.loss(network, $0, $1) }
      trainer.optimizer = try item.optimizer
      return trainer
    }
    let whole = ToyNetwork(seed: 5)
    try trainer(whole).run()
    let file = try ScratchFolder.make() + "/state.safetensors"
    let (first, second) = (ToyNetwork(seed: 5), ToyNetwork(seed: 6))
    var run = try TrainingRun(try trainer(first))
    for _ in 0..<3 { _ = try run.step() }
    try run.state().save(to: file)
    #expect(throws: TrainingError.self, "frozen by another optimizer") {
      var other = try trainer(ToyNetwork(seed: 5))
      other.optimizer = AdamW()
      _ = try TrainingRun(other, from: TrainingState(path: file))
    }
    try trainer(second).run(from: TrainingState(path: file))
    #expect(second.values == whole.values)
    #expect(first.values != whole.values)
  }

  // MARK: Groups

  @Test func vectorsCanBeExemptFromDecay() throws {
    let network = ToyNetwork(seed: 1)
    var options = TrainingOptions()
    options.weightDecay = 0.1
    var trainer = try Trainer(
      network, training: .full, on: Points(count: 8, seed: 1), options: options
    ) { Points.loss(network, $0, $1) }
    #expect(trainer.exemptFromWeightDecay { $0.parameter.shape.count < 2 } == 2)
    let decays = Dictionary(
      uniqueKeysWithValues: trainer.groups.flatMap { group in
        group.parameters.map { ($0.path, group.weightDecay) }
      })
    #expect(
      decays == [
        "first.weight": 0.1, "first.bias": 0, "second.weight": 0.1, "second.bias": 0,
      ])
  }

  @Test func lowerLayersHaveLowerRates() throws {
    func parameter(_ path: String) -> NamedParameter { (path, Parameter(Tensor([1]))) }
    let options = TrainingOptions(learningRate: 0.8)
    var trainer = try Trainer(
      parameters: [
        "model.embed_tokens.weight", "model.layers.0.q.weight", "model.layers.1.q.weight",
        "model.layers.2.q.weight", "model.norm.weight",
      ].map(parameter), on: Points(count: 2, seed: 0), options: options
    ) { _, _ in Variable(Tensor([0])) }
    #expect(trainer.decayLearningRates(byLayer: 0.5) == 3)
    let rates = trainer.groups.flatMap { group in
      group.parameters.map { ($0.path, group.learningRate) }
    }.sorted { $0.0 < $1.0 }.map(\.1)
    #expect(rates == [0.1, 0.2, 0.4, 0.8, 0.8])
  }

  // MARK: Schedules

  private struct Decay: Decodable {
    let `case`: String
    let total: Int
    let num_warmup_steps: Int
    let num_decay_steps: Int
    let warmup_type: StableDecay.Form?
    let decay_type: StableDecay.Form?
    let min_lr_ratio: Double?
    let num_cycles: Double?
  }

  @Test func warmupStableDecayFollowsTransformers() throws {
    let reference = try ReferenceFile("wsd.safetensors")
    let cases = try reference.metadata("cases", as: [Decay].self)
    #expect(cases.count == 5)
    for item in cases {
      let decay = StableDecay(
        steps: item.num_decay_steps, warmup: item.warmup_type ?? .linear,
        decay: item.decay_type ?? .cosine, least: item.min_lr_ratio ?? 0,
        cycles: item.num_cycles ?? 0.5)
      for (step, expected) in try reference.numbers(item.case).enumerated() {
        let factor = LearningRateSchedule.stable.factor(
          step: step, warmup: item.num_warmup_steps, total: item.total, decay: decay)
        #expect(abs(factor - expected) < 1e-7, "\(item.case), step \(step)")
      }
    }
  }

  /// Resumed before its decay, a run may become longer; the rates are then those of the longer run.
  @Test func aStableRunCanBeExtended() throws {
    func trainer(_ network: ToyNetwork, steps: Int) throws -> Trainer<Points> {
      var options = TrainingOptions(
        duration: .steps(steps), batchSize: 4, learningRate: 1e-3, schedule: .stable, warmupSteps: 2
      )
      options.stableDecay = StableDecay(steps: 4)
      return try Trainer(
        network, training: .full, on: Points(count: 16, seed: 4), options: options
      ) { Points.loss(network, $0, $1) }
    }
    let whole = ToyNetwork(seed: 5)
    var rates: [Double] = []
    try trainer(whole, steps: 14).run { report in
      rates.append(report.learningRate)
      return .continue
    }
    let expected = (0..<14).map {
      1e-3
        * LearningRateSchedule.stable.factor(
          step: $0, warmup: 2, total: 14, decay: StableDecay(steps: 4))
    }
    #expect(rates == expected && rates[9] == 1e-3 && rates[11] < 1e-3)
    let network = ToyNetwork(seed: 5)
    var run = try TrainingRun(try trainer(network, steps: 10))
    for _ in 0..<6 { _ = try run.step() }
    let state = run.state()
    var resumed: [Double] = []
    try trainer(network, steps: 14).run(from: state) { report in
      resumed.append(report.learningRate)
      return .continue
    }
    #expect(resumed == Array(expected[6...]) && network.values == whole.values)
    _ = try run.step()
    #expect(throws: TrainingError.self, "within the decay") {
      _ = try TrainingRun(try trainer(ToyNetwork(seed: 5), steps: 14), from: run.state())
    }
  }
}
