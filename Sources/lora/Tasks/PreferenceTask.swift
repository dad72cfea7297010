import LoRAFormats
import LoRAKit

/// Preferring some completions of prompts to others.
struct PreferenceTask: TrainingTask {
  let pretrained: PretrainedModel
  private let base: any PretrainedLanguageModel
  let data: PreferenceDataSet
  private let evaluationData: PreferenceDataSet?
  private let loss: PreferenceLoss
  let filesBesideAdapter: [(name: String, content: [UInt8])]
  /// What the base says of the data that is not learned from: the same at each evaluation.
  private let reference = PreferenceReference()

  init(_ input: TaskInput, _ options: PreferenceOptions) throws {
    let records = input.examples.records
    let texts = try input.examples { try PreferenceText.read($0, fields: records.fields) }
    pretrained = try input.model.load()
    let base = try pretrained.languageModel
    let tokenizer = try pretrained.tokenizer()
    let pretrained = pretrained
    let chatFormat = { try Self.format(input, pretrained) }
    let isChat = texts.training.contains { $0.examples.contains { $0.chat != nil } }
    let warning =
      isChat
      ? (try? chatFormat()).flatMap { pretrained.endOfTurnWarning(with: $0) }
      : pretrained.endOfTextWarning(with: tokenizer)
    if let warning { StandardError.line("warning: \(warning)") }
    let longest = try input.examples.longest(for: base)
    func dataSet(_ parts: [DataPart<PreferenceText>]) throws -> PreferenceDataSet {
      try PreferenceDataSet(
        parts.flatMap { part in
          try Self.dataSet(part, input, longest: longest, tokenizer, chatFormat).examples
        },
        source: parts.map(\.source).joined(separator: ", "))
    }
    filesBesideAdapter = try records.template.filesBesideResult()
    self.base = base
    data = try dataSet(texts.training)
    loss = options.loss(ofPairs: data.arePairs)
    evaluationData = try texts.heldOut.map(dataSet)
    try evaluationData?.check(for: base, loss: loss)
  }

  /// The examples of a part of the data. Says what became of those that are too long.
  static func dataSet(
    _ part: DataPart<PreferenceText>, _ input: TaskInput, longest: Int, _ tokenizer: any Tokenizer,
    _ chatFormat: @escaping () throws -> ChatFormat
  ) throws -> PreferenceDataSet {
    let (data, notes) = try PreferenceDataSet.encoding(
      part.examples, tokenizer: tokenizer, longest: longest,
      longExamples: input.examples.longRows ?? .truncate, system: input.examples.records.system,
      source: part.source, chatFormat: chatFormat)
    for note in notes { StandardError.line("note: \(part.source): \(note)") }
    return data
  }

  /// How the model writes conversations, as the options of `input` have it.
  static func format(
    _ input: TaskInput, _ pretrained: PretrainedModel
  ) throws -> ChatFormat {
    try input.examples.records.template.format(
      of: pretrained, adapters: input.initAdapter.map { [$0] } ?? [])
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
