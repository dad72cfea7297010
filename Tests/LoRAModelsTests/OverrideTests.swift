import LoRAArchitectures
import LoRAAutograd
import LoRAFormats
import LoRATensor
import LoRATesting
import Testing

@testable import LoRAModels

/// Adapters that replace parameters, and adapters of embeddings.
@Suite struct OverrideTests {
  private let model: any PretrainedLanguageModel
  private let tokens: Tensor
  private let base: Tensor

  init() throws {
    var configuration = TinyModels.configuration(.qwen2)
    configuration[flag: "attention_bias"] = true
    configuration.tiesWordEmbeddings = true
    model = try configuration.randomLanguageModel(standardDeviation: 0.2, seed: 3)
    model.setTrainable(false)
    // With the tokens whose vectors are replaced below.
    let ids: [Int64] = [3, 10, 0, 18, 7, 16, 14, 3, 21, 9, 7, 5]
    tokens = Tensor(ids, shape: [2, 6])
    let (model, tokens) = (model, tokens)
    base = withoutGradients { model(tokens).value }
  }

  /// One of everything that is not the change of a linear layer.
  private func description() throws -> AdapterDescription {
    let c = model.configuration
    var random = SeededRandom(seed: 5, path: "adapter")
    func normal(_ shape: Shape) -> Tensor { random.normal(shape, standardDeviation: 0.3) }
    return AdapterDescription(
      layers: [
        .init(
          path: "model.embed_tokens",
          change: LowRankChange(
            a: normal([3, c.vocabularySize]), b: normal([c.hiddenSize, 3]), alpha: 6, scale: 2,
            isEmbedding: true)),
        .init(
          path: "model.layers.1.mlp.up_proj", a: normal([2, c.hiddenSize]),
          b: normal([c.intermediateSize, 2]), alpha: 2, scale: 1),
      ],
      replacements: [
        .init(path: "model.layers.0.input_layernorm.weight", value: normal([c.hiddenSize])),
        .init(
          path: "model.layers.0.self_attn.k_proj.bias",
          value: normal([c.keyValueHeadCount * c.headSize])),
        .init(
          path: "model.layers.0.self_attn.o_proj.weight",
          value: normal([c.hiddenSize, c.headCount * c.headSize])),
      ],
      replacedTokens: [
        .init(path: "model.embed_tokens", ids: [3, 0, 7], vectors: normal([3, c.hiddenSize]))
      ])
  }

  private func logits() -> Tensor { withoutGradients { model(tokens).value } }

  private func largestDifference(_ a: Tensor, _ b: Tensor) -> Float {
    (a - b).scalars().map(abs).max() ?? .infinity
  }

  /// The same model with the new values written into its parameters.
  @Test("the output is that of a model with the values in its weights, and the base comes back")
  func matchesAModelWithTheValues() throws {
    let description = try description()
    try model.attach(description, named: "x")
    let adapted = logits()
    #expect(adapted != base)

    let other = try model.configuration.randomLanguageModel(standardDeviation: 0.2, seed: 3)
    let parameters = Dictionary(
      other.namedParameters().map { ($0.path, $0.parameter) }, uniquingKeysWith: { a, _ in a })
    for replacement in description.replacements {
      try #require(parameters[replacement.path]).value = replacement.value
    }
    for layer in description.layers {
      let change = try #require(layer.lowRank)
      var delta = change.b.matrixProduct(with: change.a).scaled(by: Float(change.scale))
      if change.isEmbedding { delta = delta.permuted([1, 0]) }
      let parameter = try #require(parameters[layer.path + ".weight"])
      if change.isEmbedding { continue }
      parameter.value = parameter.value + delta
    }
    // Vectors replace the table's before factors are added; only the vectors reach the tied head.
    let table = try #require(parameters["model.embed_tokens.weight"])
    let replaced = description.replacedTokens[0]
    table.value =
      TokenVectorReplacement(ids: replaced.ids, vectors: Parameter(replaced.vectors)).replacing(
        LinearWeights(weight: table.value), strength: 1
      ).weight
    var factors = description
    factors.layers = factors.layers.filter { $0.path == "model.embed_tokens" }
    (factors.replacements, factors.replacedTokens) = ([], [])
    try other.attach(factors, named: "factors")
    let expected = withoutGradients { other(tokens).value }
    #expect(largestDifference(adapted, expected) < 2e-5)

    try model.mergeAdapters(["x": 1])
    #expect(largestDifference(logits(), adapted) < 2e-5)
    try model.unmergeAdapters()
    #expect(logits() == adapted)
    try model.detach("x")
    #expect(logits() == base)
  }

