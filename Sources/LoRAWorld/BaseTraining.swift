public import LoRAKit

/// Makes the built-in base from nothing: the vocabulary, then the weights, from generated text.
///
/// The same code, seed and kernel family give the same bits; `Scripts/train-base.sh` runs it.
public struct BaseTraining: Sendable {
  /// How many tokens are trained on.
  public var tokenBudget = 6_000_000
  /// Tokens in an example: documents are packed one behind the other.
  public var exampleLength = 256
  /// Examples in a batch.
  public var batchSize = 4
  /// The largest learning rate, after the warm-up.
  public var learningRate = 2e-3
  /// What the text, the initial weights and the order depend on.
  public var seed: UInt64 = 1

  /// Creates the recipe that the shipped base was made with.
  public init() {}

  /// Trains, and writes the model to `path` in bfloat16 with its tokenizer.
  ///
  /// - Returns: how the written model, read back, answers the held-out questions.
  public func run(
    writingTo path: String, onStep: @escaping @Sendable (StepReport) -> Void
  ) throws -> Examination {
    let vocabulary = BytePairTrainer(
      vocabularySize: BuiltInBase.vocabularySize, specialTokens: [World.endOfText],
      beginningOfSequence: World.endOfText, endOfSequence: World.endOfText)
    let learned = try vocabulary.train(on: World.trainingDocuments(seed: seed, count: 40_000))
    let tokenizer = learned.tokenizer

    let configuration = BuiltInBase.configuration(vocabularySize: tokenizer.vocabularySize)
    let model = try configuration.randomLanguageModel(seed: seed)
    let options = TrainingOptions(
      duration: .epochs(1), batchSize: batchSize, learningRate: learningRate, schedule: .cosine,
      warmupSteps: 100, weightDecay: 0.1, beta2: 0.95, clipNorm: 1, seed: seed)
    let data = try TokenDataSet(examples: examples(tokenizer))
    let trainer = try Trainer(model, training: .full, on: data, options: options)
    try trainer.run {
      onStep($0)
      return .continue
    }
    try model.save(
      to: path, type: .bfloat16, generation: GenerationConfiguration(eosTokenIDs: [0]),
      otherFiles: [
        (name: "tokenizer.json", content: Array(learned.definition.utf8)),
        (name: "tokenizer_config.json", content: Array(learned.configuration.utf8)),
      ])
    let written = try PretrainedModel(path: path)
    return try Examiner(model: written.languageModel, tokenizer: tokenizer)
      .exactMatches(World.heldOutQuestions)
  }

  /// Documents one behind the other, each after an end of text, cut into examples.
  private func examples(_ tokenizer: TokenizerPipeline) -> [TrainingExample] {
    var examples: [TrainingExample] = []
    var tokens: [Int] = []
    let wanted = tokenBudget / exampleLength
    let endOfText = tokenizer.id(of: World.endOfText) ?? 0
    for document in World.trainingDocuments(seed: seed, count: .max) {
      tokens += [endOfText] + tokenizer.encode(document, addSpecialTokens: false)
      while tokens.count > exampleLength {
        // An example overlaps the next by one token, so that every token is predicted once.
        examples.append(TrainingExample(sequence: Array(tokens.prefix(exampleLength + 1))))
        tokens.removeFirst(exampleLength)
        if examples.count == wanted { return examples }
      }
    }
    return examples
  }
}
