import LoRAKit

/// Telling labels of each word of a text apart, as names of people and places.
struct TokenClassificationTask: ClassifierTask {
  let classifier: OpenedClassifier
  private let model: any PretrainedTokenClassifier
  let data: TaggedDataSet
  private let evaluationFile: String?
  private let evaluationData: TaggedDataSet?

  init(_ input: TaskInput) throws {
    let fields = input.examples.records.fields
    let texts = try input.examples { try TaggedText.read($0, fields: fields) }
    let classifier = try OpenedClassifier(input, kind: .tokens) {
      try LabelSet(of: texts.training)
    }
    func dataSet(_ parts: [DataPart<TaggedText>]) throws -> TaggedDataSet {
      try TaggedDataSet(
        parts.flatMap { try classifier.dataSet($0).examples },
        source: parts.map(\.source).joined(separator: ", "))
    }
    self.classifier = classifier
    model = try classifier.pretrained.tokenClassifier
    data = try dataSet(texts.training)
    evaluationFile = texts.heldOut?.first?.source
    evaluationData = try texts.heldOut.map(dataSet)
  }

  func trainer(
    training target: TrainingTarget, options: TrainingOptions
  ) throws -> Trainer<TaggedDataSet> {
    try Trainer(model, training: target, on: data, options: options, logger: WarningLog.logger)
  }

  func evaluate(training _: TrainingMethod) throws -> TaskMeasurement? {
    guard let evaluationData else { return nil }
    let evaluation = try model.evaluate(on: evaluationData)
    return TaskMeasurement(
      [
        ("loss", "loss", evaluation.loss), ("accuracy", "accuracy", evaluation.accuracy),
      ] + (evaluation.entities.map { [("f1", "F1", $0.f1)] } ?? []))
  }

  var heldOut: DataSummary? {
    evaluationData.map { DataSummary($0, source: evaluationFile ?? "") }
  }
}

extension OpenedClassifier {
  /// The examples of a part of the data.
  func dataSet(_ part: DataPart<TaggedText>) throws -> TaggedDataSet {
    try dataSet(part.source) {
      try TaggedDataSet.encoding(
        part.examples, labels: labels, tokenizer: $0, longest: $1, longExamples: $2,
        source: part.source)
    }
  }
}
