import LoRAAutograd
import LoRAFormats
import LoRATensor
import LoRATesting
import Testing

@testable import LoRAModels

/// Methods of a user's own against the library's: what an adapter says of its effect decides what is
/// computed, whoever wrote it.
@Suite struct AdapterEffectTests {
  private let x: Tensor

  init() {
    var random = SeededRandom(seed: 8, path: "x")
    x = random.normal([2, 3, 12])
  }

  /// Random numbers, multiples of 1/8 so that adding 1 is exact.
  private static func eighths(_ shape: Shape, _ path: String) -> Tensor {
    var random = SeededRandom(seed: 6, path: path)
    let numbers = random.normal(shape).scalars().map { ($0 * 8).rounded() / 8 }
    return Tensor(numbers, shape: shape)
  }

  /// What a layer computes and what gradients it hands on, under `selection`, with each of `adapters`
  /// under its name; and what merging makes of it.
  private func results(
    _ kind: String, _ adapters: KeyValuePairs<String, any LinearAdapter>,
    _ selection: AdapterSelection
  ) throws -> [Tensor] {
    let layer = MethodTests.layer(kind)
    for (name, adapter) in adapters { try layer.attach(["": adapter], named: name) }
    let input = Parameter(x)
    let (y, gradients) = try layer.withAdapters(selection) {
      let y = layer(Variable(input))
      return (y.value, (y * y).sum().gradients())
    }
    try layer.mergeAdapters(selection)
    let merged = try #require(layer.slot.withState { $0.merged })
    let trained = adapters.flatMap { $0.value.namedParameters().map(\.parameter) }
    return [y, layer(Variable(x)).value, merged.weight] + [merged.bias].compactMap { $0 }
      + ([input] + trained).compactMap { gradients[$0] }
  }

  private static let selections: [AdapterSelection] = [
    ["own": 1], ["own": 0.5], ["own": 1, "ia3": -0.5], ["own": 1, "lora": 0.5],
    ["own": 0.25, "ia3": 1, "lora": 1, "dora": 1, "loha": 2],
  ]

  private static func random(_ adapter: any LinearAdapter) -> any LinearAdapter {
    for (path, parameter) in adapter.namedParameters() {
      var random = SeededRandom(seed: 7, path: path)
      parameter.value = parameter.value + random.normal(parameter.shape, standardDeviation: 0.3)
    }
    return adapter
  }

  private static func others(
    _ kind: String
  ) throws -> [(key: String, value: any LinearAdapter)] {
    let layer = MethodTests.layer(kind)
    var random = SeededRandom(seed: 1, path: "others")
    return [
      ("ia3", Self.random(try IA3().makeAdapter(for: layer, using: &random))),
      ("lora", Self.random(try LoRA(rank: 3, alpha: 5).makeAdapter(for: layer, using: &random))),
      ("dora", Self.random(try DoRA(rank: 2, alpha: 5).makeAdapter(for: layer, using: &random))),
      ("loha", Self.random(try LoHa(rank: 2, alpha: 5).makeAdapter(for: layer, using: &random))),
    ]
  }

  /// The same bits with `own` and with `known`, alone and beside adapters of other methods.
  private func expectSame(
    _ kind: String, _ own: @autoclosure () -> any LinearAdapter,
    _ known: @autoclosure () -> any LinearAdapter
  ) throws {
    for selection in Self.selections {
      let found = try [own(), known()].map { adapter in
        let others = try Self.others(kind)
        return try results(
          kind,
          [
            "own": adapter, others[0].key: others[0].value, others[1].key: others[1].value,
            others[2].key: others[2].value, others[3].key: others[3].value,
          ], selection)
      }
      #expect(found[0] == found[1], "\(selection)")
      #expect(found[0].count >= 5)
    }
  }

  @Test("a user's scaling is computed as IA3", arguments: MethodTests.layers, [false, true])
  func scaling(kind: String, scalesInput: Bool) throws {
    let shifts = Self.eighths([scalesInput ? 12 : 10], "scales")
    try expectSame(
      kind,
      OwnAdapter(["scales": Parameter(shifts)]) {
        .scaling(
          ScalingEffect(
            vector: Variable($0.parameter("scales")).adding(1), scalesInput: scalesInput))
      },
      IA3Adapter(vector: Parameter(shifts.adding(1)), scalesInput: scalesInput))
  }

