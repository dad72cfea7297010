import LoRAKit

/// Telling labels of each word of a text apart, as names of people and places.
struct TokenClassificationTask: ClassifierTask {
  let classifier: OpenedClassifier
  private let model: any PretrainedTokenClassifier
  private let data: TaggedDataSet
  private let evaluationFile: String?
  private let evaluationData: TaggedDataSet?

  init(_ input: TaskInput) throws {
    let texts = try TaggedText.read(input.data)
    let classifier = try OpenedClassifier(input, kind: .tokens) {
      try LabelSet(of: texts, file: input.data)
    }
    func dataSet(_ texts: [TaggedText], _ file: String) throws -> TaggedDataSet {
      try classifier.dataSet(file) {
        try TaggedDataSet.encoding(
          texts, labels: classifier.labels, tokenizer: $0, longest: $1, longExamples: $2,
          source: file)
      }
    }
    self.classifier = classifier
    model = try classifier.pretrained.tokenClassifier
    data = try dataSet(texts, input.data)
    evaluationFile = input.evalData
    evaluationData = try input.evalData.map { try dataSet(TaggedText.read($0), $0) }
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
