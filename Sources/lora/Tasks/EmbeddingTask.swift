import LoRAFiles
import LoRAFormats
import LoRAKit

/// Vectors that are close for texts that mean the same: pairs of texts, or texts with the same label.
struct EmbeddingTask: TrainingTask {
  let pretrained: PretrainedModel
  private let encoder: SentenceEncoder
  private let data: PairDataSet
  /// What vectors are searched for: the texts of pairs are labelled by their pair.
  private let evaluationTexts: (texts: [String], labels: [Int])?

  init(_ input: TaskInput) throws {
    pretrained = try input.model.load()
    let own = try SentenceEncoder(pretrained)
    encoder = SentenceEncoder(
      own.model, pooling: own.pooling, isNormalized: own.isNormalized,
      longestText: min(own.longestText, try input.examples.longest(for: pretrained.model)),
      prompt: own.prompt)
    let texts = try LabelledText.read(input.data)
    let tokenizer = try pretrained.tokenizer()
    let encoder = encoder
    func ids(_ text: String) -> [Int] { encoder.encode(text, tokenizer: tokenizer).encoding.ids }
    if texts.allSatisfy({ $0.second != nil }) {
      data = try PairDataSet(
        texts.map { PairDataSet.Example(ids($0.text), ids($0.second ?? "")) }, source: input.data)
    } else {
      data = try PairDataSet(
        sequences: texts.map { ids($0.text) }, labels: try Self.labels(of: texts, input.data),
        seed: input.seed, source: input.data)
    }
    evaluationTexts = try input.evalData.map { file in
      let texts = try LabelledText.read(file)
      guard texts.allSatisfy({ $0.second != nil }) else {
        return (texts.map(\.text), try Self.labels(of: texts, file))
      }
      return (
        texts.flatMap { [$0.text, $0.second ?? ""] }, texts.indices.flatMap { [$0, $0] }
      )
    }
  }

  private static let remedy = "give pairs (text, text_pair) or labelled texts (text, label)"

  private static func labels(of texts: [LabelledText], _ file: String) throws -> [Int] {
    if let pair = texts.first(where: { $0.second != nil }) {
      throw FormatError(
        .typeMismatch, file: file, subject: "line \(pair.line)",
        problem: "it is a pair of texts, and others are not",
        remedy: remedy)
    }
    if let alone = texts.first(where: { $0.labels == nil }) {
      throw FormatError(
        .missingKey, file: file, subject: "line \(alone.line)",
        problem: "it has neither 'text_pair' nor 'label'", remedy: remedy)
    }
    let labels = try LabelSet(of: texts, file: file)
    return try texts.map { text in
      guard let label = try labels.numbers(of: text, file: file).first else {
        throw FormatError(
          .invalidValue, file: file, subject: "line \(text.line)", problem: "it has no label")
      }
      return label
    }
  }

  func complete(_ recipe: PEFTAdapterConfiguration) -> PEFTAdapterConfiguration {
    var result = recipe
    result.taskType = "FEATURE_EXTRACTION"
    return result
  }

  func trainer(
    training target: TrainingTarget, options: TrainingOptions
  ) throws -> Trainer<PairDataSet> {
    try Trainer(encoder, training: target, on: data, options: options, logger: WarningLog.logger)
  }

  func evaluate(training _: TrainingMethod) throws -> TaskMeasurement? {
    guard let evaluationTexts else { return nil }
    let vectors = try encoder.embed(evaluationTexts.texts, tokenizer: pretrained.tokenizer())
    guard let recall = Retrieval.recallAtOne(of: vectors, labels: evaluationTexts.labels) else {
      return nil
    }
    return TaskMeasurement([("recall_at_1", "recall@1", recall)], highIsGood: true)
  }
}
