import LoRAAutograd
import LoRAFormats
import LoRAModels
import LoRATensor
import LoRATraining
import Logging
import TestSupport
import Testing

/// Training a tiny language model: what repeats, what stays, what is refused.
@Suite(.serialized) struct LanguageModelTrainingTests {
  private func model(_ name: String = "llama-grouped") throws -> any PretrainedLanguageModel {
    try PretrainedModel(path: Fixtures.path("models/\(name)")).languageModel
  }

  private func sequences(_ count: Int = 24, seed: UInt64 = 0) -> [[Int]] {
    patternSequences(count, length: 20, vocabulary: 64, seed: seed).enumerated().map { index, ids in
      Array(ids.prefix(8 + index % 13))
    }
  }

  private func adapter(
    dropout: Float = 0.1, seed: UInt64 = 3, threads: Int = 2,
    on model: (any PretrainedLanguageModel)? = nil
  ) throws -> (values: [Tensor], losses: [Double]) {
    let before = Threads.count
    Threads.count = threads
    defer { Threads.count = before }
    let model = try model ?? self.model()
    try model.inject(LoRA(rank: 4, alpha: 8, dropout: dropout), named: "a", seed: seed)
    let options = TrainingOptions(
      duration: .epochs(2), batchSize: 4, accumulation: 2, learningRate: 1e-2, seed: seed)
    let result = try Trainer(
      model, training: .adapter("a"), on: TokenDataSet(sequences: sequences()), options: options
    ).run()
    return (model.adapterValues("a"), result.losses)
  }

  @Test func oneSeedGivesTheSameBits() throws {
    let first = try adapter(threads: 2)
    let again = try adapter(threads: 2)
    let alone = try adapter(threads: 1)
    #expect(first.values == again.values && first.losses == again.losses)
    #expect(first.values == alone.values && first.losses == alone.losses)
    let other = try adapter(seed: 4)
    #expect(first.values != other.values)
  }

  /// Hyperparameters that are in range, and too small for a step to reach any number of the model.
  @Test(arguments: [
    (1e-30, Float(8), Float(1), true), (1e-2, 1e-30, 1, true), (1e-2, 8, 1e-30, true),
    (1e-5, 8, 1, false),
  ])
  func aTrainingThatLearnsNothingSaysSo(
    learningRate: Double, alpha: Float, clipNorm: Float, isNothing: Bool
  ) throws {
    let model = try self.model()
    try model.inject(LoRA(rank: 4, alpha: alpha, dropout: 0.1), named: "a")
    let (logger, messages) = Logger.collecting()
    let options = TrainingOptions(
      duration: .steps(2), batchSize: 4, accumulation: 2, learningRate: learningRate,
      clipNorm: clipNorm)
    _ = try Trainer(
      model, training: .adapter("a"), on: TokenDataSet(sequences: sequences()), options: options,
      logger: logger
    ).run()
    #expect(messages.all.contains { $0.contains("nothing was learned") } == isNothing)
  }

  /// Full training computes in float32; each tensor is saved in the type that the base has it in, what
  /// was learned rounded once.
  @Test(arguments: [
    "llama-llama3-v4-float16-sharded", "qwen2-tied-v4-bfloat16", "gpt2-bfloat16", "llama-grouped",
  ])
  func fullTrainingKeepsTheStoredTypes(name: String) throws {
    let path = Fixtures.path("models/\(name)")
    let pretrained = try PretrainedModel(path: path)
    let options = TrainingOptions(duration: .steps(2), batchSize: 4, learningRate: 1e-2)
    _ = try Trainer(
      pretrained.languageModel, training: .full, on: TokenDataSet(sequences: sequences()),
      options: options
    ).run()
    let output = try ScratchFolder.make() + "/trained"
    try pretrained.save(to: output)
    let (base, result) = (try ModelDirectory(path: path), try ModelDirectory(path: output))
    #expect(Set(result.tensorNames) == Set(base.tensorNames))
    let trained = Dictionary(
      pretrained.model.namedParameters().map { ($0.path, $0.parameter.value) },
      uniquingKeysWith: { first, _ in first })
    let transposed = Set(
      pretrained.model.linearLayers().filter(\.layer.storesTransposedWeight)
        .map { "\($0.path).weight" })
    var learned = 0
    for tensor in base.tensorNames {
      let (old, new) = (try base.tensor(named: tensor), try result.tensor(named: tensor))
      #expect(new.dtype == old.dtype && new.shape == old.shape, "\(tensor)")
      guard let value = trained[tensor] else { continue }
      #expect(value.dtype == .float32, "\(tensor)")
      let laid = transposed.contains(tensor) ? value.transposed() : value
      #expect(new == laid.converted(to: old.dtype), "\(tensor)")
      if new != old { learned += 1 }
    }
    #expect(learned > 5, "\(learned) of \(trained.count)")
  }

  @Test func trainingLeavesTheBaseAlone() throws {
    let model = try self.model()
    let data = try TokenDataSet(sequences: sequences(4, seed: 9))
    let batch = data.batch(of: [0, 1, 2, 3])
    let untouched = model(batch.tokens).value
    let base = model.values
    _ = try adapter(on: model)
    #expect(model.values == base)
    #expect(model(batch.tokens).value != untouched)
    #expect(try model.withAdapters([:]) { model(batch.tokens).value } == untouched)
    try model.detach("a")
    #expect(model(batch.tokens).value == untouched)
  }

