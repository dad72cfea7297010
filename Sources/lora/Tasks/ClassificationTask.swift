import LoRAKit

/// Telling labels of texts apart: one a text or, where the examples' labels are lists, several.
struct ClassificationTask: ClassifierTask {
  let classifier: OpenedClassifier
  private let model: any PretrainedSequenceClassifier
  let data: LabelledDataSet
  private let evaluationFile: String?
  private let evaluationData: LabelledDataSet?

  init(_ input: TaskInput) throws {
    let fields = input.examples.records.fields
    let texts = try input.examples { try LabelledText.read($0, fields: fields) }
    let classifier = try OpenedClassifier(input, kind: .sequences) {
      try LabelSet(of: texts.training)
    }
    func dataSet(_ parts: [DataPart<LabelledText>]) throws -> LabelledDataSet {
      try LabelledDataSet(
        parts.flatMap { try classifier.dataSet($0).examples },
        source: parts.map(\.source).joined(separator: ", "))
    }
    self.classifier = classifier
    model = try classifier.pretrained.sequenceClassifier
    data = try dataSet(texts.training)
    evaluationFile = texts.heldOut?.first?.source
    evaluationData = try texts.heldOut.map(dataSet)
  }

  func trainer(
    training target: TrainingTarget, options: TrainingOptions
  ) throws -> Trainer<LabelledDataSet> {
    try Trainer(model, training: target, on: data, options: options, logger: WarningLog.logger)
  }

  func evaluate(training _: TrainingMethod) throws -> TaskMeasurement? {
    guard let evaluationData else { return nil }
    let evaluation = try model.evaluate(on: evaluationData)
    return TaskMeasurement(
      [
        ("loss", "loss", evaluation.loss), ("accuracy", "accuracy", evaluation.accuracy),
      ] + (evaluation.f1.map { [("f1", "F1", $0)] } ?? []))
  }

  func exampleLosses(mostTokens: Int) throws -> ExampleLosses? {
    try model.exampleLosses(
      of: data, tokenizer: try? pretrained.tokenizer(), mostTokens: mostTokens)
  }

  var heldOut: DataSummary? {
    evaluationData.map { DataSummary($0, source: evaluationFile ?? "") }
  }
}

extension OpenedClassifier {
  /// The examples of a part of the data.
  func dataSet(_ part: DataPart<LabelledText>) throws -> LabelledDataSet {
    try dataSet(part.source) {
      try LabelledDataSet.encoding(
        part.examples, labels: labels, tokenizer: $0, longest: $1, longExamples: $2,
        source: part.source)
    }
  }
}