  @Test("strengths mix base and new values, merged as not merged")
  func strengths() throws {
    try model.attach(try description(), named: "x")
    for strength: Float in [-0.5, 0.4, 2] {
      let mixed = try model.withAdapters(["x": strength]) { logits() }
      try model.mergeAdapters(["x": strength])
      #expect(largestDifference(logits(), mixed) < 1e-4 * max(1, abs(strength)))
      try model.unmergeAdapters()
    }
    #expect(try model.withAdapters(["x": 0]) { logits() } == base)
  }

  @Test("a merged model is saved, its head apart where it is no longer the table")
  func saved() throws {
    try model.attach(try description(), named: "x")
    let adapted = logits()
    try model.mergeAdapters(["x": 1])
    let folder = try Fixtures.temporaryFolder()
    try model.save(to: folder)
    let other = try PretrainedModel(path: folder)
    #expect(!other.configuration.tiesWordEmbeddings)
    let merged = try withoutGradients { try other.languageModel(tokens).value }
    #expect(largestDifference(merged, adapted) < 2e-5)
  }

  @Test("vectors that the head shares leave it tied")
  func savedTied() throws {
    var replaced = try description()
    (replaced.layers, replaced.replacements) = ([], [])
    try model.attach(replaced, named: "x")
    let adapted = logits()
    try model.mergeAdapters(["x": 1])
    let folder = try Fixtures.temporaryFolder()
    try model.save(to: folder)
    let other = try PretrainedModel(path: folder)
    #expect(other.configuration.tiesWordEmbeddings)
    let merged = try withoutGradients { try other.languageModel(tokens).value }
    #expect(largestDifference(merged, adapted) < 2e-5)
  }

  @Test("two adapters that replace the same parameters add up, merged as not merged")
  func twoReplacements() throws {
    let description = try description()
    var other = description
    other.layers = []
    other.replacements = description.replacements.map {
      .init(path: $0.path, value: $0.value.scaled(by: -0.7))
    }
    try model.attach(description, named: "x")
    try model.attach(other, named: "y")
    for selection: AdapterSelection in [["x": 1, "y": 1], ["x": 0.5, "y": -0.3]] {
      let mixed = try model.withAdapters(selection) { logits() }
      try model.mergeAdapters(selection)
      #expect(largestDifference(logits(), mixed) < 1e-4)
      try model.unmergeAdapters()
    }
  }

  @Test("gradients flow to a replaced weight at any strength, and shared vectors are one parameter")
  func gradientsAtHalfStrength() throws {
    try model.attach(try description(), named: "x", isTrainable: true)
    let gradients = try model.withAdapters(["x": 0.5]) {
      model.loss(tokens: tokens, targets: tokens, scale: 1)
    }.gradients()
    let parameters = model.adapterParameters(named: "x")
    #expect(Set(parameters.map { ObjectIdentifier($0.parameter) }).count == parameters.count)
    for (path, parameter) in parameters where !path.hasSuffix("k_proj.bias") {
      #expect(gradients[parameter] != nil, "\(path)")
    }
  }

  @Test("what is described again is what was attached")
  func describedAgain() throws {
    let description = try description()
    try model.attach(description, named: "x")
    let again = try model.describeAdapter("x")
    #expect(again.layers.map(\.path) == description.layers.map(\.path))
    for (x, y) in zip(again.layers, description.layers) {
      let (p, q) = (try #require(x.lowRank), try #require(y.lowRank))
      #expect(p.a == q.a && p.b == q.b && p.scale == q.scale && p.isEmbedding == q.isEmbedding)
    }
    #expect(again.replacements.map(\.path) == description.replacements.map(\.path))
    #expect(again.replacements.map(\.value) == description.replacements.map(\.value))
    #expect(again.replacedTokens.map(\.ids) == description.replacedTokens.map(\.ids))
    #expect(again.replacedTokens.map(\.vectors) == description.replacedTokens.map(\.vectors))
    #expect(again.replacedTokens.count == 1)
  }

  @Test(
    "gradients reach everything that was attached, by finite differences, and no base parameter")
  func gradients() throws {
    try model.attach(try description(), named: "x", isTrainable: true)
    let loss = model.loss(tokens: tokens, targets: tokens, scale: 1)
    let gradients = loss.gradients()
    for (path, parameter) in model.namedParameters() {
      #expect(gradients[parameter] == nil, "\(path)")
    }
    for (path, parameter) in model.adapterParameters(named: "x") {
      let gradient = try #require(gradients[parameter], "\(path)")
      // The derivative along a random direction.
      var random = SeededRandom(seed: 1, path: path)
      let direction = random.normal(parameter.shape, standardDeviation: 1)
      let original = parameter.value
      func loss(at step: Float) -> Double {
        parameter.value = original + direction.scaled(by: step)
        return Double(
          withoutGradients { model.loss(tokens: tokens, targets: tokens, scale: 1).value.item() })
      }
      let step: Float = 1e-3
      let measured = (loss(at: step) - loss(at: -step)) / Double(2 * step)
      parameter.value = original
      let expected = (gradient * direction).sum()
      #expect(
        abs(measured - expected) < 2e-2 * max(1, abs(expected)),
        "\(path): \(measured), \(expected)")
    }
  }

