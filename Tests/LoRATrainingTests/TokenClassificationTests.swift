import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAModels
import LoRATensor
import LoRATesting
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Trainings and evaluations of classifiers of tokens, the reference's by PEFT
/// (Tests/Reference/token_classifiers.py).
@Suite struct TokenClassificationTests {
  private static let folder = Fixtures.path("tokens/bert")

  private func model() throws -> any PretrainedTokenClassifier {
    try PretrainedModel(path: Self.folder).tokenClassifier
  }

  /// The reference's examples, whose labels the training's file has; `count` of them.
  private func data() throws -> TaggedDataSet {
    let file = try SafetensorsFile(path: Self.folder + "/expected.safetensors")
    let training = try SafetensorsFile(path: Self.folder + "/training.safetensors")
    let lengths = try file.tensor(named: "lengths").scalars(as: Int64.self).map { Int($0) }
    func items(_ file: SafetensorsFile, _ name: String) throws -> [[Int]] {
      let tensor = try file.tensor(named: name)
      return lengths.indices.map {
        tensor[row: $0].scalars(as: Int64.self).prefix(lengths[$0]).map { Int($0) }
      }
    }
    return try TaggedDataSet(
      zip(items(file, "ids"), items(training, "labels")).map { .init(tokens: $0, labels: $1) })
  }

  /// The reference trains with types of tokens, which examples of words do not have: the same step with the
  /// library's loss.
  @Test func loRAFollowsPEFT() async throws {
    let file = try SafetensorsFile(path: Self.folder + "/training.safetensors")
    let expectedFile = try SafetensorsFile(path: Self.folder + "/expected.safetensors")
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
    for (path, _) in model.linearLayers()
    where file.names.contains("initial/base_model.model.\(path).lora_A.weight") {
      adapters[path] = LoRAAdapter(
        a: try parameter("\(path).lora_A.weight"), b: try parameter("\(path).lora_B.weight"),
        scale: 2)
    }
    #expect(adapters.count > 8)
    try model.attach(adapters, named: "a")
    let lengths = try expectedFile.tensor(named: "lengths").scalars(as: Int64.self)
    let batch = TokenBatch(
      try expectedFile.tensor(named: "ids"), lengths: lengths.map { Int($0) },
      types: try expectedFile.tensor(named: "types"))
    let labels = try file.tensor(named: "labels")
    let data = try data()
    let count = data.targetCount(of: Array(0..<data.exampleCount))
    #expect(count == labels.scalars(as: Int64.self).count { $0 >= 0 })
    var options = TrainingOptions(
      duration: .steps(losses.count), batchSize: 4, learningRate: 0.01, schedule: .constant,
      weightDecay: 0, clipNorm: 0)
    options.shuffles = false
    struct Typed: Objective {
      typealias Model = TransformerTokenClassifier
      typealias Data = TaggedDataSet
      let batch: TokenBatch
      let labels: Tensor
      func loss(
        _ model: TransformerTokenClassifier, _: TaggedDataSet.Batch, scale: Float
      ) -> Variable { model.loss(batch, labels: labels, scale: scale) }
    }
    let trainer = try Trainer(
      try #require(model as? TransformerTokenClassifier), training: .adapter("a"), on: data,
      objective: Typed(batch: batch, labels: labels), options: options)
    let result = try await trainer.run()
    for (step, (found, expected)) in zip(result.losses, losses).enumerated() {
      #expect(abs(found - Double(expected)) < 1e-4, "step \(step + 1)")
    }
    for (path, parameter) in model.adapterParameters(named: "a") {
      let expected = try file.tensor(named: "final/base_model.model.\(path)")
      #expect(largestDifference(parameter.value, expected) < 1e-3, "\(path)")
    }
  }

