import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor
import Testing

/// Attaching, choosing, mixing, merging and saving adapters.
@Suite struct AdapterTests {
  private let ids: Tensor
  private let model: any PretrainedLanguageModel

  init() throws {
    ids = try ExpectedValues(model: "llama-grouped").ids
    model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
  }

  /// Gives the adapter's factors random values, so that it has an effect.
  private func scramble(_ name: String, seed: UInt64) {
    for (path, parameter) in model.adapterParameters(named: name) {
      var random = SeededRandom(seed: seed, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.2)
    }
  }

  @Test func aFreshAdapterChangesNothing() throws {
    let base = model.losses(ids)
    let report = try model.inject(LoRA(rank: 4, alpha: 8), named: "a")
    #expect(report.layers.count == 14 && !report.layers.contains("lm_head"))
    #expect(
      report.parameterCount
        == model.adapterParameters(named: "a").reduce(0) {
          $0 + $1.parameter.shape.elementCount
        })
    #expect(model.losses(ids) == base)
  }

  @Test func valuesDependOnSeedAndPathAlone() throws {
    try model.inject(LoRA(rank: 2), named: "all", seed: 7)
    try model.inject(LoRA(rank: 2), named: "one", into: ["v_proj"], seed: 7)
    let all = Dictionary(
      uniqueKeysWithValues: model.adapterParameters(named: "all").map {
        ($0.path, $0.parameter.value)
      })
    for (path, parameter) in model.adapterParameters(named: "one") {
      #expect(all[path] == parameter.value)
    }
  }

  @Test func scopesChooseStrengthsAndNest() throws {
    let base = model.losses(ids)
    for (seed, name) in ["a", "b"].enumerated() {
      try model.inject(LoRA(rank: 2), named: name)
      scramble(name, seed: UInt64(seed))
    }
    let both = model.losses(ids)
    let a = try model.withAdapters(["a": 1]) { model.losses(ids) }
    #expect(a != both && a != base)
    let nested = try model.withAdapters(["a": 1]) {
      let inner = try model.withAdapters(["b": 1]) { model.losses(ids) }
      return (inner, model.losses(ids))
    }
    #expect(nested.0 != a && nested.1 == a)
    #expect(try model.withAdapters(["a": 0]) { model.losses(ids) } == base)
    #expect(try model.withAdapters([:]) { model.losses(ids) } == base)
    #expect(try model.withAdapters(["a": 1, "b": 1]) { model.losses(ids) } == both)
    try model.enableAdapters(["a": 0.5])
    #expect(model.losses(ids) == (try model.withAdapters(["a": 0.5]) { model.losses(ids) }))
    try model.setStrength(1, of: "a")
    #expect(model.losses(ids) == a)
    try model.disableAdapters()
    #expect(model.losses(ids) == base)
    try model.renameAdapter("a", to: "c")
    #expect(try model.withAdapters(["c": 1]) { model.losses(ids) } == a)
    #expect(model.adapterNames == ["c", "b"])
  }

  @Test func mergingIsUndoneBitForBit() throws {
    let base = model.losses(ids)
    try model.inject(LoRA(rank: 2), named: "a")
    try model.inject(LoRA(rank: 3), named: "b", into: ["down_proj"])
    scramble("a", seed: 1)
    scramble("b", seed: 2)
    let adapted = try model.withAdapters(["a": 0.7, "b": -0.5]) { model.losses(ids) }
    try model.mergeAdapters(["a": 0.7, "b": -0.5])
    #expect(model.isMerged)
    #expect(largestDifference(model.losses(ids), adapted) < 2e-5)
    #expect(throws: AdapterError.merged(adapters: ["a", "b"])) {
      try model.withAdapters(["a": 1]) {}
    }
    #expect(throws: AdapterError.self) { try model.detach("a") }
    #expect(throws: AdapterError.self) { try model.inject(LoRA(), named: "d") }
    try model.unmergeAdapters()
    #expect(throws: AdapterError.notMerged) { try model.unmergeAdapters() }
    #expect(try model.withAdapters(["a": 0.7, "b": -0.5]) { model.losses(ids) } == adapted)
    try model.detach("a")
    try model.detach("b")
    #expect(model.losses(ids) == base)
  }

  @Test func mistakesAreNamed() throws {
    #expect(throws: AdapterError.self) { try model.inject(LoRA(), into: ["nothing_proj"]) }
    #expect(model.adapterNames.isEmpty)
    #expect(throws: AdapterError.self) { try model.inject(LoRA(rank: 0)) }
    #expect(throws: AdapterError.self) { try model.inject(LoRA(alpha: .nan)) }
    #expect(throws: AdapterError.self) { try model.inject(LoRA(dropout: 1)) }
    #expect(model.adapterNames.isEmpty)
    let report = try model.inject(LoRA(rank: 40), named: "wide")
    #expect(report.warnings.count == 14)
    #expect(throws: AdapterError.nameTaken("wide")) { try model.inject(LoRA(), named: "wide") }
    #expect(throws: AdapterError.unknownAdapter("other", available: ["wide"])) {
      try model.withAdapters(["other": 1]) {}
    }
    #expect(throws: AdapterError.self) { try model.detach("other") }
    let misfit = LoRAAdapter(
      a: Parameter(.zeros([2, 5])), b: Parameter(.zeros([7, 2])), scale: 1)
    #expect(throws: AdapterError.self) {
      try model.attach(["model.layers.0.self_attn.q_proj": misfit], named: "misfit")
    }
    #expect(throws: AdapterError.self) { try model.attach(["model.elsewhere": misfit], named: "m") }
    #expect(model.adapterNames == ["wide"])
  }

  @Test func aSavedAdapterComesBackEqual() throws {
    try model.inject(LoRA(rank: 3, alpha: 5, isRankStabilized: true), named: "a")
    scramble("a", seed: 3)
    let folder = try Fixtures.temporaryFolder()
    try model.saveAdapter("a", to: folder)
    let adapted = try model.withAdapters(["a": 1]) { model.losses(ids) }
    let values = model.adapterParameters(named: "a").map(\.parameter.value)
    let other = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    try other.loadAdapter(from: folder, named: "a")
    #expect(other.adapterParameters(named: "a").map(\.parameter.value) == values)
    #expect(largestDifference(other.losses(ids), adapted) < 1e-6)
  }

  @Test func anAdapterOfAnotherModelIsRefused() throws {
    let other = try PretrainedModel(path: Fixtures.path("models/mistral-v4")).languageModel
    #expect(throws: (any Error).self) {
      try other.loadAdapter(from: Fixtures.path("models/qwen2-tied-v4-bfloat16/adapter"))
    }
    #expect(other.adapterNames.isEmpty)
  }

  @Test func anyModuleIsSavedAndLoadedByItsNames() throws {
    let folder = try Fixtures.temporaryFolder()
    try model.saveParameters(to: folder + "/model.safetensors")
    let configuration = model.configuration
    let other = try configuration.randomLanguageModel(seed: 5)
    #expect(other.losses(ids) != model.losses(ids))
    try other.loadParameters(from: folder + "/model.safetensors")
    #expect(other.losses(ids) == model.losses(ids))
    #expect(throws: FormatError.self) {
      try other.loadParameters(
        from: Fixtures.path("models/llama-grouped/adapter/adapter_model.safetensors"))
    }
  }

  @Test func aMergedModelIsSavedAsADirectory() throws {
    try model.inject(LoRA(rank: 2), named: "a")
    scramble("a", seed: 4)
    try model.mergeAdapters(["a": 1])
    let folder = try Fixtures.temporaryFolder()
    try model.save(to: folder)
    let reopened = try PretrainedModel(path: folder).languageModel
    #expect(reopened.losses(ids) == model.losses(ids))
  }

  @Test func decodingWithACacheEqualsOnePass() throws {
    let sequence = ids[row: 0].scalars(as: Int64.self).map(Int.init)
    let full = withoutGradients { model(Tensor(sequence, shape: [1, sequence.count])).value }
    let cache = KeyValueCache(layerCount: model.layerCount, capacity: sequence.count)
    var position = 0
    for length in [1, 4, 1, sequence.count - 6] {
      let part = Tensor(Array(sequence[position..<position + length]), shape: [1, length])
      let logits = withoutGradients { model.head(model.hiddenStates(part, cache: cache)).value }
      let wanted = full.sliced(axis: 1, position..<position + length)
      #expect(largestDifference(logits, wanted) < 2e-5)
      position += length
    }
  }

  @Test func samplingFollowsItsOptions() throws {
    let prompt = ids[row: 0].scalars(as: Int64.self).prefix(5).map(Int.init)
    func generate(_ change: (inout GenerationOptions) -> Void) throws -> [Int] {
      var options = GenerationOptions(maximumTokens: 20, temperature: 1)
      change(&options)
      return try model.generate(after: prompt, options: options)
    }
    let greedy = try model.generate(after: prompt, options: GenerationOptions(maximumTokens: 20))
    #expect(try generate { $0.topK = 1 } == greedy)
    #expect(try generate { $0.topP = 1e-6 } == greedy)
    #expect(try generate { $0.seed = 1 } == generate { $0.seed = 1 })
    #expect(try generate { $0.seed = 1 } != generate { $0.seed = 2 })
    #expect(throws: SequenceError.self) { try generate { $0.topP = 0 } }
    #expect(throws: SequenceError.self) { try generate { $0.temperature = -1 } }
    #expect(throws: SequenceError.self) { try model.generate(after: []) }
    #expect(throws: SequenceError.self) { try model.generate(after: [9999]) }
    #expect(throws: SequenceError.self) {
      try model.generate(after: Array(repeating: 1, count: 65))
    }
  }
}
