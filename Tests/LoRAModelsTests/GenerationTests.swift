import LoRAArchitectures
import LoRAAutograd
import LoRATensor
import LoRATesting
import LoRAText
import Testing

@testable import LoRAModels

/// Ways of generating the same tokens: behind kept texts, by guesses, in a batch; and how a text ends.
@Suite struct GenerationTests {
  static let architectures: [Architecture] = [.llama, .gemma2, .gpt2]
  static let choices: [AdapterSelection] = [[:], ["a": 1], ["a": 0.4, "b": -0.5]]

  /// A model with adapters "a" and "b", and keys before those of all tokens, "p".
  static func model(_ architecture: Architecture) throws -> any PretrainedLanguageModel {
    var configuration = TinyModels.configuration(architecture)
    configuration.maximumPositions = 96
    if architecture == .gemma2 { configuration.slidingWindows = [5, nil] }
    let model = try configuration.randomLanguageModel(standardDeviation: 0.2, seed: 3)
    model.setTrainable(false)
    for (index, name) in ["a", "b"].enumerated() {
      try model.inject(LoRA(rank: 2 + index, alpha: 5), named: name, into: .allLinear, seed: 1)
      randomize(model, name, seed: UInt64(index + 5))
    }
    try model.inject(PrefixTuning(count: 3), named: "p", seed: 2)
    return model
  }

  private static func randomize(_ model: any LanguageModel, _ name: String, seed: UInt64) {
    for (path, parameter) in model.adapterParameters(named: name) {
      var random = SeededRandom(seed: seed, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.3)
    }
  }

  /// A prompt that says some things twice.
  static func prompt(_ model: any LanguageModel, seed: UInt64 = 0) -> [Int] {
    var random = SeededRandom(seed: seed, path: "prompt")
    let some = (0..<12).map { _ in Int.random(in: 3..<model.vocabularySize, using: &random) }
    return some + some.prefix(7) + some
  }

  private func all(_ session: GenerationSession) throws -> [Int] {
    var tokens: [Int] = []
    while let token = try session.next() { tokens.append(token) }
    return tokens
  }

  // MARK: Prompt caches

