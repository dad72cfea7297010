import LoRAArchitectures
import LoRAAutograd
import LoRATensor
import LoRATesting
import LoRAText
import Testing

@testable import LoRAModels

/// Texts that are longer than a window, a context, or the model's positions.
@Suite struct ForgettingTests {
  // MARK: Layers with windows

  private static func windowed(_ windows: [Int?]) throws -> any PretrainedLanguageModel {
    var configuration = TinyModels.configuration(.gemma2)
    configuration.maximumPositions = 4096
    configuration.slidingWindows = windows
    let model = try configuration.randomLanguageModel(standardDeviation: 0.2, seed: 3)
    model.setTrainable(false)
    return model
  }

  /// The hidden states of pieces, one behind the other.
  private func states(
    _ model: any LanguageModel, _ tokens: Tensor, pieces: [Int], _ cache: KeyValueCache
  ) -> Tensor {
    withoutGradients {
      var position = 0
      let states = pieces.map { count in
        defer { position += count }
        return model.hiddenStates(
          tokens.sliced(axis: 1, position..<position + count), cache: cache)
      }
      return Variable.concatenated(states, axis: 1).value
    }
  }

  /// A layer keeps its window and a little more, whatever the lengths of the passes; the numbers are those
  /// of one pass of the whole sequence.
  @Test(arguments: [[5, nil], [200, 33], [1, 700]] as [[Int?]])
  func layersKeepTheirWindows(windows: [Int?]) throws {
    let model = try Self.windowed(windows)
    let pieces = [700, 1, 1, 3, 300, 1] + Array(repeating: 1, count: 400) + [17, 90]
    let count = pieces.reduce(0, +)
    let tokens = TinyModels.tokens([1, count])
    let whole = withoutGradients { model.hiddenStates(tokens, cache: nil).value }
    let cache = KeyValueCache(layerCount: model.layerCount, capacity: 4096)
    let found = states(model, tokens, pieces: pieces, cache)
    let comparison = compare(found, to: whole)
    #expect(comparison.isWithin(relative: 1e-5), "\(comparison)")
    #expect(cache.count == count)
    let sequence = cache.sequences[0]
    for (layer, window) in windows.enumerated() {
      let held = try #require(sequence.held(layer: layer))
      let most = window.map { max(90 + $0, $0 + 64 + CachedSequence.chunk) } ?? 4096
      #expect(held.keys.shape[0] <= most, "\(held.keys.shape[0]) rows for \(window ?? 0)")
      #expect((held.start == 0) == (window == nil))
    }
  }

  /// 3,000 positions of a window of 64 in the memory of 384.
  @Test func memoryOfAWindow() throws {
    let model = try Self.windowed([64, 64])
    let cache = KeyValueCache(layerCount: model.layerCount, capacity: 4096)
    let tokens = TinyModels.tokens([1, 3000])
    _ = states(model, tokens, pieces: Array(repeating: 100, count: 30), cache)
    let shape = try #require(cache.sequences[0].held(layer: 0)).keys.shape
    let row = shape[1] * shape[2] * MemoryLayout<Float>.size
    #expect(cache.sequences[0].byteCount <= 2 * 2 * (64 + 64 + CachedSequence.chunk) * row)
  }

  /// What has been dropped is computed again where a text goes on from further back.
  @Test func keptTextsThatDroppedWhatIsNeeded() throws {
    let model = try Self.windowed([20, nil])
    let cache = PromptCache()
    var random = SeededRandom(seed: 1, path: "prompt")
    let prompt = (0..<900).map { _ in Int.random(in: 3..<model.vocabularySize, using: &random) }
    let options = GenerationOptions(maximumTokens: 500)
    func run(_ prompt: [Int]) throws -> (cached: Int, tokens: [Int]) {
      let session = try GenerationSession(
        model, prompt: prompt, options: options, adapters: [:], promptCache: cache)
      var tokens: [Int] = []
      while let token = try session.next() { tokens.append(token) }
      return (session.cachedTokenCount, tokens)
    }
    let first = try run(prompt)
    #expect(first.cached == 0)
    #expect(try run(prompt + first.tokens + [7]).cached == prompt.count + first.tokens.count - 1)
    let again = try run(prompt)
    #expect(again.cached == 0 && again.tokens == first.tokens)
  }

  // MARK: Generations that forget

