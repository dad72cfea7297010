import LoRAArchitectures
import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

@testable import LoRAModels

/// Items of one batch with adapters of their own, against a pass of each item by itself.
@Suite struct ItemAdapterTests {
  private let model: any PretrainedLanguageModel
  private let tokens: Tensor

  init() throws {
    var configuration = TinyModels.configuration(.qwen2)
    configuration[flag: "attention_bias"] = true
    configuration.maximumPositions = 64
    model = try configuration.randomLanguageModel(standardDeviation: 0.2, seed: 3)
    model.setTrainable(false)
    for (index, name) in ["a", "b"].enumerated() {
      try model.inject(LoRA(rank: 2 + index, alpha: 5), named: name, seed: 1)
      for (path, parameter) in model.adapterParameters(named: name) {
        var random = SeededRandom(seed: UInt64(index + 5), path: path)
        parameter.value = random.normal(parameter.shape, standardDeviation: 0.3)
      }
    }
    tokens = TinyModels.tokens([4, 7], seed: 9)
  }

  private static let choices: [AdapterSelection] = [["a": 1], ["b": 0.7], [:], ["a": 1]]

  /// The largest difference of each item of `all` from what the item gives alone.
  private func expectSame(
    _ all: Tensor, _ choices: [AdapterSelection], within tolerance: Float = 2e-5,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for (item, choice) in choices.enumerated() {
      let alone = try withoutGradients {
        try model.withAdapters(choice) { model(tokens[rows: item..<item + 1]).value }
      }
      let difference = (all[rows: item..<item + 1] - alone).scalars().map(abs).max() ?? .infinity
      #expect(difference < tolerance, "item \(item)", sourceLocation: sourceLocation)
    }
  }

  @Test("items with A, B, none and A equal four passes")
  func itemsHaveTheirOwn() throws {
    let all = try withoutGradients {
      try model.withAdapters(perItem: Self.choices) { model(tokens).value }
    }
    try expectSame(all, Self.choices)
    // The items do differ.
    #expect(all != withoutGradients { model(tokens).value })
  }

