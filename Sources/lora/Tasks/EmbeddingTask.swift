import LoRAFiles
import LoRAFormats
import LoRAKit

/// Vectors that are close for texts that mean the same: pairs of texts, or texts with the same label.
struct EmbeddingTask: TrainingTask {
  let pretrained: PretrainedModel
  private let encoder: SentenceEncoder
  let data: PairDataSet
  /// What vectors are searched for: the texts of pairs are labelled by their pair.
  private let evaluationTexts: (texts: [String], labels: [Int])?

  init(_ input: TaskInput) throws {
    pretrained = try input.model.load()
    encoder = try Self.encoder(pretrained, input)
    let fields = input.examples.records.fields
    let texts = try input.examples { try LabelledText.read($0, fields: fields) }
    let tokenizer = try pretrained.tokenizer()
    let encoder = encoder
    func ids(_ text: String) -> [Int] { encoder.encode(text, tokenizer: tokenizer).encoding.ids }
    let learned = texts.training.flatMap(\.examples)
    if learned.allSatisfy({ $0.second != nil }) {
      data = try PairDataSet(
        learned.map { PairDataSet.Example(ids($0.text), ids($0.second ?? "")) },
        source: input.data.names)
    } else {
      data = try PairDataSet(
        sequences: learned.map { ids($0.text) }, labels: try Self.labels(of: texts.training),
        seed: input.seed, source: input.data.names)
    }
    evaluationTexts = try texts.heldOut.map { parts in
      let texts = parts.flatMap(\.examples)
      guard texts.allSatisfy({ $0.second != nil }) else {
        return (texts.map(\.text), try Self.labels(of: parts))
      }
      return (
        texts.flatMap { [$0.text, $0.second ?? ""] }, texts.indices.flatMap { [$0, $0] }
      )
    }
  }

  /// The encoder of a model, for texts as long as the options of `input` allow.
  static func encoder(
    _ pretrained: PretrainedModel, _ input: TaskInput
  ) throws -> SentenceEncoder {
    let own = try SentenceEncoder(pretrained)
    return SentenceEncoder(
      own.model, pooling: own.pooling, isNormalized: own.isNormalized,
      longestText: min(own.longestText, try input.examples.longest(for: pretrained.model)),
      prompt: own.prompt)
  }

  private static let remedy = "give pairs (text, text_pair) or labelled texts (text, label)"

  /// The number of each text's label. Throws for a pair, or a text without a label.
  static func labels(of parts: [DataPart<LabelledText>]) throws -> [Int] {
    for part in parts {
      if let pair = part.examples.first(where: { $0.second != nil }) {
        throw FormatError(
          .typeMismatch, file: part.source, subject: "line \(pair.line)",
          problem: "it is a pair of texts, and others are not",
          remedy: remedy)
      }
      if let alone = part.examples.first(where: { $0.labels == nil }) {
        throw FormatError(
          .missingKey, file: part.source, subject: "line \(alone.line)",
          problem: "it has neither 'text_pair' nor 'label'", remedy: remedy)
      }
    }
    let labels = try LabelSet(of: parts)
    return try parts.flatMap { part in
      try part.examples.map { text in
        guard let label = try labels.numbers(of: text, file: part.source).first else {
          throw FormatError(
            .invalidValue, file: part.source, subject: "line \(text.line)",
            problem: "it has no label")
        }
        return label
      }
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