  @Test("a user's low-rank change is computed as LoRA", arguments: MethodTests.layers)
  func lowRank(kind: String) throws {
    let (a, b) = (Self.eighths([3, 12], "a"), Self.eighths([10, 3], "b"))
    try expectSame(
      kind,
      OwnAdapter(["a": Parameter(a), "b": Parameter(b)]) {
        .lowRank(
          LowRankEffect(
            factors: [(Variable($0.parameter("a")), Variable($0.parameter("b")))], scale: 1.5))
      },
      LoRAAdapter(a: Parameter(a), b: Parameter(b), scale: 1.5))
  }

  @Test("a user's normalized change is computed as DoRA", arguments: MethodTests.layers)
  func normalized(kind: String) throws {
    let (a, b) = (Self.eighths([3, 12], "a"), Self.eighths([10, 3], "b"))
    let m = Self.eighths([10], "m").adding(2)
    let norms = RowNorms()
    try expectSame(
      kind,
      OwnAdapter(["a": Parameter(a), "b": Parameter(b), "m": Parameter(m)]) {
        .normalized(
          NormalizedEffect(
            lowRank: LowRankEffect(
              factors: [(Variable($0.parameter("a")), Variable($0.parameter("b")))], scale: 1.5),
            magnitude: Variable($0.parameter("m")), norms: norms))
      },
      DoRAAdapter(a: Parameter(a), b: Parameter(b), magnitude: Parameter(m), scale: 1.5))
  }

  @Test("several pairs of factors are one of their ranks' sum", arguments: MethodTests.layers)
  func pairs(kind: String) throws {
    let (a, b) = (Self.eighths([3, 12], "a"), Self.eighths([10, 3], "b"))
    let m = Self.eighths([10], "m").adding(2)
    @Sendable func factors(_ ranges: [Range<Int>]) -> LowRankEffect {
      LowRankEffect(
        factors: ranges.map { (Variable(a[rows: $0]), Variable(b.sliced(axis: 1, $0))) },
        scale: 1.5)
    }
    for isNormalized in [false, true] {
      for strength: Float in [1, 0.5] {
        let found = try [[0..<1, 1..<3], [0..<3]].map { ranges in
          let norms = RowNorms()
          let adapter = OwnAdapter([:]) { _ in
            isNormalized
              ? .normalized(
                NormalizedEffect(lowRank: factors(ranges), magnitude: Variable(m), norms: norms))
              : .lowRank(factors(ranges))
          }
          return try results(kind, ["own": adapter], ["own": strength])
        }
        for (first, second) in zip(found[0], found[1]) {
          #expect(compare(first, to: second).isWithin(relative: 1e-5))
        }
        #expect(compare(found[0][0], to: found[0][1]).isWithin(relative: 1e-5))
      }
    }
  }

  @Test("scalings multiply and act on the base; what else there is, is taken on the base and added")
  func combination() throws {
    let layer = MethodTests.layer("dense with bias")
    let others = try Self.others("dense with bias")
    let base = layer(Variable(x)).value
    func change(_ adapter: any LinearAdapter) throws -> Tensor {
      try layer.attach(["": adapter], named: "one")
      defer { try? layer.detach("one") }
      return layer(Variable(x)).value - base
    }
    let (g, h) = (Self.eighths([10], "g").adding(1), Self.eighths([10], "h").adding(1))
    var expected = base * g * h
    for (_, adapter) in others.dropFirst() { expected = expected + (try change(adapter)) }
    for (name, vector) in [("g", g), ("h", h)] {
      let adapter = OwnAdapter([:]) { _ in .scaling(ScalingEffect(vector: Variable(vector))) }
      try layer.attach(["": adapter], named: name)
    }
    for (name, adapter) in others.dropFirst() { try layer.attach(["": adapter], named: name) }
    #expect(compare(layer(Variable(x)).value, to: expected).isWithin(relative: 1e-5))
    try layer.mergeAdapters(["g": 1, "h": 1, "lora": 1, "dora": 1, "loha": 1])
    #expect(compare(layer(Variable(x)).value, to: expected).isWithin(relative: 1e-5))
  }

