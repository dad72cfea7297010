import LoRAArchitectures
import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

@testable import LoRAModels

/// Decoding a few tokens at a time behind a cache against one pass over all of them.
@Suite struct DecodingTests {
  /// A model with every option that decoding has to follow.
  private static func model(
    _ architecture: Architecture, positions: Int = 64
  ) throws -> any PretrainedLanguageModel {
    var configuration = TinyModels.configuration(architecture)
    configuration.maximumPositions = positions
    switch architecture {
    case .llama:
      configuration[flag: "attention_output_bias"] = true
      configuration[flag: "mlp_bias"] = true
      configuration.hiddenActivation = "gelu"
    case .mistral, .gemma2, .qwen3: configuration.slidingWindows = [5, nil]
    default: break
    }
    let model = try configuration.randomLanguageModel(standardDeviation: 0.2, seed: 3)
    // Norms and biases that are not one and zero.
    for (path, parameter) in model.namedParameters() where parameter.shape.count == 1 {
      var random = SeededRandom(seed: 4, path: path)
      parameter.value = random.uniform(parameter.shape, in: 0.5..<1.5)
    }
    model.setTrainable(false)
    return model
  }

  private static func addAdapter(_ name: String, to model: any PretrainedLanguageModel, rank: Int)
    throws
  {
    try model.inject(LoRA(rank: rank, alpha: 6), named: name, into: .allLinear, seed: 1)
    for (path, parameter) in model.adapterParameters(named: name) {
      var random = SeededRandom(seed: UInt64(rank), path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.2)
    }
  }

  /// Passes `tokens` in pieces of these lengths, over and over, and compares all hidden states with
  /// those of one pass. Returns how many passes took the short way.
  private func compare(
    _ model: any PretrainedLanguageModel, _ tokens: Tensor, lengths: [Int],
    sourceLocation: SourceLocation = #_sourceLocation
  ) -> Int {
    withoutGradients {
      let count = tokens.shape[1]
      let full = model.hiddenStates(tokens, cache: nil).value
      // Hidden states behind a norm with weights (Gemma's) reach beyond 2, and their rounding with them.
      let largest = full.scalars().reduce(0) { max($0, abs($1)) }
      let cache = KeyValueCache(layerCount: model.layerCount, capacity: count)
      var (position, turn, short) = (0, 0, 0)
      while position < count {
        let end = min(count, position + lengths[turn % lengths.count])
        let piece = tokens.sliced(axis: 1, position..<end)
        if Decoding(of: piece, cache: cache) != nil { short += 1 }
        let states = model.hiddenStates(piece, cache: cache).value
        #expect(cache.count == end, sourceLocation: sourceLocation)
        let difference = largestDifference(states, full.sliced(axis: 1, position..<end))
        #expect(
          difference < max(1e-5, 5e-6 * largest), "positions \(position)..<\(end)",
          sourceLocation: sourceLocation)
        (position, turn) = (end, turn + 1)
      }
      return short
    }
  }

  @Test(arguments: TinyModels.languageModels)
  func decodingEqualsOnePass(architecture: Architecture) throws {
    let model = try Self.model(architecture)
    let tokens = TinyModels.tokens([1, 40])
    #expect(compare(model, tokens, lengths: [1]) == 40)
    #expect(compare(model, tokens, lengths: [7, 1, 2, 3, 4]) == 8)
  }

  @Test func adaptersApplyWhileDecoding() throws {
    let model = try Self.model(.qwen2)
    try Self.addAdapter("a", to: model, rank: 3)
    try Self.addAdapter("b", to: model, rank: 17)
    let tokens = TinyModels.tokens([1, 20])
    for selection: AdapterSelection in [[:], ["a": 1], ["a": 0.5, "b": -1]] {
      try model.withAdapters(selection) {
        #expect(compare(model, tokens, lengths: [3, 1, 2]) == 10)
      }
    }
    try model.enableAdapters(["a": 1])
    try model.mergeAdapters(["a": 1])
    #expect(compare(model, tokens, lengths: [1]) == 20)
  }

  /// A layer under an adapter that is not of low rank is computed by itself, the rest stays short.
  @Test func layersThatAreNotDenseAreComputedByThemselves() throws {
    let model = try Self.model(.llama)
    let block = try #require(model as? Transformer).body.blocks[1]
    let layer = try #require(block.feedForward.outputLayers.first)
    layer.slot.withState {
      $0.attached.append(("bias", BiasAdapter(size: layer.outputSize)))
      $0.enabled["bias"] = 1
    }
    #expect(compare(model, TinyModels.tokens([1, 12]), lengths: [1]) == 12)
  }

  @Test(arguments: TinyModels.languageModels)
  func everyMethodDecodes(architecture: Architecture) throws {
    let model = try Self.model(architecture)
    let methods: [any AdapterMethod] = [
      DoRA(rank: 2, alpha: 6), LoHa(rank: 2), LoKr(rank: 2), IA3(),
    ]
    for (index, method) in methods.enumerated() {
      let name = "\(index)"
      try model.inject(method, named: name, into: .allLinear, seed: 1)
      for (path, parameter) in model.adapterParameters(named: name) {
        var random = SeededRandom(seed: 7, path: path)
        parameter.value =
          parameter.value + random.normal(parameter.shape, standardDeviation: 0.1)
      }
      try model.withAdapters([name: 0.7]) {
        #expect(compare(model, TinyModels.tokens([1, 9]), lengths: [2, 1]) == 6)
      }
      try model.detach(name)
    }
  }

  /// Longer than the cache's first memory, and than its second.
  @Test func theCacheGrows() throws {
    let model = try Self.model(.mistral, positions: 1024)
    let count = 2 * CachedSequence.chunk + 100
    let tokens = TinyModels.tokens([1, count])
    _ = compare(model, tokens, lengths: [250, 3, 1, 1, 4])
    let prompt = tokens[row: 0].scalars(as: Int64.self).prefix(3).map(Int.init)
    let generated = try model.generate(
      after: prompt, options: GenerationOptions(maximumTokens: count))
    #expect(generated.count == count)
    let all = Tensor(prompt + generated, shape: [1, prompt.count + count])
    let logits = withoutGradients { model(all).value }
    let choices = (prompt.count - 1..<prompt.count + count - 1).map { position in
      let row = logits[row: 0][row: position].scalars()
      return row.indices.max { (row[$0], $1) < (row[$1], $0) } ?? 0
    }
    #expect(choices == generated)
  }

  @Test func threadsDoNotChangeABit() throws {
    let before = Threads.count
    defer { Threads.count = before }
    let model = try Self.model(.qwen2)
    let tokens = TinyModels.tokens([1, 30])
    func run(_ threads: Int) -> [Tensor] {
      Threads.count = threads
      let cache = KeyValueCache(layerCount: model.layerCount, capacity: 30)
      return withoutGradients {
        (0..<30).map {
          model.hiddenStates(tokens.sliced(axis: 1, $0..<$0 + 1), cache: cache).value
        }
      }
    }
    #expect(run(1) == run(3))
  }
}

/// An adapter that is not of low rank: a learned offset.
private final class BiasAdapter: LinearAdapter {
  let offset: Parameter

  init(size: Int) { offset = Parameter(Tensor(Array(repeating: Float(0.25), count: size))) }

  var effect: AdapterEffect {
    .computed(
      ComputedEffect { [offset] _, _, strength in
        Variable(offset.value.scaled(by: strength))
      } delta: { [offset] base in
        LinearWeights(weight: base.weight.scaled(by: 0), bias: offset.value)
      })
  }
}
