import LoRAFormats
import LoRATensor
import Testing

@Suite("Rank reduction and extraction")
struct RankReductionTests {
  static func random(_ shape: Shape, _ path: String) -> Tensor {
    var random = SeededRandom(seed: 9, path: path)
    return random.normal(shape)
  }

  static func low(_ out: Int, _ inner: Int, rank: Int, scale: Double = 2, _ path: String)
    -> AdapterDescription.Layer
  {
    .init(
      path: path, a: random([rank, inner], path + "a"), b: random([out, rank], path + "b"),
      alpha: scale * Double(rank), scale: scale)
  }

  static func distance(_ x: Tensor, _ y: Tensor) -> Double {
    (x - y).sumOfSquares().squareRoot()
  }

  @Test("a layer becomes the nearest one of the rank, and the report says how near")
  func reduceToRank() throws {
    let adapter = AdapterDescription(
      layers: [Self.low(20, 30, rank: 8, "p"), Self.low(16, 12, rank: 2, scale: -0.5, "q")],
      metadata: ["made": "here"])
    let (reduced, cuts) = try adapter.reduced(to: .rank(3))
    #expect(reduced.metadata == adapter.metadata)
    #expect(cuts.map(\.rank) == [3, 2] && cuts.map(\.originalRank) == [8, 2])
    let (before, after) = (
      CombinationTests.product(try #require(adapter.layers[0].lowRank)),
      CombinationTests.product(try #require(reduced.layers[0].lowRank))
    )
    let best = try before.singularValueDecomposition().truncated(to: 3).product()
    #expect(Self.distance(after, best) < 1e-5 * cuts[0].norm)
    #expect(abs(cuts[0].norm - before.sumOfSquares().squareRoot()) < 1e-5 * cuts[0].norm)
    let relative = Self.distance(before, after) / cuts[0].norm
    #expect(abs(1 - cuts[0].energy - relative * relative) < 1e-5)
    #expect(cuts[0].energy > 0.3 && cuts[0].energy < 0.99)
    // What has no larger rank stays bit for bit.
    let (kept, same) = (
      try #require(adapter.layers[1].lowRank), try #require(reduced.layers[1].lowRank)
    )
    #expect(same.a == kept.a && same.b == kept.b && same.scale == -0.5 && cuts[1].energy == 1)
  }

  @Test("an energy asks for the ranks it takes")
  func reduceToEnergy() throws {
    // A change of rank 2 in factors of rank 6.
    let (b, a) = (Self.random([15, 2], "b"), Self.random([2, 10], "a"))
    let mix = Self.random([2, 6], "mix")
    let back = Self.random([6, 2], "back")
    let layer = AdapterDescription.Layer(
      path: "p", a: back.matrixProduct(with: a), b: b.matrixProduct(with: mix), alpha: 6, scale: 1)
    let adapter = AdapterDescription(layers: [layer])
    let (reduced, cuts) = try adapter.reduced(to: .energy(0.99999))
    #expect(cuts[0].rank == 2 && cuts[0].energy > 0.99999)
    let (x, y) = (
      CombinationTests.product(try #require(layer.lowRank)),
      CombinationTests.product(try #require(reduced.layers[0].lowRank))
    )
    #expect(Self.distance(x, y) < 1e-5 * cuts[0].norm)
    for bad in [RankChoice.rank(0), .energy(0), .energy(1.5), .energy(.nan)] {
      #expect(throws: CombinationError.self) { try adapter.reduced(to: bad) }
    }
    var dora = adapter
    dora.layers[0].change = LowRankChange(
      a: layer.lowRank?.a ?? a, b: layer.lowRank?.b ?? b, alpha: 1, scale: 1,
      magnitude: .zeros([15]))
    #expect(throws: CombinationError.self) { try dora.reduced(to: .rank(1)) }
  }

  /// Two models as dictionaries: a linear layer, one as GPT-2 keeps it, a norm and an embedding.
  struct Pair {
    var base: [String: Tensor]
    var tuned: [String: Tensor]

    init() {
      base = [
        "h.0.q.weight": RankReductionTests.random([14, 10], "q"),
        "h.0.c_attn.weight": RankReductionTests.random([10, 12], "c"),
        "h.0.norm.weight": RankReductionTests.random([10], "n"),
        "wte.weight": RankReductionTests.random([9, 10], "e"),
        "h.0.same.weight": RankReductionTests.random([4, 4], "s"),
      ]
      tuned = base
    }

    func extract(_ extraction: AdapterExtraction) throws -> (
      adapter: AdapterDescription, report: AdapterExtraction.Report
    ) {
      try extraction.extract(
        names: base.keys.sorted(),
        kind: {
          $0.contains("c_attn") ? .transposedLinear : $0.contains("wte") ? .other : .linear
        },
        tuned: { try #require(tuned[$0]) }, base: { try #require(base[$0]) })
    }
  }

  @Test("the difference of two models is found again, layer by layer")
  func extraction() throws {
    var pair = Pair()
    let q = Self.low(14, 10, rank: 2, "q+")
    let c = Self.low(12, 10, rank: 3, "c+")
    let (dq, dc) = (
      CombinationTests.product(try #require(q.lowRank)),
      CombinationTests.product(try #require(c.lowRank))
    )
    pair.tuned["h.0.q.weight"]?.add(dq)
    pair.tuned["h.0.c_attn.weight"]?.add(dc.transposed())
    let (adapter, report) = try pair.extract(AdapterExtraction(.rank(3)))
    #expect(adapter.layers.map(\.path) == ["h.0.c_attn", "h.0.q"])
    #expect(report.unchangedCount == 3 && report.energy > 0.999999)
    for (layer, expected) in zip(adapter.layers, [dc, dq]) {
      let found = CombinationTests.product(try #require(layer.lowRank))
      #expect(Self.distance(found, expected) < 1e-5 * expected.sumOfSquares().squareRoot())
    }
    let exact = try pair.extract(AdapterExtraction(.energy(0.9999)))
    #expect(exact.report.layers.map(\.rank) == [3, 2])
    let cut = try pair.extract(AdapterExtraction(.rank(1))).report
    #expect(cut.layers.allSatisfy { $0.energy < 0.99 && $0.energy > 0.3 } && cut.energy < 0.99)
    let fast = try pair.extract(AdapterExtraction(.rank(1), iterations: 6)).report
    #expect(zip(fast.layers, cut.layers).allSatisfy { abs($0.energy - $1.energy) < 1e-4 })
    // bfloat16 models: what their numbers differ by, exactly.
    var narrow = pair
    narrow.base = pair.base.mapValues { $0.converted(to: .bfloat16) }
    narrow.tuned = pair.tuned.mapValues { $0.converted(to: .bfloat16) }
    #expect(try narrow.extract(AdapterExtraction(.rank(3))).report.energy > 0.999)
  }

  @Test("what is no linear layer's weight is refused, replaced or ignored as asked")
  func otherParameters() throws {
    var pair = Pair()
    pair.tuned["h.0.norm.weight"]?.add(Tensor([Float](repeating: 0.5, count: 10)))
    pair.tuned["wte.weight"] = Self.random([9, 10], "e2")
    #expect(throws: CombinationError.self) { try pair.extract(AdapterExtraction(.rank(1))) }
    let (adapter, report) = try pair.extract(AdapterExtraction(.rank(1), others: .replaced))
    #expect(adapter.replacements.map(\.path) == ["h.0.norm.weight", "wte.weight"])
    #expect(adapter.replacements.map(\.value) == adapter.replacements.map { pair.tuned[$0.path] })
    #expect(report.replaced == ["h.0.norm.weight", "wte.weight"] && adapter.layers.isEmpty)
    // Nothing is left for an adapter.
    #expect(throws: CombinationError.self) {
      try pair.extract(AdapterExtraction(.rank(1), others: .ignored))
    }
    pair.tuned["h.0.q.weight"] = Self.random([14, 10], "q2")
    let ignored = try pair.extract(AdapterExtraction(.rank(1), others: .ignored))
    #expect(ignored.report.ignored.count == 2 && ignored.adapter.layers.count == 1)
  }

  @Test("models that do not fit each other are refused with the parameter's name")
  func misfits() throws {
    func refusal(_ change: (inout Pair) -> Void) -> CombinationError? {
      var pair = Pair()
      change(&pair)
      do {
        _ = try pair.extract(AdapterExtraction(.rank(1)))
        return nil
      } catch { return error as? CombinationError }
    }
    #expect(refusal { _ in }?.kind == .empty)
    let shape = refusal { $0.tuned["h.0.q.weight"] = .zeros([15, 10]) }
    #expect(shape?.kind == .shapeMismatch)
    #expect(shape?.description.contains("'h.0.q.weight': it is [15, 10] in the tuned") == true)
    let broken = refusal {
      var values = $0.base["h.0.q.weight"]?.scalars() ?? []
      values[3] = .infinity
      $0.tuned["h.0.q.weight"] = Tensor(values, shape: [14, 10])
    }
    #expect(broken?.kind == .nonFinite)
    #expect(broken?.description.contains("element [") == true)
  }

  @Test("two model directories: the fixture, and itself with a layer changed")
  func directories() throws {
    let base = try ModelDirectory(path: Fixtures.path("models/llama-tied-v4"))
    let scratch = try Scratch()
    let name = "model.layers.1.mlp.up_proj.weight"
    let weight = try base.tensor(named: name).converted(to: .float32)
    let change = Self.low(weight.shape[0], weight.shape[1], rank: 2, scale: 0.1, "x")
    let delta = CombinationTests.product(try #require(change.lowRank))
    let tensors = try base.tensorNames.map { other in
      (name: other, tensor: other == name ? weight + delta : try base.tensor(named: other))
    }
    try ModelDirectory.write(
      tensors, configuration: base.configurationText, to: scratch.file("tuned"))
    let (adapter, report) = try AdapterExtraction(.energy(0.9999)).extract(
      tuned: scratch.file("tuned"), base: base.path)
    #expect(adapter.layers.map(\.path) == ["model.layers.1.mlp.up_proj"])
    #expect(report.layers.map(\.rank) == [2])
    let found = CombinationTests.product(try #require(adapter.layers[0].lowRank))
    #expect(Self.distance(found, delta) < 1e-3 * delta.sumOfSquares().squareRoot())
    // Another model's parameters are not this one's.
    #expect(throws: CombinationError.self) {
      try AdapterExtraction(.rank(1)).extract(
        tuned: Fixtures.path("models/qwen2-untied"), base: base.path)
    }
  }
}