  @Test func memoryFollowsFromTheEffect() throws {
    let layer = MethodTests.layer("dense")
    var random = SeededRandom(seed: 1, path: "memory")
    for method in [LoRA(rank: 3), LoRA(rank: 3, initialization: .pissa)] {
      let adapter = try method.makeAdapter(for: layer, using: &random)
      #expect(adapter.memory.rank == (method.initialization == .pissa ? 6 : 3))
      #expect(adapter.memory.keptWidth == 0 && adapter.memory.scratch == 0)
    }
    let scaling = OwnAdapter([:]) { _ in .scaling(ScalingEffect(vector: Variable(.ones([10])))) }
    #expect(scaling.memory == AdapterMemory(rank: 1, keptWidth: 10))
    let dora = try DoRA(rank: 2, dropout: 0.5).makeAdapter(for: layer, using: &random)
    #expect(dora.memory == AdapterMemory(rank: 2, keptWidth: 32))
    let loha = try LoHa(rank: 2).makeAdapter(for: layer, using: &random)
    #expect(loha.memory == AdapterMemory(rank: 4, scratch: 480))
  }
}

/// Methods of a user's own on an embedding.
@Suite struct EmbeddingEffectTests {
  private static let (vocabulary, size) = (9, 6)
  private let model: Table
  private let ids = Tensor([3, 0, 8, 3, 5, 1].map { Int64($0) }, shape: [2, 3])
  private let base: Tensor

  init() {
    model = Table()
    base = model.embed(ids).value
  }

  private func output(_ selection: AdapterSelection) throws -> Tensor {
    try model.withAdapters(selection) { model.embed(ids).value }
  }

  @Test(arguments: OwnEmbeddingMethod.Kind.allCases)
  func keepsTheLaws(_ kind: OwnEmbeddingMethod.Kind) throws {
    try model.inject(OwnEmbeddingMethod(kind: kind), named: "own", into: ["embed"])
    #expect(model.embed(ids).value == base, "fresh")
    let parameters = model.adapterParameters(named: "own")
    for (path, parameter) in parameters {
      var random = SeededRandom(seed: 4, path: path)
      parameter.value = parameter.value + random.normal(parameter.shape, standardDeviation: 0.3)
    }
    let full = try output(["own": 1])
    #expect(full != base)
    #expect(try output(["own": 0]) == base)
    for strength: Float in [0.5, -1] {
      #expect(
        compare(try output(["own": strength]), to: base + (full - base).scaled(by: strength))
          .isWithin(relative: 1e-5))
    }
    let gradients = checkGradients(of: parameters.map(\.parameter), tolerance: 2e-3) {
      model.embed(ids)
    }
    #expect(gradients.isCorrect, "\(gradients)")
    // Items of a batch with adapters of their own.
    let items = try model.withAdapters(perItem: [["own": 1], [:]]) { model.embed(ids).value }
    #expect(items[row: 0] == full[row: 0] && items[row: 1] == base[row: 1])
    // Merged.
    for selection: AdapterSelection in [["own": 1], ["own": 0.5]] {
      let unmerged = try output(selection)
      try model.mergeAdapters(selection)
      #expect(compare(model.embed(ids).value, to: unmerged).isWithin(relative: 1e-5))
      try model.unmergeAdapters()
    }
    try model.detach("own")
    #expect(model.embed(ids).value == base)
  }

  @Test("two adapters: the scaling acts on the table alone")
  func combination() throws {
    var expected = base
    for (name, kind) in [("scaled", OwnEmbeddingMethod.Kind.scaling), ("added", .lowRank)] {
      try model.inject(OwnEmbeddingMethod(kind: kind), named: name, into: ["embed"])
      for (path, parameter) in model.adapterParameters(named: name) {
        var random = SeededRandom(seed: 4, path: path)
        parameter.value = parameter.value + random.normal(parameter.shape, standardDeviation: 0.3)
      }
      expected = expected + (try output([name: 1]) - base)
    }
    #expect(compare(model.embed(ids).value, to: expected).isWithin(relative: 1e-5))
    try model.mergeAdapters(["scaled": 1, "added": 1])
    #expect(compare(model.embed(ids).value, to: expected).isWithin(relative: 1e-5))
  }

  @Test func whatSaysNothingOfVectorsIsRefused() throws {
    let adapter = OwnAdapter([:]) { _ in
      .computed(
        ComputedEffect { x, _, _ in
          x
        } delta: { base in
          base
        })
    }
    #expect(throws: AdapterError.self) { try model.attach(["embed": adapter], named: "own") }
    let scaling = AdapterDescription(layers: [
      .init(
        path: "embed", change: ScalingChange(vector: .ones([6]), scalesInput: false))
    ])
    #expect(throws: AdapterError.self) { try model.attach(scaling, named: "own") }
    #expect(model.adapterNames.isEmpty)
  }

  private final class Table: Module {
    let embed: Embedding
    init() {
      var random = SeededRandom(seed: 2, path: "table")
      embed = Embedding(
        vocabularySize: EmbeddingEffectTests.vocabulary, size: EmbeddingEffectTests.size,
        using: &random)
      embed.weight.isTrainable = false
    }
    var children: Named<any Module> { ["embed": embed] }
  }
}