  @Test("generation sees the same: decoding against one pass")
  func decoding() throws {
    try model.attach(try description(), named: "x")
    let prompt = tokens[row: 0].scalars(as: Int64.self).map { Int($0) }
    let generated = try model.generate(
      after: prompt, options: GenerationOptions(maximumTokens: 4))
    var sequence = prompt
    for _ in 0..<4 {
      let logits = withoutGradients {
        model(Tensor(sequence, shape: [1, sequence.count])).value
      }
      let last = logits[row: 0][row: sequence.count - 1].scalars()
      sequence.append(try #require(last.indices.max { last[$0] < last[$1] }))
    }
    #expect(generated == Array(sequence.dropFirst(prompt.count)))
  }

  @Test("a fresh adapter on an embedding changes nothing, and is selected by name only")
  func injected() throws {
    let report = try model.inject(LoRA(rank: 2), named: "e", into: ["embed_tokens", "q_proj"])
    #expect(report.layers.contains("model.embed_tokens") && report.layers.count == 3)
    #expect(logits() == base)
    #expect(
      try !model.inject(LoRA(rank: 2), named: "all").layers.contains("model.embed_tokens"))
  }

  @Test("what does not fit is refused, and nothing was attached")
  func refused() throws {
    var wrong = try description()
    wrong.replacements[0].value = .zeros([3])
    expectError("input_layernorm") { () throws(AdapterError) in try model.attach(wrong, named: "x")
    }
    wrong = try description()
    wrong.replacements[0].path = "model.layers.9.input_layernorm.weight"
    expectError("model.layers.9.input_layernorm.weight") { () throws(AdapterError) in
      try model.attach(wrong, named: "x")
    }
    wrong = try description()
    wrong.replacements[0].path = "model.layers.0.mlp.up_proj.bias"
    expectError("'bias'") { () throws(AdapterError) in try model.attach(wrong, named: "x") }
    wrong = try description()
    let table = try #require(
      model.namedParameters().first { $0.path == "model.embed_tokens.weight" })
    wrong.baseCopies = [.init(path: table.path, value: table.parameter.value.scaled(by: 1.01))]
    expectError("another base") { () throws(AdapterError) in try model.attach(wrong, named: "x") }
    wrong.baseCopies[0].path = "model.elsewhere.weight"
    expectError("no such parameter") { () throws(AdapterError) in
      try model.attach(wrong, named: "x")
    }
    wrong = try description()
    wrong.baseCopies = [.init(path: table.path, value: table.parameter.value)]
    try model.attach(wrong, named: "right")
    try model.detach("right")
    wrong.replacedTokens[0].ids[0] = model.vocabularySize
    expectError("token \(model.vocabularySize)") { () throws(AdapterError) in
      try model.attach(wrong, named: "x")
    }
    #expect(model.adapterNames.isEmpty && logits() == base)
  }

  /// A batch without the tokens that are trained is a batch like any other.
  @Test func vectorsOfTokensThatABatchLacksHaveAGradientOfZero() throws {
    let untied = try TinyModels.configuration(.llama).randomLanguageModel(
      standardDeviation: 0.2, seed: 3)
    untied.setTrainable(false)
    let size = untied.configuration.hiddenSize
    try untied.attach(
      AdapterDescription(
        layers: [],
        replacedTokens: [
          .init(path: "model.embed_tokens", ids: [1, 2], vectors: .zeros([2, size]))
        ]), named: "x", isTrainable: true)
    let (targets, other) = (
      Tensor([Int64(4), 5, 6], shape: [1, 3]), Tensor([Int64(3), 5, 4], shape: [1, 3])
    )
    let without = untied.loss(tokens: other, targets: targets, scale: 1).gradients()
    let parameter = try #require(untied.adapterParameters(named: "x").first?.parameter)
    #expect(without[parameter] == .zeros([2, size]))
    let with = untied.loss(
      tokens: Tensor([Int64(3), 1, 2], shape: [1, 3]), targets: targets, scale: 1
    ).gradients()
    #expect(try #require(with[parameter]).scalars().contains { $0 != 0 })
  }

  private func expectError(
    _ text: String, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws(AdapterError) -> Void
  ) {
    do throws(AdapterError) {
      try body()
      Issue.record("no error", sourceLocation: sourceLocation)
    } catch {
      #expect("\(error)".contains(text), sourceLocation: sourceLocation)
    }
  }
}