  @Test("sums of adapters, one that replaces parameters, embeddings and norms")
  func anyKindOfAdapter() throws {
    var random = SeededRandom(seed: 2, path: "overrides")
    let norm = try #require(model.modules().first { $0.path == "model.norm" }?.module)
    let weight = try #require(norm.parameters["weight"])
    let embedding = try #require(
      model.modules().first { $0.path == "model.embed_tokens" }?.module as? Embedding)
    try model.attach(
      [
        "model.norm": ParameterOverride([
          "weight": Parameter(random.normal(weight.shape, standardDeviation: 1))
        ]),
        "model.layers.0.self_attn.q_proj": ParameterOverride([
          "bias": Parameter(
            random.normal(
              [model.configuration.headCount * model.configuration.headSize],
              standardDeviation: 1))
        ]),
        "model.embed_tokens": LoRAAdapter(
          a: Parameter(random.normal([2, embedding.weight.shape[0]], standardDeviation: 0.3)),
          b: Parameter(random.normal([embedding.weight.shape[1], 2], standardDeviation: 0.3)),
          scale: 1.5),
      ], named: "whole", enabled: false)
    let choices: [AdapterSelection] = [["whole": 1], ["a": 1, "b": -0.5], ["whole": 0.5], [:]]
    try expectItems(choices)
  }

  @Test("factors with an origin, DoRA, IA3, and B with a bias")
  func everyMethod() throws {
    try model.inject(LoRA(rank: 2, initialization: .pissa), named: "pissa")
    try model.inject(DoRA(rank: 2), named: "dora")
    try model.inject(IA3(), named: "ia3")
    try model.inject(LoRA(rank: 2, hasBias: true), named: "bias")
    for name in ["pissa", "dora", "ia3", "bias"] {
      for (path, parameter) in model.adapterParameters(named: name) {
        var random = SeededRandom(seed: 21, path: name + path)
        parameter.value =
          parameter.value + random.normal(parameter.shape, standardDeviation: 0.2)
      }
    }
    try expectItems([["pissa": 1], [:], ["a": 1, "pissa": 0.5], ["b": 1]])
    try expectItems([["dora": 1], ["ia3": 1], ["bias": 1], [:]])
  }

  /// Checks a pass with `choices` for the items, and decoding with them.
  private func expectItems(_ choices: [AdapterSelection]) throws {
    let prompt = tokens[row: 0].scalars(as: Int64.self).map { Int($0) }
    let requests = choices.map {
      GenerationRequest(
        prompt: prompt, options: GenerationOptions(maximumTokens: 4), adapters: $0)
    }
    #expect(
      try model.generate(requests)
        == requests.map {
          try model.generate(after: $0.prompt, options: $0.options, adapters: $0.adapters)
        })
    let all = try withoutGradients {
      try model.withAdapters(perItem: choices) { model(tokens).value }
    }
    try expectSame(all, choices)
  }

  @Test("the likeliest tokens and their losses, with adapters on the head too")
  func headsOfTheirOwn() throws {
    try model.inject(LoRA(rank: 2, alpha: 5), named: "h", into: ["lm_head"], seed: 1)
    for (path, parameter) in model.adapterParameters(named: "h") {
      var random = SeededRandom(seed: 11, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.5)
    }
    try model.disableAdapters()
    let choices: [AdapterSelection] = [["h": 1], [:], ["a": 1], ["h": -1]]
    let (chosen, losses) = try model.withAdapters(perItem: choices) {
      (
        model.greedyTokens(tokens: tokens, targets: tokens),
        try model.tokenLosses(tokens: tokens, targets: tokens)
      )
    }
    for (item, choice) in choices.enumerated() {
      let part = tokens[rows: item..<item + 1]
      let (alone, loss) = try model.withAdapters(choice) {
        (
          model.greedyTokens(tokens: part, targets: part),
          try model.tokenLosses(tokens: part, targets: part)
        )
      }
      #expect(chosen[rows: item..<item + 1] == alone, "item \(item)")
      let difference = (losses[rows: item..<item + 1] - loss).scalars().map(abs).max() ?? .infinity
      #expect(difference < 2e-5, "item \(item)")
    }
  }

  @Test("gradients of items reach the adapter of the item alone")
  func gradients() throws {
    let targets = tokens
    let together = try model.withAdapters(perItem: Self.choices) {
      model.loss(tokens: tokens, targets: targets, scale: 1)
    }.gradients()
    var sums: [String: Tensor] = [:]
    for (item, choice) in Self.choices.enumerated() {
      let alone = try model.withAdapters(choice) {
        model.loss(
          tokens: tokens[rows: item..<item + 1], targets: targets[rows: item..<item + 1], scale: 1)
      }
      guard alone.requiresGradient else { continue }
      let gradients = alone.gradients()
      for name in ["a", "b"] {
        for (path, parameter) in model.adapterParameters(named: name) {
          guard let gradient = gradients[parameter] else { continue }
          sums[name + path] = sums[name + path].map { $0 + gradient } ?? gradient
        }
      }
    }
    #expect(!sums.isEmpty)
    for name in ["a", "b"] {
      for (path, parameter) in model.adapterParameters(named: name) {
        let expected = try #require(sums[name + path])
        let found = try #require(together[parameter])
        let scale = expected.scalars().map(abs).max() ?? 0
        let difference = (found - expected).scalars().map(abs).max() ?? .infinity
        #expect(difference <= 1e-4 * max(scale, 1e-3), "\(name) \(path)")
      }
    }
  }

  @Test("generations that share steps are those of each request alone")
  func generation() throws {
    var requests: [GenerationRequest] = []
    for (item, choice) in (Self.choices + [["b": 0.7], ["a": 0.3, "b": 1]]).enumerated() {
      let ids = tokens[row: item % 4].scalars(as: Int64.self).map { Int($0) }
      requests.append(
        GenerationRequest(
          prompt: Array(ids.prefix(2 + item)),
          options: GenerationOptions(
            maximumTokens: 5 + 3 * item, temperature: item == 1 ? 0.8 : 0, seed: 4),
          adapters: choice))
    }
    let alone = try requests.map {
      try model.generate(after: $0.prompt, options: $0.options, adapters: $0.adapters)
    }
    #expect(try model.generate(requests) == alone)

    // Joining later and leaving early changes nothing for the others.
    let batch = GenerationBatch(model)
    var results: [Int: [Int]] = [:]
    var ids = [try batch.add(requests[0]), try batch.add(requests[5])]
    let leaving = try batch.add(requests[3])
    for step in 0... {
      if step == 2 { ids.append(try batch.add(requests[1])) }
      if step == 3 { batch.remove(leaving) }
      if batch.isFinished { break }
      for (id, token) in try batch.step() {
        if let token { results[id, default: []].append(token) }
      }
    }
    #expect(results[ids[0]] == alone[0])
    #expect(results[ids[1]] == alone[5])
    #expect(results[ids[2]] == alone[1])
    #expect(results[leaving] == Array(alone[3].prefix(3)))
  }

  @Test("GPT-2, whose positions are learned, in a batch of different lengths")
  func gpt2() throws {
    let model = try PretrainedModel(path: Fixtures.path("models/gpt2-tied")).languageModel
    try model.inject(LoRA(rank: 2, alpha: 5), named: "g")
    for (path, parameter) in model.adapterParameters(named: "g") {
      var random = SeededRandom(seed: 3, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.3)
    }
    let requests = [1, 3, 6].map { length in
      GenerationRequest(
        prompt: Array(2..<2 + length), options: GenerationOptions(maximumTokens: 6),
        adapters: length == 3 ? [:] : ["g": 1])
    }
    let alone = try requests.map {
      try model.generate(after: $0.prompt, options: $0.options, adapters: $0.adapters)
    }
    #expect(try model.generate(requests) == alone)
  }

  @Test("one sequence under a choice for several items is an error")
  func oneSequence() throws {
    #expect(throws: AdapterError.self) {
      try model.withAdapters(perItem: [[:], ["a": 1]]) { try model.generate(after: [5]) }
    }
  }

  @Test("a request keeps the version of its adapter through a swap")
  func swapsReachOnlyLaterRequests() throws {
    let prompt = tokens[row: 0].scalars(as: Int64.self).map { Int($0) }
    let request = GenerationRequest(
      prompt: prompt, options: GenerationOptions(maximumTokens: 6), adapters: ["a": 1])
    let before = try model.generate([request])[0]
    let batch = GenerationBatch(model)
    let old = try batch.add(request)
    var results: [Int: [Int]] = [:]
    func step() throws {
      for (id, token) in try batch.step() {
        if let token { results[id, default: []].append(token) }
      }
    }
    try step()
    try model.swapAdapter("a", for: try model.describeAdapter("b"))
    let new = try batch.add(request)
    while !batch.isFinished { try step() }
    #expect(results[old] == before)
    #expect(results[new] == (try model.generate([request])[0]))
  }

  @Test("an unknown name is an error")
  func unknown() throws {
    #expect(throws: AdapterError.unknownAdapter("c", available: ["a", "b"])) {
      try model.withAdapters(perItem: [["a": 1], ["c": 1]]) { () }
    }
  }
}