  @Test(arguments: architectures) func keptTextsChangeNothing(architecture: Architecture) throws {
    let model = try Self.model(architecture)
    let cache = PromptCache()
    let options = GenerationOptions(maximumTokens: 12)
    for choice in Self.choices + [["p": 1]] {
      var history = Self.prompt(model)
      var expectedCount = 0
      // Turns of a conversation: each begins with all that was said.
      for turn in 0..<3 {
        let session = try GenerationSession(
          model, prompt: history, options: options, adapters: choice, promptCache: cache)
        #expect(session.cachedTokenCount == expectedCount)
        let tokens = try all(session)
        #expect(tokens == (try model.generate(after: history, options: options, adapters: choice)))
        // The last token was never passed.
        expectedCount = history.count + tokens.count - 1
        history += tokens + [4 + turn, 9]
      }
      // The same beginning, and another end.
      let other = history.prefix(20) + [5, 6, 7]
      let session = try GenerationSession(
        model, prompt: Array(other), options: options, adapters: choice, promptCache: cache)
      #expect(session.cachedTokenCount >= 20)
      #expect(
        try all(session)
          == (try model.generate(after: Array(other), options: options, adapters: choice)))
    }
  }

  @Test func whatFilledATextIsItsKey() throws {
    let model = try Self.model(.llama)
    let cache = PromptCache()
    let prompt = Self.prompt(model)
    func cached(_ choice: AdapterSelection?, _ model: any LanguageModel) throws -> Int {
      let session = try GenerationSession(
        model, prompt: prompt, options: GenerationOptions(maximumTokens: 2), adapters: choice,
        promptCache: cache)
      _ = try all(session)
      return session.cachedTokenCount
    }
    let most = prompt.count - 1
    #expect(try cached(["a": 1], model) == 0)
    #expect(try cached(["a": 1], model) == most)
    // Another strength, another adapter, none, both.
    for choice: AdapterSelection in [["a": 0.5], ["b": 1], [:], ["a": 1, "b": 1], ["p": 1]] {
      #expect(try cached(choice, model) == 0, "\(choice)")
      #expect(try cached(choice, model) == most, "\(choice)")
    }
    // Other numbers under the same name.
    Self.randomize(model, "a", seed: 77)
    #expect(try cached(["a": 1], model) == 0)
    #expect(try cached([:], model) == most)
    // Another version of the adapter.
    try model.swapAdapter("a", for: try model.describeAdapter("b"))
    #expect(try cached(["a": 1], model) == 0)
    // Weights of the model's own.
    let weight = try #require(model.namedParameters().first { $0.path.hasSuffix("q_proj.weight") })
    weight.parameter.value = weight.parameter.value + weight.parameter.value
    #expect(try cached([:], model) == 0)
    // Another model of the same shape, and merged adapters, of which nothing is known.
    #expect(try cached([:], try Self.model(.llama)) == 0)
    try model.mergeAdapters(["b": 1])
    #expect(try cached(nil, model) == 0)
    #expect(try cached(nil, model) == 0)
  }

  @Test func textsOfThePastMakeRoom() throws {
    let model = try Self.model(.llama)
    let prompts = (0..<3).map { Self.prompt(model, seed: UInt64($0)) }
    let options = GenerationOptions(maximumTokens: 3)
    func run(_ prompt: [Int], _ cache: PromptCache) throws -> Int {
      let session = try GenerationSession(
        model, prompt: prompt, options: options, adapters: [:], promptCache: cache)
      _ = try all(session)
      return session.cachedTokenCount
    }
    let large = PromptCache()
    for prompt in prompts { _ = try run(prompt, large) }
    #expect(large.count == 3)
    let cache = PromptCache(maximumBytes: large.byteCount * 2 / 3)
    for prompt in prompts { _ = try run(prompt, cache) }
    #expect(cache.count == 2)
    #expect(try run(prompts[2], cache) == prompts[2].count - 1)
    #expect(try run(prompts[0], cache) == 0)
    #expect(try run(prompts[1], cache) == 0)
    // The last text is kept, whatever it takes.
    let least = PromptCache(maximumBytes: 0)
    #expect(try run(prompts[0], least) == 0)
    #expect(try run(prompts[0], least) == prompts[0].count - 1)
    least.removeAll()
    #expect(least.count == 0 && least.byteCount == 0)
  }

  @Test(arguments: architectures) func batchesShareKeptTexts(architecture: Architecture) throws {
    let model = try Self.model(architecture)
    let cache = PromptCache()
    let start = Self.prompt(model)
    let requests = Self.choices.enumerated().map { index, choice in
      GenerationRequest(
        prompt: start + [5 + index], options: GenerationOptions(maximumTokens: 4 + index),
        adapters: choice)
    }
    for round in 0..<2 {
      let batch = GenerationBatch(model, promptCache: cache)
      let ids = try requests.map { try batch.add($0) }
      var found: [Int: [Int]] = [:]
      while !batch.isFinished {
        for (id, token) in try batch.step() {
          guard let token else { continue }
          found[id, default: []].append(token)
          #expect(batch.lastChoice(of: id)?.token == token)
        }
      }
      for (id, request) in zip(ids, requests) {
        #expect(
          found[id]
            == (try model.generate(
              after: request.prompt, options: request.options, adapters: request.adapters)),
          "round \(round)")
      }
    }
    #expect(cache.count == 3)
  }

  // MARK: Guesses

  @Test(arguments: architectures) func guessesChangeNothing(architecture: Architecture) throws {
    let model = try Self.model(architecture)
    for choice in Self.choices + [["p": 1]] {
      for temperature: Float in [0, 0.7] {
        var options = GenerationOptions(maximumTokens: 40, temperature: temperature, seed: 3)
        let prompt = Self.prompt(model)
        let plain = try GenerationSession(model, prompt: prompt, options: options, adapters: choice)
        let expected = try all(plain)
        #expect(plain.passCount == expected.count)
        for guesses in [1, 3, 10] {
          options.guesses = guesses
          let session = try GenerationSession(
            model, prompt: prompt, options: options, adapters: choice)
          #expect(try all(session) == expected)
          #expect(session.end == .length)
          #expect(session.passCount <= expected.count)
        }
      }
    }
  }

  /// A greedy text that runs in circles takes a fraction of the passes; a stop token ends it where it would
  /// end without guesses; and penalties count the tokens that guesses brought.
  @Test func guessesSavePasses() throws {
    let model = try Self.model(.llama)
    let prompt = Self.prompt(model)
    var options = GenerationOptions(maximumTokens: 60)
    let expected = try model.generate(after: prompt, options: options, adapters: [:])
    options.guesses = 8
    let session = try GenerationSession(model, prompt: prompt, options: options, adapters: [:])
    #expect(try all(session) == expected)
    #expect(session.passCount < expected.count * 3 / 4)

    let stop = try #require(expected.last { $0 != expected.first })
    options.stopTokens = [stop]
    let stopped = try GenerationSession(model, prompt: prompt, options: options, adapters: [:])
    #expect(try all(stopped) == Array(expected.prefix { $0 != stop }))
    #expect(stopped.end == .stopToken(stop))

    (options.stopTokens, options.frequencyPenalty, options.repetitionPenalty) = ([], 0.3, 1.1)
    let penalized = try model.generate(after: prompt, options: options, adapters: [:])
    options.guesses = 0
    #expect(penalized == (try model.generate(after: prompt, options: options, adapters: [:])))
    #expect(penalized != expected)
  }

  @Test func looksForTheLongestRun() {
    func guesses(_ tokens: [Int], _ most: Int = 3) -> [Int] {
      PromptLookup.guesses(behind: tokens, most: most)
    }
    #expect(guesses([1, 2, 3, 4, 1, 2]) == [3, 4, 1])
    #expect(guesses([1, 2, 3, 4, 1, 2], 1) == [3])
    // The last place, but a longer run first.
    #expect(guesses([1, 2, 5, 1, 2, 6, 1, 2]) == [6, 1, 2])
    #expect(guesses([7, 1, 2, 5, 1, 2, 6, 7, 1, 2]) == [5, 1, 2])
    #expect(guesses([1, 2, 3, 1]) == [])
    #expect(guesses([]) == [] && guesses([1]) == [] && guesses([1, 1]) == [])
    #expect(guesses([1, 1, 1, 1]) == [1])
  }

  // MARK: Choices

  @Test func choicesTellWhatTheModelFoundLikely() throws {
    let model = try Self.model(.llama)
    let prompt = Self.prompt(model)
    var options = GenerationOptions(maximumTokens: 9)
    (options.logProbabilities, options.guesses, options.repetitionPenalty) = (2, 4, 1.3)
    let session = try GenerationSession(model, prompt: prompt, options: options, adapters: ["a": 1])
    #expect(session.lastChoice == nil)
    var tokens = prompt
    while let token = try session.next() {
      let choice = try #require(session.lastChoice)
      #expect(choice.token == token)
      let logits = try withoutGradients {
        try model.withAdapters(["a": 1]) {
          model(Tensor(tokens, shape: [1, tokens.count])).value[row: 0][row: tokens.count - 1]
        }
      }
      let expected = TokenChoice(token, logits, best: 2)
      #expect(choice.best.map(\.token) == expected.best.map(\.token))
      let difference = try #require(choice.logProbability) - #require(expected.logProbability)
      #expect(abs(difference) < 1e-5)
      tokens.append(token)
    }
    #expect(tokens.count == prompt.count + 9)
  }

  @Test func valuesWithoutAMeaningAreNamed() throws {
    let model = try Self.model(.llama)
    func expect(_ name: String, _ change: (inout GenerationOptions) -> Void) {
      var options = GenerationOptions()
      change(&options)
      #expect {
        try GenerationSession(model, prompt: [3], options: options)
      } throws: { error in
        guard case SequenceError.invalidOption(name, _, _) = error else { return false }
        return true
      }
    }
    expect("min-p") { $0.minP = 1.5 }
    expect("min-p") { $0.minP = .nan }
    expect("typical-p") { $0.typicalP = 0 }
    expect("repetition penalty") { $0.repetitionPenalty = 0 }
    expect("frequency penalty") { $0.frequencyPenalty = .infinity }
    expect("presence penalty") { $0.presencePenalty = .nan }
    expect("logit bias") { $0.logitBias = [1_000_000: 1] }
    expect("logit bias") { $0.logitBias = [1: .infinity] }
    expect("log probabilities") { $0.logProbabilities = -1 }
    expect("guesses") { $0.guesses = -1 }
  }
}