/// A method for embeddings with an effect of each kind.
struct OwnEmbeddingMethod: EmbeddingAdapterMethod {
  enum Kind: CaseIterable, Sendable {
    case lowRank, normalized, scaling, tokenScaling, computed
  }
  let kind: Kind

  func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> OwnAdapter {
    throw .unsupported(layer: "of the test", reason: "it is for embeddings")
  }

  func makeAdapter(
    for embedding: Embedding, using random: inout SeededRandom
  ) throws(AdapterError) -> OwnAdapter {
    let (count, size) = (embedding.weight.shape[0], embedding.weight.shape[1])
    switch kind {
    case .lowRank, .normalized:
      let norms = RowNorms()
      var parameters: Named<Parameter> = [
        "a": Parameter(.zeros([2, count])), "b": Parameter(random.normal([size, 2])),
      ]
      if kind == .normalized {
        let squares = embedding.weight.value.permuted([1, 0]).squaredRowNorms().scalars()
        parameters =
          parameters + ["m": Parameter(Tensor(squares.map { $0.squareRoot() }))]
      }
      return OwnAdapter(parameters) { [kind] own in
        let lowRank = LowRankEffect(
          factors: [(Variable(own.parameter("a")), Variable(own.parameter("b")))], scale: 1.5)
        if kind == .lowRank { return .lowRank(lowRank) }
        return .normalized(
          NormalizedEffect(
            lowRank: lowRank, magnitude: Variable(own.parameter("m")), norms: norms))
      }
    case .scaling, .tokenScaling:
      let isOfTokens = kind == .tokenScaling
      return OwnAdapter(["s": Parameter(.zeros([isOfTokens ? count : size]))]) {
        .scaling(
          ScalingEffect(vector: Variable($0.parameter("s")).adding(1), scalesInput: isOfTokens))
      }
    case .computed:
      // A whole table of changes.
      return OwnAdapter(["d": Parameter(.zeros([count, size]))]) { own in
        let d = own.parameter("d")
        return .computed(
          ComputedEffect(
            vectors: { ids, _, strength in Variable(d).gathered(ids).scaled(by: strength) },
            change: { x, _, strength in x.matrixProduct(with: Variable(d)).scaled(by: strength) },
            delta: { _ in LinearWeights(weight: d.value.permuted([1, 0])) }))
      }
    }
  }
}

/// An adapter of a user's own, of any effect.
final class OwnAdapter: LinearAdapter {
  let parameters: Named<Parameter>
  private let makeEffect: @Sendable (OwnAdapter) -> AdapterEffect

  init(
    _ parameters: Named<Parameter>, effect: @escaping @Sendable (OwnAdapter) -> AdapterEffect
  ) {
    self.parameters = parameters
    makeEffect = effect
  }

  var effect: AdapterEffect { makeEffect(self) }

  func parameter(_ name: String) -> Parameter {
    guard let parameter = parameters[name] else { fatalError("no \(name)") }
    return parameter
  }
}
