import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAModels
import LoRATensor
import LoRATesting
import LoRATraining
import TestSupport
import Testing

/// Classifiers whose head is fresh: trained beside an adapter, saved with it, and opened again.
@Suite struct HeadTests {
  private static let folder = Fixtures.path("sentences/cls")

  private func data(
    _ pretrained: PretrainedModel, isMultiLabel: Bool = false
  ) throws -> LabelledDataSet {
    let file = Self.folder + "/texts.jsonl"
    var texts = try LabelledText.read(file)
    if isMultiLabel {
      for index in texts.indices {
        texts[index].isList = true
        if index % 4 == 0 { texts[index].labels = [] }
        if index % 4 == 1 { texts[index].labels?.append(.name("delivery")) }
        texts[index].labels = texts[index].labels.map { Array(Set($0)) }
      }
    }
    return try LabelledDataSet.encoding(
      texts, labels: LabelSet(of: texts, file: file), tokenizer: pretrained.tokenizer(),
      longest: 40,
      source: file
    ).data
  }

  private let labels = ["balance", "card", "delivery"]

  @Test func freshHeadsFollowTheSeed() throws {
    func head(_ seed: UInt64) throws -> (PretrainedModel, Tensor) {
      let pretrained = try PretrainedModel(path: Self.folder, classifying: labels, seed: seed)
      let layer = try #require(pretrained.model.outputHead)
      return (pretrained, layer.denseWeight())
    }
    let (pretrained, weight) = try head(1)
    #expect(pretrained.freshModules == ["classifier"], "the checkpoint has a pooler")
    #expect(try pretrained.sequenceClassifier.labels == labels && weight.shape == [3, 24])
    #expect(try head(1).1 == weight && head(2).1 != weight)
    // initializer_range of its config.json is 0.3; 72 numbers.
    let numbers = weight.scalars(as: Float.self)
    let deviation = (numbers.reduce(0) { $0 + $1 * $1 } / 72).squareRoot()
    #expect(abs(deviation - 0.3) < 0.08)
    #expect(pretrained.model.outputHead?.bias?.value == Tensor.zeros([3]))
  }