  /// The objective is the mean over all labelled tokens of a step, and batches change no result.
  @Test func lossesAreThoseOfTheLogits() async throws {
    let model = try model()
    let data = try data()
    let found = try model.classify(data.examples.map(\.tokens), batchSize: 1)
    var (sum, count, right) = (0.0, 0, 0)
    for (example, found) in zip(data.examples, found) {
      #expect(found.count == example.tokens.count)
      for (label, found) in zip(example.labels, found) where label != -100 {
        sum -= log(found.probabilities[label])
        right += found.labels == [label] ? 1 : 0
        count += 1
      }
    }
    for size in [1, 2, 100] {
      let evaluation = try model.evaluate(on: data, batchSize: size)
      #expect(abs(evaluation.loss - sum / Double(count)) < 1e-5 && evaluation.count == count)
      #expect(evaluation.accuracy == Double(right) / Double(count))
      #expect(evaluation.entities != nil)
      let batched = try model.classify(data.examples.map(\.tokens), batchSize: size)
      for (a, b) in zip(found.joined(), batched.joined()) {
        #expect(a.labels == b.labels)
        #expect(zip(a.logits, b.logits).allSatisfy { abs($0 - $1) < 1e-5 })
      }
    }
    try model.inject(LoRA(rank: 2), named: "a", into: .allLinear)
    let trainer = try Trainer(
      model, training: .adapter("a"), on: data,
      options: TrainingOptions(duration: .steps(1), batchSize: 2, accumulation: 2))
    let result = try await trainer.run()
    #expect(abs(result.losses[0] - sum / Double(count)) < 1e-5)
    let memory = try #require(trainer.predictedMemory)
    #expect(memory.activations > 0 && memory.weights > 0)
  }

  /// A fresh head on an encoder: trained beside an adapter, saved with it, and opened again.
  @Test func trainedSavedAndOpenedAgain() async throws {
    let base = Fixtures.path("sentences/cls")
    let texts = [
      TaggedText(["block", "my", "card"], tags: ["O", "O", "B-THING"].map { .name($0) }, line: 1),
      TaggedText(
        ["lost", "package", "number"], tags: ["O", "B-THING", "I-THING"].map { .name($0) }, line: 2),
      TaggedText(["hello", "there"], tags: ["O", "O"].map { .name($0) }, line: 3),
      TaggedText(
        ["money", "arrived"], tags: ["B-THING", "O"].map { .name($0) }, line: 4),
    ]
    let labels = try LabelSet(of: texts, file: "texts")
    let pretrained = try PretrainedModel(
      path: base, classifying: labels.names, of: .tokens, seed: 1)
    #expect(pretrained.freshModules == ["classifier"])
    let model = try pretrained.tokenClassifier
    let recipe = pretrained.trainingHead(
      PEFTAdapterConfiguration(rank: 2, alpha: 8, targets: .allLinear))
    #expect(recipe.taskType == "TOKEN_CLS" && recipe.savedModules == ["classifier"])
    try model.inject(recipe, named: "a", seed: 3)
    let (data, notes) = try TaggedDataSet.encoding(
      texts, labels: labels, tokenizer: pretrained.tokenizer(), longest: 40)
    #expect(notes.isEmpty)
    var options = TrainingOptions(duration: .epochs(40), batchSize: 2, learningRate: 0.02)
    options.groupsByLength = true
    _ = try await Trainer(model, training: .adapter("a"), on: data, options: options).run()
    let evaluation = try model.evaluate(on: data)
    #expect(evaluation.accuracy == 1 && evaluation.entities?.f1 == 1 && evaluation.loss < 0.1)
    #expect(evaluation.entities?.count == 3 && evaluation.count == 10)
    let before = try model.classify(data.examples.map(\.tokens))

    let folder = try ScratchFolder.make() + "/adapter"
    let configuration = try #require(pretrained.labelledConfiguration())
    try model.saveAdapter(
      "a", to: folder, configuration: recipe, otherFiles: [("config.json", configuration)])
    let file = try AdapterFile(path: folder)
    // PEFT refuses all-linear for this task.
    #expect(file.peftConfiguration?.targets == .names(["dense", "key", "query", "value"]))
    let again = try PretrainedModel(path: base, headOf: file).tokenClassifier
    #expect(again.labels == labels.names)
    try again.loadAdapter(file, named: "b")
    #expect(try again.classify(data.examples.map(\.tokens)) == before)
    try again.detach("b")
    #expect(try again.classify(data.examples.map(\.tokens)) != before)
  }

