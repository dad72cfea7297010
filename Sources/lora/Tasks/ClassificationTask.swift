import LoRAFormats
import LoRAKit

/// Telling labels of texts apart: one a text or, where the examples' labels are lists, several.
struct ClassificationTask: TrainingTask {
  let pretrained: PretrainedModel
  private let model: any PretrainedSequenceClassifier
  private let data: LabelledDataSet
  private let heldOut: LabelledDataSet?

  init(_ input: TaskInput) throws {
    let texts = try LabelledText.read(input.data)
    let path = input.model.path
    let known = try ClassifierOpening.labels(
      ofModel: path, adapter: input.initAdapter)
    let labels = try known ?? LabelSet(of: texts, file: input.data)
    guard labels.names.count > 1 || labels.isMultiLabel else {
      throw CommandError(
        "\(input.data): all examples have the label '\(labels.names.first ?? "")': there is nothing to "
          + "tell apart; give examples of others")
    }
    if let adapter = input.initAdapter {
      pretrained = try PretrainedModel(
        path: path, headOf: AdapterFile(path: adapter), type: input.model.dtype.type)
    } else {
      pretrained = try PretrainedModel(
        path: path, classifying: labels.names, isMultiLabel: labels.isMultiLabel,
        type: input.model.dtype.type, seed: input.seed)
    }
    model = try pretrained.sequenceClassifier
    let (tokenizer, longest) = (
      try pretrained.tokenizer(), try input.examples.longest(for: model)
    )
    let choice = input.examples.longRows
    func dataSet(_ texts: [LabelledText], _ file: String) throws -> LabelledDataSet {
      let (data, notes) = try LabelledDataSet.encoding(
        texts, labels: labels, tokenizer: tokenizer, longest: longest,
        longExamples: choice ?? .truncate, source: file)
      for note in notes { StandardError.line("note: \(file): \(note)") }
      return data
    }
    data = try dataSet(texts, input.data)
    heldOut = try input.evalData.map { try dataSet(LabelledText.read($0), $0) }
  }

  var headModules: [String] { pretrained.headModules }

  var filesBesideAdapter: [(name: String, content: [UInt8])] {
    pretrained.labelledConfiguration().map { [("config.json", $0)] } ?? []
  }

  func complete(_ recipe: PEFTAdapterConfiguration) -> PEFTAdapterConfiguration {
    pretrained.trainingHead(recipe)
  }

  func trainer(
    training target: TrainingTarget, options: TrainingOptions
  ) throws -> Trainer<LabelledDataSet> {
    try Trainer(model, training: target, on: data, options: options, logger: WarningLog.logger)
  }

  func evaluate(training _: TrainingMethod) throws -> TaskMeasurement? {
    guard let heldOut else { return nil }
    let evaluation = try model.evaluate(on: heldOut)
    return TaskMeasurement(
      [
        ("loss", "loss", evaluation.loss), ("accuracy", "accuracy", evaluation.accuracy),
      ] + (evaluation.f1.map { [("f1", "F1", $0)] } ?? []))
  }
}

/// Opening classifiers whose head is in the model's files, or in an adapter's.
enum ClassifierOpening {
  /// The labels that the model at `path`, or the adapter's head, tells apart; nil where neither has a head.
  static func labels(ofModel path: String, adapter: String?) throws -> LabelSet? {
    guard let base = try PretrainedModel.configuration(at: path) else { return nil }
    if base.isSequenceClassifier, !base.classNames.isEmpty {
      return LabelSet(names: base.labels, isMultiLabel: base.isMultiLabel)
    }
    guard let adapter, let head = try AdapterFile(path: adapter).labels(of: base) else {
      return nil
    }
    return LabelSet(names: head.labels, isMultiLabel: head.isMultiLabel)
  }
}
