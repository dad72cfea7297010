import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAModels
import LoRATensor
import LoRATesting
import TestSupport
import Testing

/// Classifiers of tokens by transformers, and PEFT's adapters on them
/// (Tests/Reference/token_classifiers.py).
@Suite struct TokenClassifierTests {
  static let names = [
    "bert", "roberta", "xlm-roberta", "distilbert", "modernbert", "llama", "gpt2",
  ]
  private static let entities = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]

  private static func path(_ name: String) -> String { Fixtures.path("tokens/\(name)") }

  private struct Reference {
    let batch: TokenBatch
    let lengths: [Int]
    private let file: SafetensorsFile

    init(_ name: String) throws {
      file = try SafetensorsFile(path: TokenClassifierTests.path(name) + "/expected.safetensors")
      lengths = try file.tensor(named: "lengths").scalars(as: Int64.self).map { Int($0) }
      batch = TokenBatch(
        try file.tensor(named: "ids"), lengths: lengths, types: try file.tensor(named: "types"))
    }

    /// The largest difference of a token's logit, padding left out.
    func difference(_ model: any TokenClassifier, _ name: String) throws -> Float {
      try model.validate(batch)
      let found = withoutGradients { model(batch).value }
      let expected = try file.tensor(named: name).converted(to: .float32)
      #expect(found.shape == expected.shape)
      return lengths.enumerated().reduce(0) { worst, item in
        let (index, length) = item
        func part(_ tensor: Tensor) -> Tensor {
          tensor[rows: index..<index + 1].sliced(axis: 1, 0..<length)
        }
        return max(worst, largestDifference(part(found), part(expected)))
      }
    }
  }

  @Test(arguments: names)
  func logitsAreThoseOfTransformersAndPEFT(name: String) throws {
    let reference = try Reference(name)
    // Merged weights are not rounded to bfloat16.
    let pretrained = try PretrainedModel(path: Self.path(name), type: .float32)
    let model = try pretrained.tokenClassifier
    #expect(pretrained.freshModules.isEmpty)
    #expect(try reference.difference(model, "logits") < 1e-4)
    let file = try model.loadAdapter(from: Self.path(name) + "/adapter", named: "a")
    let saved = file.description.replacements.map(\.path).sorted()
    let head = ["llama": "score"][name] ?? "classifier"
    #expect(saved == ["\(head).bias", "\(head).weight"])
    #expect(file.peftConfiguration?.taskType == "TOKEN_CLS")
    #expect(try reference.difference(model, "adapted") < 1e-4)
    try model.mergeAdapters(["a": 1])
    #expect(try reference.difference(model, "merged") < 1e-4)
    try model.unmergeAdapters()
    try model.detach("a")
    #expect(try reference.difference(model, "logits") < 1e-4)
  }

  /// A head that a checkpoint lacks comes with the adapter, labels and all, and what PEFT does not say of
  /// names is numbered.
  @Test(arguments: names)
  func headsComeWithAdapters(name: String) throws {
    let reference = try Reference(name)
    let whole = try PretrainedModel(path: Self.path(name))
    let body = try body(of: whole)
    let file = try AdapterFile(path: Self.path(name) + "/adapter")
    let opened = try PretrainedModel(path: body, headOf: file, type: .float32)
    let model = try opened.tokenClassifier
    #expect(model.labels == model.labels.indices.map { "LABEL_\($0)" })
    #expect(model.labels.count == whole.configuration.labels.count)
    try model.loadAdapter(file, named: "a")
    #expect(try reference.difference(model, "adapted") < 1e-4)
    // Saved again, with labels beside it.
    let folder = try ScratchFolder.make() + "/adapter"
    let names = model.labels.indices.map { "tag \($0)" }
    let named = try PretrainedModel(path: body, classifying: names, of: .tokens)
    let trained = try named.tokenClassifier
    try trained.loadAdapter(file, named: "a")
    let configuration = try #require(named.labelledConfiguration())
    try trained.saveAdapter(
      "a", to: folder, configuration: file.peftConfiguration,
      otherFiles: [("config.json", configuration)])
    let again = try AdapterFile(path: folder)
    #expect(again.peftConfiguration?.taskType == "TOKEN_CLS")
    let description = try #require(try again.classifier(on: opened.configuration))
    #expect(description == ClassifierDescription(.tokens, labels: names))
    let last = try PretrainedModel(path: body, headOf: again, type: .float32).tokenClassifier
    try last.loadAdapter(again, named: "a")
    #expect(last.labels == names)
    #expect(try reference.difference(last, "adapted") < 1e-4)
  }

  /// The checkpoint of `whole` without its head.
  private func body(of whole: PretrainedModel) throws -> String {
    let folder = try ScratchFolder.make() + "/body"
    let directory = try #require(whole.directory)
    var object = directory.configurationObject
    object["architectures"] = .array([.string("Body")])
    object["id2label"] = nil
    object["label2id"] = nil
    let file = try SafetensorsFile(path: whole.path + "/model.safetensors")
    var tensors: [(name: String, tensor: Tensor)] = []
    for name in file.names where !["classifier.", "score."].contains(where: name.hasPrefix) {
      tensors.append((name, try file.tensor(named: name)))
    }
    if whole.configuration.architecture.modelType == "gpt2" {
      // Its embedding is its head, stored all the same: left out of a classifier.
      tensors.append(("lm_head.weight", try file.tensor(named: "transformer.wte.weight")))
    }
    try ModelDirectory.write(
      tensors, configuration: JSONValue.object(object).encodedBytes(pretty: true), to: folder)
    return folder
  }

  @Test func labelsAreRead() throws {
    let configuration = try PretrainedModel(path: Self.path("bert")).configuration
    #expect(configuration.classifierKind == .tokens && !configuration.isMultiLabel)
    #expect(
      configuration.classifier == ClassifierDescription(.tokens, labels: Self.entities))
    let numbered = try PretrainedModel(path: Self.path("roberta")).tokenClassifier
    #expect(numbered.labels == ["LABEL_0", "LABEL_1", "LABEL_2"])
  }

  /// A configuration is written as it is read.
  @Test(arguments: names)
  func configurationsRoundTrip(name: String) throws {
    let configuration = try PretrainedModel(path: Self.path(name)).configuration
    let again = try ModelConfiguration(parsing: configuration.encoded())
    #expect(again.classifier == configuration.classifier && again.classifier != nil)
  }

  @Test(arguments: names)
  func savingKeepsEverything(name: String) throws {
    let folder = try ScratchFolder.make() + "/model"
    try PretrainedModel(path: Self.path(name)).save(to: folder)
    let (old, new) = (
      try SafetensorsFile(path: Self.path(name) + "/model.safetensors"),
      try SafetensorsFile(path: folder + "/model.safetensors")
    )
    #expect(old.names.sorted() == new.names.sorted())
    for name in old.names {
      #expect(try old.tensor(named: name) == new.tensor(named: name), "\(name)")
    }
  }

  /// A language model becomes a classifier: its own head stays in the files, and out of the sum.
  @Test func languageModelsGetAHead() throws {
    let path = Fixtures.path("models/llama-grouped")
    let pretrained = try PretrainedModel(path: path, classifying: Self.entities, of: .tokens)
    #expect(pretrained.freshModules == ["score"] && pretrained.headModules == ["score"])
    let recipe = pretrained.trainingHead(
      PEFTAdapterConfiguration(rank: 2, alpha: 4, targets: .allLinear))
    #expect(recipe.taskType == "TOKEN_CLS" && recipe.savedModules == ["score"])
    let report = try pretrained.model.inject(recipe, named: "a")
    #expect(!report.layers.contains("score") && !report.layers.contains("lm_head"))
    let folder = try ScratchFolder.make() + "/model"
    try pretrained.save(to: folder)
    let again = try PretrainedModel(path: folder)
    #expect(try again.tokenClassifier.labels == Self.entities)
    #expect(again.configuration.classNames == ["LlamaForTokenClassification"])
  }

  @Test func kindsAreAskedForByName() throws {
    func problem(_ body: () throws -> Any) throws -> String {
      "\(try #require(#expect(throws: FormatError.self) { _ = try body() }))"
    }
    let tokens = try PretrainedModel(path: Self.path("bert"))
    #expect(
      try problem { try tokens.sequenceClassifier }
        .contains("it is a classifier of tokens ('bert') and has no classifier of sequences"))
    #expect(
      try problem { try tokens.languageModel }
        .contains("it is a classifier of tokens ('bert') and predicts no next tokens"))
    let sequences = Fixtures.path("encoders/bert-classifier")
    #expect(
      try problem { try PretrainedModel(path: sequences).tokenClassifier }
        .contains("name ends in ForTokenClassification"))
    #expect(
      try problem { try PretrainedModel(path: sequences, classifying: ["a", "b"], of: .tokens) }
        .contains(
          "'architectures': the checkpoint is a classifier of sequences with the labels 'no'"))
    #expect(
      try problem { try PretrainedModel(path: Self.path("bert"), classifying: ["a"], of: .tokens) }
        .contains("'id2label': the checkpoint is a classifier of tokens with the labels 'B-LOC'"))
    let cohere = Fixtures.path("models/cohere-v4")
    #expect(
      try problem { try PretrainedModel(path: cohere, classifying: ["a", "b"], of: .tokens) }
        .contains("it has no classifier of tokens here; supported are 'llama'"))
    #expect(
      try problem {
        try PretrainedModel(
          path: Fixtures.path("encoders/bert-body"), classifying: ["a"], of: .tokens,
          isMultiLabel: true)
      }.contains("a token can't have several"))
    // An adapter's head on a classifier of another kind.
    let adapter = try AdapterFile(path: Self.path("bert") + "/adapter")
    #expect(
      try problem { try PretrainedModel(path: sequences, headOf: adapter) }
        .contains("it is that of a classifier of tokens with the labels 'LABEL_0'"))
  }

  /// What is made of a token depends on its sequence alone.
  @Test(arguments: names)
  func paddingChangesNothing(name: String) throws {
    let model = try PretrainedModel(path: Self.path(name), type: .float32).tokenClassifier
    let sequences = [[3, 7, 9, 4, 11, 5], [8, 3], [6]]
    let batched = withoutGradients { model(TokenBatch(sequences: sequences)).value }
    for (index, sequence) in sequences.enumerated() {
      let alone = withoutGradients { model(TokenBatch(sequences: [sequence])).value }
      let part = batched[rows: index..<index + 1].sliced(axis: 1, 0..<sequence.count)
      #expect(largestDifference(part, alone) < 1e-5)
    }
  }

  /// Gradients reach every parameter of a classifier, by finite differences; those of tokens without a label
  /// are nothing.
  @Test func gradients() throws {
    var configuration = TinyModels.configuration(.bert)
    configuration.classNames = ["BertForTokenClassification"]
    configuration.labels = Self.entities
    let model = try #require(
      try configuration.randomModel(standardDeviation: 0.3, seed: 4) as? any TokenClassifier)
    #expect(!model.namedParameters().contains { $0.path.contains("pooler") })
    let batch = TokenBatch(sequences: [[3, 7, 1, 9], [4, 2]], types: [[0, 0, 1, 1], [0, 1]])
    let labels = Tensor([Int64(-100), 4, 0, -100, 2, -100, -100, -100], shape: [2, 4])
    // A key's bias adds the same to all scores of a query: its derivative is 0.
    let parameters = model.namedParameters().filter { !$0.path.hasSuffix("key.bias") }
    let report = checkGradients(
      of: parameters.map(\.parameter), tolerance: 1e-2, maximumElements: 3
    ) {
      model.loss(batch, labels: labels, scale: 1)
    }
    #expect(report.isCorrect, "\(report)")
  }

  @Test func architecturesHaveTheirClasses() {
    let kinds = Dictionary(
      uniqueKeysWithValues: Architecture.all.map { ($0.modelType, $0.classifierKinds) })
    #expect(kinds["bert"] == [.sequences, .tokens] && kinds["llama"] == [.tokens])
    #expect(kinds["cohere"] == [] && kinds["granite"] == [])
    #expect(Architecture.gpt2.className(of: .tokens) == "GPT2ForTokenClassification")
    #expect(Architecture.xlmRoberta.className(of: .tokens) == "XLMRobertaForTokenClassification")
    #expect(Architecture.starCoder2.className(of: .tokens) == "Starcoder2ForTokenClassification")
  }
}
