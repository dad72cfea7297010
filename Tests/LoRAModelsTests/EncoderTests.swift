import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor
import LoRATesting
import Testing

/// Encoders and classifiers by transformers, and adapters on them by PEFT (Tests/Reference/encoders.py).
@Suite struct EncoderTests {
  private struct Reference {
    let batch: TokenBatch
    let file: SafetensorsFile

    init(_ name: String) throws {
      file = try SafetensorsFile(path: Fixtures.path("encoders/\(name)/expected.safetensors"))
      batch = TokenBatch(
        try file.tensor(named: "ids"),
        lengths: try file.tensor(named: "lengths").scalars(as: Int64.self).map { Int($0) },
        types: try file.tensor(named: "types"))
    }

    func callAsFunction(_ name: String) throws -> Tensor {
      try file.tensor(named: name).converted(to: .float32)
    }
  }

  private func logits(_ model: any SequenceClassifier, _ batch: TokenBatch) throws -> Tensor {
    try model.validate(batch)
    return withoutGradients { model(batch).value }
  }

  static let modelNames: [String] =
    classifierNames + [
      "bert-body", "bert-masked", "modernbert-masked",
    ]
  static let classifierNames: [String] = [
    "bert-classifier", "bert-former-names", "roberta-classifier", "xlm-roberta-classifier",
    "distilbert-classifier", "modernbert-classifier", "modernbert-mean-v4",
  ]

  @Test(arguments: modelNames)
  func hiddenStates(name: String) throws {
    let reference = try Reference(name)
    let model = try PretrainedModel(path: Fixtures.path("encoders/\(name)")).model
    let found = withoutGradients { model.hiddenStates(reference.batch).value }
    let expected = try reference("hidden")
    for (item, length) in reference.batch.lengths.enumerated() {
      let (a, b) = (found[rows: item..<item + 1], expected[rows: item..<item + 1])
      #expect(
        largestDifference(a.sliced(axis: 1, 0..<length), b.sliced(axis: 1, 0..<length)) < 2e-5)
    }
  }

  @Test(arguments: classifierNames)
  func classifiers(name: String) throws {
    let reference = try Reference(name)
    // Merged weights are not rounded to bfloat16.
    let model = try PretrainedModel(path: Fixtures.path("encoders/\(name)"), type: .float32)
      .sequenceClassifier
    let base = try logits(model, reference.batch)
    #expect(largestDifference(base, try reference("logits")) < 1e-4)
    for method in ["lora", "lora-all", "lora-blocks", "dora", "loha", "lokr", "ia3"]
    where reference.file.names.contains("logits.\(method)") {
      try model.loadAdapter(
        from: Fixtures.path("encoders/\(name)/adapters/\(method)"), named: "a")
      #expect(
        largestDifference(try logits(model, reference.batch), try reference("logits.\(method)"))
          < 1e-4, "\(method)")
      try model.mergeAdapters(["a": 1])
      #expect(
        largestDifference(try logits(model, reference.batch), try reference("merged.\(method)"))
          < 1e-4, "\(method), merged")
      try model.unmergeAdapters()
      try model.detach("a")
      #expect(try logits(model, reference.batch) == base, "\(method), detached")
    }
  }

  @Test func labelsAreRead() throws {
    #expect(
      try PretrainedModel(path: Fixtures.path("encoders/bert-classifier"))
        .sequenceClassifier.labels == ["no", "perhaps", "yes"])
    let numbered = try ModelConfiguration(
      parsing: Array(
        #"{"model_type": "bert", "num_labels": 3, "architectures": ["BertForSequenceClassification"]}"#
          .utf8))
    #expect(numbered.labels == ["LABEL_0", "LABEL_1", "LABEL_2"])
    #expect(throws: FormatError.self) {
      try ModelConfiguration(
        parsing: Array(
          #"{"model_type": "bert", "id2label": {"0": "a", "2": "b"}, "architectures": ["BertForSequenceClassification"]}"#
            .utf8))
    }
  }

  /// Everything of a checkpoint is kept when it is saved again: names, types, other heads.
  @Test(arguments: modelNames)
  func savingKeepsEverything(name: String) throws {
    let pretrained = try PretrainedModel(path: Fixtures.path("encoders/\(name)"))
    let folder = try Fixtures.temporaryFolder()
    try pretrained.save(to: folder)
    let (old, new) = (
      try SafetensorsFile(path: Fixtures.path("encoders/\(name)/model.safetensors")),
      try SafetensorsFile(path: folder + "/model.safetensors")
    )
    #expect(old.names.sorted() == new.names.sorted())
    for name in old.names {
      #expect(try old.tensor(named: name) == new.tensor(named: name), "\(name)")
    }
  }

  @Test func modelsAreAskedForByKind() throws {
    let encoder = try PretrainedModel(path: Fixtures.path("encoders/bert-masked"))
    #expect {
      _ = try encoder.languageModel
    } throws: {
      "\($0)".contains("it is an encoder ('bert') and predicts no next tokens")
    }
    #expect {
      _ = try encoder.sequenceClassifier
    } throws: {
      "\($0)".contains("has no classifier of sequences")
    }
    let language = try PretrainedModel(path: Fixtures.path("models/llama-grouped"))
    #expect {
      _ = try language.sequenceClassifier
    } throws: {
      "\($0)".contains("it is a language model ('llama')")
    }
  }

  @Test func batchesAreChecked() throws {
    let model = try PretrainedModel(path: Fixtures.path("encoders/bert-classifier"))
      .sequenceClassifier
    #expect(throws: SequenceError.empty(sequence: 1)) {
      try model.validate(TokenBatch(sequences: [[1, 2], []]))
    }
    #expect(throws: SequenceError.tooLong(sequence: 0, count: 33, limit: 32)) {
      try model.validate(TokenBatch(sequences: [Array(repeating: 1, count: 33)]))
    }
    #expect(
      throws: SequenceError.tokenOutOfRange(sequence: 1, position: 1, id: 48, vocabularySize: 48)
    ) {
      try model.validate(TokenBatch(sequences: [[1, 2, 3], [1, 48]], padding: 99))
    }
    #expect(throws: SequenceError.typeOutOfRange(sequence: 0, position: 1, type: 2, typeCount: 2)) {
      try model.validate(TokenBatch(sequences: [[1, 2]], types: [[0, 2]]))
    }
    #expect(throws: SequenceError.tooLong(sequence: 2, count: 33, limit: 32)) {
      let tokens = Tensor(Array(repeating: Int64(1), count: 80), shape: [2, 40])
      try model.validate(TokenBatch(tokens, packed: [[20, 20], [33, 7]]))
    }
  }

  /// Gradients reach every parameter of a classifier, by finite differences.
  @Test func gradients() throws {
    let model = try #require(
      try TinyModels.configuration(.bert).randomModel(standardDeviation: 0.3, seed: 4)
        as? any SequenceClassifier)
    let batch = TokenBatch(sequences: [[3, 7, 1, 9], [4, 2]], types: [[0, 0, 1, 1], [0, 1]])
    let labels = Tensor([Int64(2), 0])
    // A key's bias adds the same to all scores of a query: its derivative is 0.
    let parameters = model.namedParameters().filter { !$0.path.hasSuffix("key.bias") }
    let report = checkGradients(
      of: parameters.map(\.parameter), tolerance: 5e-3, maximumElements: 3
    ) {
      model.loss(batch, labels: labels, scale: 1)
    }
    #expect(report.isCorrect, "\(report)")
  }
}