  @Test func trainedSavedAndOpenedAgain() async throws {
    let pretrained = try PretrainedModel(path: Self.folder, classifying: labels, seed: 1)
    let model = try pretrained.sequenceClassifier
    let recipe = pretrained.trainingHead(
      PEFTAdapterConfiguration(rank: 2, alpha: 8, targets: .allLinear))
    #expect(recipe.taskType == "SEQ_CLS" && recipe.savedModules == ["classifier"])
    try model.inject(recipe, named: "a", seed: 3)
    let data = try data(pretrained)
    var options = TrainingOptions(duration: .epochs(20), batchSize: 4, learningRate: 0.02)
    options.groupsByLength = true
    let result = try await Trainer(model, training: .adapter("a"), on: data, options: options).run()
    #expect(result.losses.suffix(3).allSatisfy { $0 < 0.2 })
    #expect(try model.evaluate(on: data).accuracy == 1)
    let before = try model.classify(data.examples.map(\.tokens))

    let folder = try ScratchFolder.make() + "/adapter"
    let configuration = try #require(pretrained.labelledConfiguration())
    try model.saveAdapter(
      "a", to: folder, configuration: recipe, otherFiles: [("config.json", configuration)])
    #expect(FolderResult.all(in: folder) == [.adapter(.peft)])
    let file = try AdapterFile(path: folder)
    #expect(
      file.description.replacements.map(\.path).sorted() == [
        "classifier.bias", "classifier.weight",
      ])
    let opened = try PretrainedModel(path: Self.folder, headOf: file)
    let again = try opened.sequenceClassifier
    #expect(again.labels == labels)
    try again.loadAdapter(file, named: "b")
    #expect(try again.classify(data.examples.map(\.tokens)) == before)
    // The base's own head is not what was trained.
    try again.detach("b")
    #expect(try again.classify(data.examples.map(\.tokens)) != before)
  }

  /// One by one, and in batches by length: the same, but for rounding.
  @Test func batchesChangeNothing() throws {
    let pretrained = try PretrainedModel(path: Self.folder, classifying: labels, seed: 1)
    let model = try pretrained.sequenceClassifier
    let data = try data(pretrained)
    let single = try model.classify(data.examples.map(\.tokens), batchSize: 1)
    for size in [2, 5, 100] {
      let batched = try model.classify(data.examples.map(\.tokens), batchSize: size)
      for (a, b) in zip(single, batched) {
        #expect(a.labels == b.labels)
        #expect(zip(a.logits, b.logits).allSatisfy { abs($0 - $1) < 1e-5 })
      }
      let (a, b) = (
        try model.evaluate(on: data, batchSize: 1), try model.evaluate(on: data, batchSize: size)
      )
      #expect(a.accuracy == b.accuracy && abs(a.loss - b.loss) < 1e-5)
    }
    for (found, logits) in zip(single, single.map(\.logits)) {
      #expect(abs(found.probabilities.reduce(0, +) - 1) < 1e-12)
      #expect(logits[found.labels[0]] == logits.max())
    }
  }

  /// Several labels a text: the binary cross-entropy, its mean over all labels, as transformers has it.
  @Test func severalLabels() async throws {
    let pretrained = try PretrainedModel(
      path: Self.folder, classifying: labels, isMultiLabel: true, seed: 1)
    let model = try pretrained.sequenceClassifier
    let data = try data(pretrained, isMultiLabel: true)
    let found = try model.classify(data.examples.map(\.tokens))
    var sum = 0.0
    for (example, found) in zip(data.examples, found) {
      for (label, logit) in found.logits.enumerated() {
        let x = Double(logit)
        sum += log(1 + exp(x)) - (example.labels.contains(label) ? x : 0)
      }
    }
    let evaluation = try model.evaluate(on: data)
    #expect(abs(evaluation.loss - sum / 3 / Double(data.exampleCount)) < 1e-5)
    try model.inject(
      pretrained.trainingHead(PEFTAdapterConfiguration(rank: 2, alpha: 8, targets: .allLinear)),
      named: "a")
    _ = try await Trainer(
      model, training: .adapter("a"), on: data,
      options: TrainingOptions(duration: .epochs(60), batchSize: 4, learningRate: 0.02)
    ).run()
    let after = try model.evaluate(on: data)
    #expect(after.loss < 0.05 && after.accuracy == 1 && after.f1 == 1)
    let configuration = try ModelConfiguration(
      parsing: try #require(pretrained.labelledConfiguration()))
    #expect(configuration.isMultiLabel && configuration.labels == labels)
  }

  /// A whole model with its new head is a classifier's checkpoint.
  @Test func wholeModels() async throws {
    let pretrained = try PretrainedModel(path: Self.folder, classifying: labels, seed: 1)
    let model = try pretrained.sequenceClassifier
    let data = try data(pretrained)
    _ = try await Trainer(
      model, training: .full, on: data,
      options: TrainingOptions(duration: .steps(5), learningRate: 1e-3)
    ).run()
    let before = try model.classify(data.examples.map(\.tokens))
    let folder = try ScratchFolder.make() + "/model"
    try pretrained.save(to: folder)
    let file = try SafetensorsFile(path: folder + "/model.safetensors")
    #expect(file.names.contains("classifier.weight"))
    #expect(file.names.allSatisfy { $0.hasPrefix("bert.") || $0.hasPrefix("classifier.") })
    let opened = try PretrainedModel(path: folder)
    #expect(try opened.sequenceClassifier.labels == labels && opened.freshModules.isEmpty)
    #expect(try opened.sequenceClassifier.classify(data.examples.map(\.tokens)) == before)
  }

  @Test func headsThatDoNotFitAreRefused() throws {
    func problem(_ body: () throws -> PretrainedModel) throws -> String {
      "\(try #require(#expect(throws: FormatError.self) { try body() }))"
    }
    let classifier = Fixtures.path("encoders/bert-classifier")
    #expect(
      try problem { try PretrainedModel(path: classifier, classifying: ["a", "b"]) }
        .contains(
          "is a classifier of sequences with the labels 'no', 'perhaps', 'yes', and a classifier of "
            + "sequences with the labels 'a', 'b' is wanted"))
    let same = try PretrainedModel(path: classifier, classifying: ["no", "perhaps", "yes"])
    #expect(same.freshModules.isEmpty)
    #expect(
      try problem {
        try PretrainedModel(path: Fixtures.path("models/llama-grouped"), classifying: ["a", "b"])
      }.contains("it has no classifier of sequences here; supported are 'bert'"))
    #expect(
      try problem { try PretrainedModel(path: Self.folder, classifying: ["a", "a"]) }
        .contains("one occurs twice"))
    #expect(
      try problem { try PretrainedModel(path: Self.folder, classifying: []) }
        .contains("there are none"))
  }

  /// A pooler that is fresh and was not saved would be random numbers: refused by name.
  @Test func headsThatAreNotWholeAreRefused() throws {
    let base = Fixtures.path("encoders/bert-masked")
    let pretrained = try PretrainedModel(path: base, classifying: ["a", "b"])
    #expect(pretrained.freshModules == ["bert.pooler.dense", "classifier"])
    let recipe = pretrained.trainingHead(
      PEFTAdapterConfiguration(rank: 2, alpha: 2, targets: .names(["query"])))
    #expect(recipe.savedModules == ["bert.pooler.dense", "classifier"])
    func save(_ recipe: PEFTAdapterConfiguration) throws -> AdapterFile {
      let folder = try ScratchFolder.make() + "/adapter"
      try pretrained.model.inject(recipe, named: "a")
      defer { try? pretrained.model.detach("a") }
      try pretrained.model.saveAdapter("a", to: folder, configuration: recipe)
      return try AdapterFile(path: folder)
    }
    let whole = try PretrainedModel(path: base, headOf: try save(recipe))
    #expect(try whole.sequenceClassifier.labels == ["LABEL_0", "LABEL_1"])
    var part = recipe
    part.savedModules = ["classifier"]
    let file = try save(part)
    let error = try #require(
      #expect(throws: FormatError.self) { try PretrainedModel(path: base, headOf: file) })
    #expect("\(error)".contains("the classifier's 'bert.pooler.dense'"))
  }
}