  @Test func dropoutIsForTrainingOnly() throws {
    let data = try TokenDataSet(sequences: sequences())
    let with = try adapter(dropout: 0.5)
    let without = try adapter(dropout: 0)
    // B starts at zero, so the first loss shows no dropout; later ones do.
    #expect(with.losses.dropFirst() != without.losses.dropFirst())
    let model = try self.model()
    try model.inject(LoRA(rank: 4, dropout: 0.5), named: "a")
    var random = SeededRandom(seed: 1)
    for (_, parameter) in model.adapterParameters(named: "a") {
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.1)
    }
    let once = try model.evaluate(on: data)
    #expect(try model.evaluate(on: data) == once)
    let other = try self.model()
    try other.inject(LoRA(rank: 4, dropout: 0), named: "a")
    for (new, old) in zip(other.adapterParameters(named: "a"), model.adapterParameters(named: "a"))
    {
      new.parameter.value = old.parameter.value
    }
    #expect(try other.evaluate(on: data) == once)
  }

  @Test func paddingChangesNoLoss() throws {
    let model = try self.model()
    let data = try TokenDataSet(sequences: sequences(9))
    var padded = data
    padded.paddingMultiple = 16
    padded.paddingToken = 5
    let alone = try model.evaluate(on: data, batchSize: 1)
    for evaluation in [
      try model.evaluate(on: data, batchSize: 4), try model.evaluate(on: padded, batchSize: 9),
    ] {
      #expect(abs(evaluation.nll - alone.nll) < 1e-5 && evaluation.tokens == alone.tokens)
    }
    #expect(abs(alone.perplexity.squareRoot() - (alone.nll / 2).exponential) < 1e-9)
  }

  @Test func accumulationWeighsTargetsEqually() throws {
    // Examples of different lengths: a mean of the batches' means would differ.
    func losses(_ batchSize: Int, _ accumulation: Int) throws -> [Double] {
      let model = try self.model()
      try model.inject(LoRA(rank: 2), named: "a")
      let options = TrainingOptions(
        duration: .epochs(3), batchSize: batchSize, accumulation: accumulation,
        learningRate: 1e-2, shuffles: false)
      return try Trainer(
        model, training: .adapter("a"), on: TokenDataSet(sequences: sequences()), options: options
      ).run().losses
    }
    #expect(largestRelativeDifference(try losses(2, 4), try losses(8, 1)) < 1e-5)
  }

  @Test func narrowWeightsAreWidenedForFullTraining() throws {
    let model = try model("llama-llama3-bfloat16")
    let narrow = model.namedParameters().map { ($0.path, $0.parameter.value) }
    #expect(narrow.contains { $0.1.dtype == .bfloat16 })
    model.prepareForFullTraining()
    for ((path, old), new) in zip(narrow, model.values) {
      #expect(new.dtype == .float32 && new == old.converted(to: .float32), "\(path)")
    }
    let data = try TokenDataSet(sequences: sequences())
    let result = try Trainer(
      model, training: .full, on: data,
      options: TrainingOptions(duration: .epochs(6), learningRate: 3e-3)
    ).run()
    #expect(try #require(result.losses.last) < 0.8 * result.losses[0])
  }

  @Test func anAdapterOnNarrowWeightsLearns() throws {
    let model = try model("llama-llama3-bfloat16")
    let base = model.values
    let result = try adapter(on: model)
    #expect(try #require(result.losses.last) < result.losses[0])
    #expect(model.values == base)
  }

  @Test func examplesThatTheModelCannotReadAreErrors() throws {
    let model = try self.model()
    try model.inject(LoRA(), named: "a")
    let size = model.vocabularySize
    func train(_ sequences: [[Int]]) throws {
      _ = try Trainer(model, training: .adapter("a"), on: TokenDataSet(sequences: sequences))
    }
    #expect(
      throws: TrainingError.tokenOutOfVocabulary(
        id: size, example: 1, position: 1, vocabulary: size)
    ) { try train([[1, 2], [1, size, 2]]) }
    #expect(
      throws: TrainingError.tokenOutOfVocabulary(
        id: size, example: 0, position: 2, vocabulary: size)
    ) { try train([[1, 2, size]]) }
    #expect(
      throws: TrainingError.tokenOutOfVocabulary(id: -3, example: 0, position: 0, vocabulary: size)
    ) { try train([[-3, 2]]) }
    let limit = model.maximumPositions
    try train([Array(repeating: 1, count: limit + 1)])
    #expect(throws: TrainingError.exampleTooLong(example: 0, length: limit + 1, limit: limit)) {
      try train([Array(repeating: 1, count: limit + 2)])
    }
    #expect(throws: TrainingError.exampleTooLong(example: 0, length: limit + 1, limit: limit)) {
      try model.evaluate(on: TokenDataSet(sequences: [Array(repeating: 1, count: limit + 2)]))
    }
  }

  @Test func aFrozenAdapterCannotBeTrained() throws {
    let model = try self.model()
    try model.loadAdapter(from: Fixtures.path("models/llama-grouped/adapter"), named: "a")
    #expect(throws: TrainingError.noTrainableParameters) {
      try Trainer(model, training: .adapter("a"), on: TokenDataSet(sequences: sequences()))
    }
  }
}

extension Double {
  /// `e` to this power, without the C library: a series is enough for a test.
  fileprivate var exponential: Double {
    var (sum, term) = (1.0, 1.0)
    for n in 1..<60 {
      term *= self / Double(n)
      sum += term
    }
    return sum
  }
}