  @Test func whatTheModelCannotReadIsRefused() throws {
    let model = try model()
    func check(_ example: TaggedDataSet.Example) throws {
      try TaggedDataSet([.init(tokens: [1], labels: [0]), example]).check(for: model)
    }
    #expect(throws: TrainingError.labelOutOfRange(label: 5, example: 1, labels: 5)) {
      try check(.init(tokens: [1], labels: [5]))
    }
    #expect(throws: TrainingError.labelOutOfRange(label: -1, example: 1, labels: 5)) {
      try check(.init(tokens: [1], labels: [-1]))
    }
    #expect(
      throws: SequenceError.tokenOutOfRange(sequence: 1, position: 1, id: 99, vocabularySize: 48)
    ) {
      try check(.init(tokens: [1, 99], labels: [0, 0]))
    }
    #expect(throws: TrainingError.unequalLengths(example: 0, tokens: 2, targets: 1)) {
      try TaggedDataSet([.init(tokens: [1, 2], labels: [0])])
    }
    #expect(throws: TrainingError.noTargets(example: 0)) {
      try TaggedDataSet([.init(tokens: [1, 2], labels: [-100, -100])])
    }
    #expect(throws: TrainingError.emptyData(source: "tags.conll")) {
      try TaggedDataSet([], source: "tags.conll")
    }
    #expect(throws: TrainingError.self) { try model.classify([[1]], batchSize: 0) }
    #expect(throws: SequenceError.empty(sequence: 1)) { try model.classify([[1], []]) }
  }

  @Test func numbersThatAreNotFiniteNameTheirLayer() throws {
    let model = try model()
    let weight = try #require(model.outputHead?.weight)
    weight.value = weight.value.converted(to: .float32).scaled(by: 3e38)
    let error = try #require(
      #expect(throws: NonFiniteOutput.self) { try model.evaluate(on: try data()) })
    #expect(error.layer == "classifier" && error.cause == .base)
  }

  @Test func fingerprintsSeeEveryNumber() throws {
    func print(_ tokens: [Int], _ labels: [Int]) throws -> UInt64 {
      try TaggedDataSet([.init(tokens: tokens, labels: labels)]).fingerprint
    }
    let first = try print([1, 2], [0, 1])
    #expect(try first == print([1, 2], [0, 1]))
    #expect(try first != print([1, 2], [0, 2]) && first != print([1, 3], [0, 1]))
  }
}

/// Entities that labels mark, and how many are found.
@Suite struct EntityTagsTests {
  @Test func entitiesAreStrict() throws {
    let names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    let tags = try #require(EntityTags(names))
    func entities(_ text: String) -> [EntityTags.Entity] {
      tags.entities(in: text.split(separator: " ").compactMap { names.firstIndex(of: String($0)) })
    }
    func entity(_ type: String, _ range: Range<Int>) -> EntityTags.Entity {
      .init(type: type, range: range)
    }
    #expect(entities("B-PER I-PER I-PER O B-LOC") == [entity("PER", 0..<3), entity("LOC", 4..<5)])
    #expect(entities("B-PER B-PER I-PER") == [entity("PER", 0..<1), entity("PER", 1..<3)])
    // An I without its B is part of none.
    #expect(entities("I-PER I-PER O I-LOC") == [])
    #expect(entities("B-PER I-LOC I-LOC I-PER") == [entity("PER", 0..<1)])
    #expect(entities("") == [])
  }

  @Test func otherLabelsMarkNone() {
    #expect(EntityTags(["NOUN", "VERB"]) == nil)
    #expect(EntityTags(["O", "I-PER"]) == nil)
    #expect(EntityTags(["O", "B-PER", "E-PER"]) == nil)
    #expect(EntityTags(["O", "Bird"]) == nil)
    #expect(EntityTags(["B", "I", "O"])?.entities(in: [0, 1, 2]).first?.type == "")
  }

  /// The counts of seqeval, strict, on random labels.
  @Test func scoresAreThoseOfTheReference() throws {
    let file = try JSONValue(
      parsing: Array(Data(contentsOf: URL(filePath: Fixtures.path("tokens/entities.json")))))
    let names = try #require(file["labels"]?.arrayValue).compactMap(\.stringValue)
    let tags = try #require(EntityTags(names))
    func entities(_ key: String) throws -> [[EntityTags.Entity]] {
      try #require(file[key]?.arrayValue).map { labels in
        tags.entities(
          in: labels.arrayValue?.compactMap { names.firstIndex(of: $0.stringValue ?? "") } ?? [])
      }
    }
    let scores = EntityScores(found: try entities("found"), wanted: try entities("wanted"))
    for (found, key) in [
      (scores.precision, "precision"), (scores.recall, "recall"), (scores.f1, "f1"),
    ] {
      let expected = try #require(file[key]?.doubleValue)
      #expect(abs(found - expected) < 1e-12, "\(key)")
    }
    #expect(scores.count == file["count"]?.intValue)
    let none = EntityScores(found: [[]], wanted: [[]])
    #expect(none.f1 == 0 && none.precision == 0 && none.recall == 0 && none.count == 0)
  }
}
