import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor
import LoRATesting
import LoRATraining
import Testing

/// Trainings of classifiers, the reference's by PEFT (Tests/Reference/encoders.py).
@Suite struct ClassificationTests {
  private static let folder = Fixtures.path("encoders/bert-classifier")

  private func model() throws -> any PretrainedSequenceClassifier {
    try PretrainedModel(path: Self.folder).sequenceClassifier
  }

  /// The examples of the fixture, whose labels the training's file has.
  private func data(_ labels: [Int]) throws -> LabelledDataSet {
    let file = try SafetensorsFile(path: Self.folder + "/expected.safetensors")
    let ids = try file.tensor(named: "ids"), types = try file.tensor(named: "types")
    let lengths = try file.tensor(named: "lengths").scalars(as: Int64.self).map { Int($0) }
    func item(_ tensor: Tensor, _ index: Int) -> [Int] {
      tensor[row: index].scalars(as: Int64.self).prefix(lengths[index]).map { Int($0) }
    }
    return try LabelledDataSet(
      labels.indices.map {
        .init(tokens: item(ids, $0), types: item(types, $0), label: labels[$0])
      })
  }

  @Test func loRAFollowsPEFT() async throws {
    let file = try SafetensorsFile(path: Self.folder + "/training.safetensors")
    let labels = try file.tensor(named: "labels").scalars(as: Int64.self).map { Int($0) }
    let losses = try file.tensor(named: "losses").converted(to: .float32).scalars()
    let model = try model()
    func parameter(_ name: String) throws -> Parameter {
      Parameter(try file.tensor(named: "initial/base_model.model.\(name)"))
    }
    var adapters: [String: any LinearAdapter] = [
      "classifier": ParameterOverride([
        "weight": try parameter("classifier.weight"), "bias": try parameter("classifier.bias"),
      ])
    ]
    for (path, layer) in model.linearLayers() where layer !== model.outputHead {
      adapters[path] = LoRAAdapter(
        a: try parameter("\(path).lora_A.weight"), b: try parameter("\(path).lora_B.weight"),
        scale: 2)
    }
    try model.attach(adapters, named: "a")
    let trainer = try Trainer(
      model, training: .adapter("a"), on: try data(labels),
      options: TrainingOptions(
        duration: .steps(losses.count), batchSize: labels.count, learningRate: 0.01,
        schedule: .constant, weightDecay: 0, clipNorm: 0, shuffles: false))
    let result = try await trainer.run()
    for (step, (found, expected)) in zip(result.losses, losses).enumerated() {
      #expect(abs(found - Double(expected)) < 1e-4, "step \(step + 1)")
    }
    for (path, parameter) in model.adapterParameters(named: "a") {
      let expected = try file.tensor(named: "final/base_model.model.\(path)")
      #expect(largestDifference(parameter.value, expected) < 1e-3, "\(path)")
    }
    let evaluation = try model.withAdapters(["a": 1]) {
      try model.evaluate(on: try data(labels), batchSize: 2)
    }
    #expect(evaluation.accuracy == 1 && evaluation.count == 5 && evaluation.loss < 0.01)
    // The same example by example, with wrong labels too: those have the highest losses.
    let wrong = labels.enumerated().map { $0 == 3 ? ($1 + 1) % 3 : $1 }
    try model.withAdapters(["a": 1]) {
      let whole = try model.evaluate(on: try data(wrong))
      let single = try model.exampleLosses(of: try data(wrong), tokenizer: nil, worst: 2)
      #expect(single.examples.count == 5 && abs(single.loss - whole.loss) < 1e-5)
      let worst = try #require(single.worst.first)
      #expect(single.worst.count == 2 && worst.example.place == "example 4")
      #expect(
        worst.note == "labelled '\(model.labels[wrong[3]])', the model says "
          + "'\(model.labels[labels[3]])'")
    }
  }

  @Test func whatTheModelCannotReadIsRefused() throws {
    let model = try model()
    func check(_ example: LabelledDataSet.Example) throws {
      try LabelledDataSet([.init(tokens: [1], label: 0), example]).check(for: model)
    }
    #expect(throws: TrainingError.labelOutOfRange(label: 3, example: 1, labels: 3)) {
      try check(.init(tokens: [1], label: 3))
    }
    #expect(
      throws: SequenceError.tokenOutOfRange(sequence: 1, position: 0, id: 99, vocabularySize: 48)
    ) {
      try check(.init(tokens: [99], label: 0))
    }
    #expect(throws: SequenceError.typeOutOfRange(sequence: 1, position: 1, type: 2, typeCount: 2)) {
      try check(.init(tokens: [1, 2], types: [0, 2], label: 0))
    }
    #expect(throws: TrainingError.emptyData(source: "mail.csv")) {
      try LabelledDataSet([], source: "mail.csv")
    }
    #expect(throws: TrainingError.self) {
      try LabelledDataSet([.init(tokens: [1, 2], types: [0], label: 0)])
    }
  }

  @Test func numbersThatAreNotFiniteNameTheirLayer() throws {
    let model = try model()
    let path = "bert.encoder.layer.1.output.dense"
    let layer = try #require(model.linearLayers().first { $0.path == path }?.layer)
    let weight = try #require(layer.weight)
    weight.value = weight.value.converted(to: .float32).scaled(by: 3e38)
    let error = try #require(
      #expect(throws: NonFiniteOutput.self) { try model.evaluate(on: try data([0, 1, 2, 0, 1])) })
    #expect(error.layer == path && error.cause == .base)
  }

  /// The prediction of memory sees an encoder's blocks.
  @Test func memoryIsPredicted() throws {
    let model = try model()
    try model.inject(LoRA(rank: 4), named: "a", into: .allLinear)
    let trainer = try Trainer(
      model, training: .adapter("a"), on: try data([0, 1, 2, 0, 1]),
      options: TrainingOptions(duration: .steps(1), batchSize: 5))
    let memory = try #require(trainer.predictedMemory)
    #expect(memory.activations > 0 && memory.weights > 0)
  }
}
