import Foundation
import LoRAFormats
import LoRAKit

/// Predicting the next token.
struct TextTask: TrainingTask {
  let pretrained: PretrainedModel
  private let base: any PretrainedLanguageModel
  let data: TokenDataSet
  private let evaluationData: TokenDataSet?
  private let prompts: SamplePrompts?
  /// What is learned beside the data.
  private let distillation: Distillation?
  let filesBesideAdapter: [(name: String, content: [UInt8])]

  init(_ input: TaskInput, _ distillation: DistillationOptions? = nil) throws {
    pretrained = try input.model.load()
    let reader = try input.examples.reader(
      for: pretrained, under: input.initAdapter.map { [$0] } ?? [])
    var (data, kept) = try reader.readTelling(input.data, split: input.split, tensor: "train")
    if let kept { input.tellSplit(kept.exampleCount, of: data.exampleCount) }
    data.isPacked = input.isPacked
    self.data = data
    StandardError.warnings(reader.endWarnings(for: pretrained))
    evaluationData =
      try kept ?? input.evalData.map { try reader.readTelling($0, tensor: "eval") }
      ?? reader.readTensors("eval", ifIn: input.data.map(\.path))
    base = try pretrained.languageModel
    self.distillation = try distillation?.objective(on: base, from: input.model.path)
    prompts = try Self.prompts(input, pretrained, asksAsUser: reader.hasChats)
    filesBesideAdapter = try input.examples.records.template.filesBesideResult()
  }

  /// The prompts of samples, in the words of the data: asked as a user asks where these are conversations.
  private static func prompts(
    _ input: TaskInput, _ pretrained: PretrainedModel, asksAsUser: Bool
  ) throws -> SamplePrompts? {
    guard input.reporting.givenSamples != nil else { return nil }
    let records = input.examples.records
    let made = Result {
      try records.template.format(
        of: pretrained, adapters: input.initAdapter.map { [$0] } ?? [])
    }
    let format = asksAsUser ? try made.get() : try? made.get()
    let tokenizer = try pretrained.tokenizer()
    var prompts = SamplePrompts(
      tokenizer: tokenizer, format: format, asksAsUser: asksAsUser, system: records.system)
    prompts.options = GenerationOptions(
      maximumTokens: input.reporting.sampleTokens,
      stopTokens: format.map { pretrained.stopTokens(with: $0) }
        ?? pretrained.stopTokens(with: tokenizer))
    try input.reporting.add(to: &prompts, fields: records.map ?? FieldMap())
    return prompts
  }

  func samples(after step: Int) throws -> [TrainingSample] {
    try prompts?.samples(of: base, after: step) ?? []
  }

  var groupsByLength: Bool { false }

  var chanceLoss: Double? { log(Double(base.vocabularySize)) }

  func complete(_ recipe: PEFTAdapterConfiguration) -> PEFTAdapterConfiguration {
    Self.complete(recipe, for: base)
  }

  /// A recipe with the task of a language model of one stack or two.
  static func complete(
    _ recipe: PEFTAdapterConfiguration, for base: any PretrainedLanguageModel
  ) -> PEFTAdapterConfiguration {
    var recipe = recipe
    if base.targetStart != nil { recipe.taskType = "SEQ_2_SEQ_LM" }
    return recipe
  }

  func trainer(
    training target: TrainingTarget, options: TrainingOptions
  ) throws -> Trainer<TokenDataSet> {
    if let distillation {
      return try Trainer(
        base, training: target, on: data, objective: distillation, options: options,
        logger: WarningLog.logger)
    }
    return try Trainer(
      base, training: target, on: data, options: options, logger: WarningLog.logger)
  }

  func evaluate(training _: TrainingMethod) throws -> TaskMeasurement? {
    guard let evaluationData else { return nil }
    return TaskMeasurement([("nll", "NLL", try base.evaluate(on: evaluationData).nll)])
  }

  var heldOut: DataSummary? { evaluationData.map { DataSummary($0, source: $0.source) } }

  func exampleLosses(mostTokens: Int) throws -> ExampleLosses? {
    try base.exampleLosses(
      of: data, tokenizer: try? pretrained.tokenizer(), mostTokens: mostTokens)
  }
}
