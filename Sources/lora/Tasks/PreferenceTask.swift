import LoRAFormats
import LoRAKit

/// Preferring some completions of prompts to others.
struct PreferenceTask: TrainingTask {
  let pretrained: PretrainedModel
  private let base: any PretrainedLanguageModel
  private let data: PreferenceDataSet
  private let evaluationData: PreferenceDataSet?
  private let loss: PreferenceLoss
  /// What the base says of the data that is not learned from: the same at each evaluation.
  private let reference = PreferenceReference()

  init(_ input: TaskInput, _ options: PreferenceOptions) throws {
    let texts = try PreferenceText.read(input.data)
    pretrained = try input.model.load()
    let base = try pretrained.languageModel
    let tokenizer = try pretrained.tokenizer()
    if let text = pretrained.endOfTextWarning(with: tokenizer) {
      StandardError.line("warning: \(text)")
    }
    let longest = try input.examples.longest(for: base)
    func dataSet(_ texts: [PreferenceText], _ file: String) throws -> PreferenceDataSet {
      let (data, notes) = try PreferenceDataSet.encoding(
        texts, tokenizer: tokenizer, longest: longest,
        longExamples: input.examples.longRows ?? .truncate, source: file)
      for note in notes { StandardError.line("note: \(file): \(note)") }
      return data
    }
    self.base = base
    data = try dataSet(texts, input.data)
    loss = options.loss(ofPairs: data.arePairs)
    evaluationData = try input.evalData.map { try dataSet(PreferenceText.read($0), $0) }
    try evaluationData?.check(for: base, loss: loss)
  }

  var groupsByLength: Bool { false }

  func complete(_ recipe: PEFTAdapterConfiguration) -> PEFTAdapterConfiguration {
    TextTask.complete(recipe, for: base)
  }

  func trainer(
    training target: TrainingTarget, options: TrainingOptions
  ) throws -> Trainer<PreferenceDataSet> {
    try Trainer(
      base, training: target, on: data, loss: loss, options: options, logger: WarningLog.logger)
  }

  func evaluate(training _: TrainingMethod) throws -> TaskMeasurement? {
    guard let evaluationData else { return nil }
    let evaluation = try base.evaluate(on: evaluationData, loss: loss, reference: reference)
    return TaskMeasurement([
      ("loss", "loss", evaluation.loss), ("margin", "margin", evaluation.margin),
      ("accuracy", "accuracy", evaluation.accuracy),
    ])
  }

  var heldOut: DataSummary? {
    evaluationData.map { DataSummary($0, source: $0.source) }
  }
}