  static let choices: [AdapterSelection] = [[:], ["a": 1], ["p": 1]]

  private func options(_ count: Int, _ context: ContextWindow?) -> GenerationOptions {
    var options = GenerationOptions(maximumTokens: count)
    options.context = context
    return options
  }

  /// Every token is the one of a fresh generation behind what is remembered, which is the first tokens and
  /// the newest of all.
  @Test(arguments: GenerationTests.architectures, choices)
  func theRestIsThatOfWhatRemains(architecture: Architecture, choice: AdapterSelection) throws {
    let model = try GenerationTests.model(architecture)
    let prompt = GenerationTests.prompt(model)
    let positions = try model.withAdapters(choice) { model.maximumPositions }
    for (limit, kept) in [(40, 4), (33, 0), (nil, 7), (2, 0)] as [(Int?, Int)] {
      var prompt = prompt
      if limit == 2 { prompt = [5, 9] }
      let window = ContextWindow(limit: limit, kept: kept)
      let session = try GenerationSession(
        model, prompt: prompt, options: options(150, window), adapters: choice,
        promptCache: PromptCache())
      var all = prompt
      var fresh: [Int] = []
      var times = 0
      while true {
        let forgotten = session.forgottenTokenCount
        guard let token = try session.next() else { break }
        if session.forgottenTokenCount > forgotten || fresh.isEmpty {
          times += session.forgottenTokenCount > forgotten ? 1 : 0
          let seen = Array(session.tokens.dropLast())
          #expect(seen == Array(all.prefix(kept) + all.suffix(seen.count - kept)))
          #expect(seen.count == all.count - session.forgottenTokenCount)
          let most = limit ?? positions
          #expect(seen.count < most || times == 0 && seen.count <= most)
          fresh = try model.generate(
            after: seen, options: options(most + 1 - seen.count, nil), adapters: choice)
        }
        #expect(token == (try #require(fresh.first)))
        fresh.removeFirst()
        all.append(token)
      }
      #expect(all.count == prompt.count + 150 && times >= 1)
      #expect(session.end == .length)
    }
  }

  /// Guesses and batches forget at the same places.
  @Test(arguments: GenerationTests.architectures)
  func everyWayForgetsTheSame(architecture: Architecture) throws {
    let model = try GenerationTests.model(architecture)
    let prompts = (0..<3).map { Array(GenerationTests.prompt(model, seed: $0).prefix(20)) }
    let requests = zip(prompts, Self.choices).enumerated().map { index, request in
      GenerationRequest(
        prompt: request.0, options: options(70 + index, ContextWindow(limit: 30 + index, kept: 3)),
        adapters: request.1)
    }
    let expected = try requests.map {
      try model.generate(after: $0.prompt, options: $0.options, adapters: $0.adapters)
    }
    #expect(expected.map(\.count) == [70, 71, 72])
    #expect(try model.generate(requests) == expected)
    for (request, expected) in zip(requests, expected) {
      var options = request.options
      options.guesses = 5
      let guessed = try model.generate(
        after: request.prompt, options: options, adapters: request.adapters)
      #expect(guessed == expected)
    }
  }

  @Test func longPromptsAreShortened() throws {
    let model = try GenerationTests.model(.llama)
    let prompt = (0..<200).map { 3 + $0 % 20 }
    let window = ContextWindow(limit: 50, kept: 6)
    let session = try GenerationSession(model, prompt: prompt, options: options(5, window))
    #expect(session.tokens == Array(prompt[..<6] + prompt[178...]))
    #expect(session.forgottenTokenCount == 172)
    #expect(throws: SequenceError.self) {
      try GenerationSession(model, prompt: prompt, options: options(5, nil))
    }
  }

  @Test(arguments: [
    ContextWindow(limit: 1), ContextWindow(limit: -3), ContextWindow(limit: 10, kept: 9),
    ContextWindow(limit: 10, kept: -1), ContextWindow(kept: 95),
  ])
  func windowsWithoutRoomAreNamed(window: ContextWindow) throws {
    let model = try GenerationTests.model(.llama)
    #expect {
      try GenerationSession(model, prompt: [3], options: options(5, window))
    } throws: { error in
      guard case SequenceError.invalidOption(let name, _, _) = error else { return false }
      return name.hasPrefix("the context's")
    }
  }
}
