import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATraining
import Testing

/// One model, several tasks with different adapters at the same time. `Scripts/sanitize.sh` runs
/// this suite under ThreadSanitizer.
@Suite(.serialized) struct ConcurrencyTests {
  private let data: TokenDataSet

  init() throws {
    data = try TokenDataSet(sequences: patternSequences(6, length: 20, vocabulary: 64, seed: 20))
  }

  /// A tiny model with two adapters, "x" and "y", that change its outputs.
  private func prepared() throws -> any PretrainedLanguageModel {
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    for (index, name) in ["x", "y"].enumerated() {
      try model.attach(factors(seed: UInt64(index), on: model), named: name)
    }
    return model
  }

  /// Random low-rank factors for every linear layer but the head.
  private func factors(seed: UInt64, on model: any PretrainedLanguageModel) -> [String:
    any LinearAdapter]
  {
    var adapters: [String: any LinearAdapter] = [:]
    for (path, layer) in model.linearLayers() where layer !== model.head {
      var random = SeededRandom(seed: seed, path: path)
      adapters[path] = LoRAAdapter(
        a: Parameter(
          random.normal([2, layer.inputSize], standardDeviation: 0.2), isTrainable: false),
        b: Parameter(
          random.normal([layer.outputSize, 2], standardDeviation: 0.2), isTrainable: false),
        scale: 2)
    }
    return adapters
  }

  private func train(on model: any PretrainedLanguageModel) throws -> [Tensor] {
    try model.inject(LoRA(rank: 4, alpha: 8, dropout: 0.1), named: "z", seed: 3)
    let options = TrainingOptions(duration: .epochs(4), batchSize: 3, learningRate: 1e-2, seed: 3)
    try Trainer(model, training: .adapter("z"), on: data, options: options).run()
    return model.adapterParameters(named: "z").map(\.parameter.value)
  }

  private func generate(_ model: any PretrainedLanguageModel, _ name: String) async throws -> [Int]
  {
    var tokens: [Int] = []
    let options = GenerationOptions(maximumTokens: 24)
    for try await token in try model.tokens(
      after: [1, 5, 9], options: options, adapters: AdapterSelection(name))
    {
      tokens.append(token)
    }
    return tokens
  }

  @Test func tasksDoNotSeeEachOther() async throws {
    let separate = try prepared()
    let x = try separate.withAdapters(["x": 1]) { try separate.evaluate(on: data) }
    let y = try separate.withAdapters(["y": 1]) { try separate.evaluate(on: data) }
    let texts = (try await generate(separate, "x"), try await generate(separate, "y"))
    let trained = try train(on: separate)
    #expect(x != y)

    let model = try prepared()
    func use(_ name: String) async throws -> (Set<Evaluation>, Set<[Int]>) {
      var evaluations: Set<Evaluation> = []
      var generations: Set<[Int]> = []
      for _ in 0..<8 {
        evaluations.insert(
          try model.withAdapters(AdapterSelection(name)) { try model.evaluate(on: data) })
        generations.insert(try await generate(model, name))
      }
      return (evaluations, generations)
    }
    async let first = use("x")
    async let second = use("y")
    async let third = Task { try train(on: model) }.value
    let (usedX, usedY, values) = try await (first, second, third)
    #expect(usedX == ([x], [texts.0]))
    #expect(usedY == ([y], [texts.1]))
    #expect(values == trained)
  }

  /// A swap under load: every pass sees the old adapter or the new one, in all layers.
  @Test func aSwapNeverMixesVersions() async throws {
    let model = try prepared()
    let (old, new) = (factors(seed: 0, on: model), factors(seed: 7, on: model))
    let before = try model.withAdapters(["x": 1]) { try model.evaluate(on: data) }
    try model.swapAdapter("x", for: new)
    let after = try model.withAdapters(["x": 1]) { try model.evaluate(on: data) }
    #expect(before != after)

    let swapping = Task {
      var swaps = 0
      while !Task.isCancelled {
        try model.swapAdapter("x", for: swaps.isMultiple(of: 2) ? old : new)
        swaps += 1
        await Task.yield()
      }
      return swaps
    }
    for _ in 0..<40 {
      let seen = try model.withAdapters(["x": 1]) { try model.evaluate(on: data) }
      #expect(seen == before || seen == after)
      await Task.yield()
    }
    swapping.cancel()
    #expect(try await swapping.value > 0)
  }

  @Test func cancellationEndsAGeneration() async throws {
    let model = try prepared()
    let task = Task {
      var count = 0
      for try await _ in try model.tokens(
        after: [1], options: GenerationOptions(maximumTokens: 60))
      {
        count += 1
        if count == 3 { withUnsafeCurrentTask { $0?.cancel() } }
      }
      return count
    }
    #expect(try await task.value == 3)
  }
}
