import LoRAArchitectures
import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

@testable import LoRAModels

/// Cached, batched, guessed and forgetful generations against passes of whole sequences: the same tokens,
/// each with the same log-probability to 1e-5, under adapters.
@Suite struct SameTokensTests {
  /// Rotary positions; windows; learned positions; experts.
  static let architectures: [Architecture] = [.llama, .gemma2, .gpt2, .mixtral]
  static let choices: [AdapterSelection] = [[:], ["a": 1], ["a": 0.4, "b": -0.5]]

  private struct Text: Equatable {
    var tokens: [Int] = []
    var logProbabilities: [Float] = []

    mutating func append(_ choice: TokenChoice?) throws {
      let choice = try #require(choice)
      tokens.append(choice.token)
      logProbabilities.append(try #require(choice.logProbability))
    }

    func difference(from other: Text) -> Float {
      zip(logProbabilities, other.logProbabilities).map { abs($0 - $1) }.max() ?? 0
    }
  }

  /// Every token by a pass of all before it, without a cache.
  private func uncached(
    _ model: any LanguageModel, _ request: GenerationRequest
  ) throws -> Text {
    var text = Text()
    var sampler = Sampler(request.options, behind: request.prompt)
    var tokens = request.prompt
    for _ in 0..<request.options.maximumTokens {
      let logits = try withoutGradients {
        try model.withAdapters(request.adapters) {
          model(Tensor(tokens, shape: [1, tokens.count])).value[row: 0]
        }
      }
      let choice = sampler.next(logits[rows: tokens.count - 1..<tokens.count])
      try text.append(choice)
      tokens.append(try #require(choice).token)
    }
    return text
  }

  private func text(
    _ model: any LanguageModel, _ request: GenerationRequest, _ cache: PromptCache? = nil
  ) throws -> Text {
    var text = Text()
    let session = try GenerationSession(
      model, prompt: request.prompt, options: request.options, adapters: request.adapters,
      promptCache: cache)
    while try session.next() != nil { try text.append(session.lastChoice) }
    return text
  }

  private func batched(
    _ model: any LanguageModel, _ requests: [GenerationRequest], _ cache: PromptCache? = nil
  ) throws -> [Text] {
    let batch = GenerationBatch(model, promptCache: cache)
    for request in requests { try batch.add(request) }
    var texts = requests.map { _ in Text() }
    while !batch.isFinished {
      for (id, token) in try batch.step() where token != nil {
        try texts[id].append(batch.lastChoice(of: id))
      }
    }
    return texts
  }

  @Test(arguments: architectures, [0, 0.8] as [Float])
  func everyWayGivesTheSame(architecture: Architecture, temperature: Float) throws {
    let model = try GenerationTests.model(architecture)
    let requests = Self.choices.enumerated().map { index, choice in
      var options = GenerationOptions(
        maximumTokens: 24 + 2 * index, temperature: temperature, seed: UInt64(index))
      options.logProbabilities = 0
      return GenerationRequest(
        prompt: GenerationTests.prompt(model, seed: UInt64(index)), options: options,
        adapters: choice)
    }
    let expected = try requests.map { try uncached(model, $0) }
    #expect(expected.allSatisfy { $0.logProbabilities.contains { $0 < -0.01 } })
    let cache = PromptCache()
    let ways: [(String, [Text])] = [
      ("cached", try requests.map { try text(model, $0) }),
      ("behind an empty prompt cache", try requests.map { try text(model, $0, cache) }),
      ("behind kept texts", try requests.map { try text(model, $0, cache) }),
      ("batched", try batched(model, requests)),
      ("batched behind kept texts", try batched(model, requests, cache)),
      (
        "guessed",
        try requests.map {
          var request = $0
          request.options.guesses = 6
          return try text(model, request)
        }
      ),
    ]
    for (name, texts) in ways {
      for (found, expected) in zip(texts, expected) {
        #expect(found.tokens == expected.tokens, "\(architecture), \(name)")
        let difference = found.difference(from: expected)
        #expect(difference < 1e-5, "\(architecture), \(name): \(difference)")
      }
    }
  }
}
