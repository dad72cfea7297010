import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import Testing

/// Against PEFT's own `add_weighted_adapter`: see Tests/Reference/combinations.py.
@Suite("Combinations of adapters")
struct CombinationTests {
  /// The reference runs and the adapters that they are of.
  struct Reference {
    let file: SafetensorsFile
    let cases: [JSONValue]
    let adapters: [String: AdapterDescription]

    init() throws {
      file = try SafetensorsFile(path: Fixtures.path("formats/combinations.safetensors"))
      let json = try JSONValue(parsing: bytes(of: Fixtures.path("formats/combinations.json")))
      cases = try #require(json["cases"]?.arrayValue)
      var adapters: [String: AdapterDescription] = [:]
      for (name, layers) in try #require(json["adapters"]?.objectValue) {
        var described: [AdapterDescription.Layer] = []
        for (path, layer) in try #require(layers.objectValue) {
          described.append(
            .init(
              path: path,
              change: LowRankChange(
                a: try file.tensor(named: "\(name)/\(path)/a"),
                b: try file.tensor(named: "\(name)/\(path)/b"),
                alpha: try #require(layer["alpha"]?.doubleValue),
                scale: try #require(layer["scale"]?.doubleValue),
                isEmbedding: layer["embedding"]?.boolValue ?? false)))
        }
        adapters[name] = AdapterDescription(layers: described)
      }
      self.adapters = adapters
    }

    func parts(_ one: JSONValue) throws -> [AdapterCombination.Part] {
      let names = try #require(one["adapters"]?.arrayValue).compactMap(\.stringValue)
      let weights = try #require(one["weights"]?.arrayValue).compactMap(\.doubleValue)
      return try zip(names, weights).map { name, weight in
        .init(try #require(adapters[name]), weight: weight, name: name)
      }
    }

    /// The way of combining that a case names; nil if there is no such method or sign.
    func combination(_ one: JSONValue) throws -> AdapterCombination? {
      guard
        let method = AdapterCombination.Method(rawValue: one["type"]?.stringValue ?? ""),
        let sign = AdapterCombination.MajoritySign(rawValue: one["sign"]?.stringValue ?? "")
      else { return nil }
      return AdapterCombination(
        method, rank: one["svd_rank"]?.intValue, density: one["density"]?.doubleValue,
        majoritySign: sign, seed: UInt64(one["seed"]?.intValue ?? 0))
    }
  }

  /// scale · B A as a matrix [out, in ...].
  static func product(_ change: LowRankChange) -> Tensor {
    change.b.reshaped(to: [change.outputSize, change.rank])
      .matrixProduct(
        with: change.a.reshaped(to: [change.rank, change.a.elementCount / change.rank])
      ).scaled(by: Float(change.scale))
  }

  static func difference(_ x: Tensor, _ y: Tensor) -> Float {
    guard x.shape == y.shape else { return .infinity }
    return zip(x.scalars(), y.scalars()).reduce(0) { max($0, abs($1.0 - $1.1)) }
  }

  @Test("every type gives PEFT's factors, or the product of PEFT's, and refuses what PEFT refuses")
  func agreement() throws {
    let reference = try Reference()
    #expect(reference.cases.count > 90)
    var refused = 0
    for one in reference.cases {
      let text = Comment(rawValue: one.encoded())
      guard let combination = try reference.combination(one) else {
        #expect(one["error"] != nil, text)
        refused += 1
        continue
      }
      let parts = try reference.parts(one)
      if one["error"] != nil {
        #expect(throws: CombinationError.self, text) { try combination.combine(parts) }
        refused += 1
        continue
      }
      let name = try #require(one["name"]?.stringValue)
      let scales = try #require(one["scales"]?.objectValue)
      let result = try combination.combine(parts)
      #expect(result.layers.map(\.path).sorted() == scales.keys.sorted(), text)
      for layer in result.layers {
        let change = try #require(layer.lowRank)
        #expect(change.scale == 1 && change.alpha == Double(change.rank), text)
        let key = "\(name)/\(layer.path)"
        if reference.file.entry(named: "\(key)/delta") != nil {
          let expected = try reference.file.tensor(named: "\(key)/delta")
          // What a truncated decomposition drops depends on gaps between singular values.
          let largest = expected.scalars().map(abs).max() ?? 0
          #expect(Self.difference(Self.product(change), expected) < 1e-5 * max(1, largest), text)
        } else {
          #expect(
            Self.difference(change.a, try reference.file.tensor(named: "\(key)/a")) < 1e-6, text)
          #expect(
            Self.difference(change.b, try reference.file.tensor(named: "\(key)/b")) < 1e-6, text)
        }
        #expect(change.isEmbedding == (layer.path == "embed"))
        // PEFT keeps the first adapter's use_rslora, and with it a scale that is not 1.
        let isStabilized = parts.first?.name == "stabilized"
        let scale = try #require(scales[layer.path]?.doubleValue)
        #expect(isStabilized ? scale > 1.9 : scale == 1, text)
      }
    }
    #expect(refused == 14)
  }

  @Test("cat is the sum of the adapters; linear has cross terms")
  func sum() throws {
    let reference = try Reference()
    let (first, second) = (
      try #require(reference.adapters["a"]), try #require(reference.adapters["small"])
    )
    let parts: [AdapterCombination.Part] = [
      .init(first, weight: 0.5, name: "a"), .init(second, weight: -2, name: "small"),
    ]
    for layer in try AdapterCombination(.cat).combine(parts).layers {
      let change = try #require(layer.lowRank)
      let shares = try [first, second].map { adapter in
        Self.product(
          try #require(adapter.layers.first { $0.path == layer.path }?.lowRank))
      }
      let expected = shares[0].scaled(by: 0.5) - shares[1].scaled(by: 2)
      #expect(change.rank == 6)
      #expect(Self.difference(Self.product(change), expected) < 1e-5)
    }
    let other = try #require(reference.adapters["b"])
    let linear = try AdapterCombination(.linear).combine([
      .init(first, name: "a"), .init(other, name: "b"),
    ])
    let cat = try AdapterCombination(.cat).combine([
      .init(first, name: "a"), .init(other, name: "b"),
    ])
    for (x, y) in zip(linear.layers, cat.layers) {
      #expect(
        Self.difference(
          Self.product(try #require(x.lowRank)), Self.product(try #require(y.lowRank))) > 0.1)
    }
  }

  @Test("random draws depend on seed, layer and place alone, and keep the expectation")
  func randomness() throws {
    var random = SeededRandom(seed: 3)
    func adapter() -> AdapterDescription {
      AdapterDescription(
        layers: ["p", "q"].map { path in
          .init(
            path: path, a: random.uniform([4, 500], in: 1..<2),
            b: random.uniform([600, 4], in: 1..<2), alpha: 4, scale: 1)
        })
    }
    let (x, y) = (adapter(), adapter())
    let parts: [AdapterCombination.Part] = [.init(x, name: "x"), .init(y, name: "y")]
    func factors(_ seed: UInt64, _ density: Double = 0.3) throws -> [Tensor] {
      try AdapterCombination(.dareLinear, density: density, seed: seed).combine(parts).layers
        .flatMap { layer in layer.change.tensors.map(\.tensor) }
    }
    let first = try factors(1)
    #expect(try factors(1) == first)
    for (a, b) in zip(first, try factors(2)) { #expect(a != b) }
    #expect(first[0] != first[2])

    let whole = try AdapterCombination(.linear).combine(parts).layers
      .flatMap { layer in layer.change.tensors.map(\.tensor) }
    for (found, expected) in zip(first, whole) {
      // The mean over n numbers x/p with probability p has a deviation of about √((1 - p)/(p n)) · x.
      let ratio = found.sum() / expected.sum()
      let deviation = (0.7 / (0.3 * Double(2 * found.elementCount))).squareRoot()
      #expect(abs(ratio - 1) < 4 * deviation)
      let dropped = found.scalars().filter { $0 == 0 }.count
      #expect(abs(Double(dropped) / Double(found.elementCount) - 0.49) < 0.06)
    }
    // An adapter's draws are those of its place, whoever stands beside it.
    let alone = AdapterDescription(layers: [x.layers[0]])
    let mixed = try AdapterCombination(.dareLinear, density: 0.3, seed: 1).combine([
      .init(alone, name: "x"), .init(AdapterDescription(layers: [y.layers[1]]), name: "y"),
    ])
    let kept = try #require(mixed.layers[0].lowRank).a.scalars()
    let before = try AdapterCombination(.dareLinear, density: 0.3, seed: 1).combine([
      .init(x, name: "x"), .init(y, weight: 0, name: "y"),
    ])
    #expect(try #require(before.layers[0].lowRank).a.scalars() == kept)
  }

  @Test("whatever has no weighted sum is refused by name")
  func refusals() throws {
    let a = Tensor([1, 2, 3, 4], shape: [2, 2])
    func lora(_ path: String = "q", _ change: (inout LowRankChange) -> Void = { _ in })
      -> AdapterDescription
    {
      var low = LowRankChange(a: a, b: a, alpha: 2, scale: 1)
      change(&low)
      return AdapterDescription(layers: [.init(path: path, change: low)])
    }
    func refusal(
      _ parts: [AdapterDescription], _ combination: AdapterCombination = .init(.cat),
      weight: Double = 1
    ) -> CombinationError? {
      do {
        let named = parts.enumerated().map {
          AdapterCombination.Part($1, weight: weight, name: "adapter \($0)")
        }
        _ = try combination.combine(named)
        return nil
      } catch { return error }
    }
    let plain = lora()
    #expect(refusal([plain, plain]) == nil)
    #expect(refusal([])?.kind == .empty)
    #expect(refusal([plain, AdapterDescription(layers: [])])?.kind == .empty)
    #expect(refusal([plain, plain], weight: .nan)?.kind == .invalidOption)
    #expect(refusal([plain, plain], .init(.svd, rank: 0))?.kind == .invalidOption)
    for method in AdapterCombination.Method.allCases where method.prunes {
      #expect(refusal([plain, plain], .init(method))?.subject == "density")
      #expect(refusal([plain, plain], .init(method, density: .nan))?.kind == .invalidOption)
      #expect((refusal([plain, plain], .init(method, density: 0)) != nil) == method.isRandom)
      #expect(refusal([plain, plain], .init(method, density: 2)) == nil)
    }

    let dora = lora { $0.magnitude = Tensor([1, 1]) }
    let error = try #require(refusal([plain, dora]))
    #expect(error.kind == .unsupported)
    #expect(error.description.contains("layer 'q' of 'adapter 1': DoRA"))
    let scaling = AdapterDescription(layers: [
      .init(
        path: "q", change: ScalingChange(vector: Tensor([1, 2]), scalesInput: false))
    ])
    #expect(try #require(refusal([scaling])).description.contains("IA3"))
    let loha = AdapterDescription(layers: [
      .init(
        path: "q",
        change: HadamardChange(b1: a, a1: a, b2: a, a2: a, alpha: 1, scale: 1))
    ])
    #expect(try #require(refusal([plain, loha])).description.contains("LoHa"))
    #expect(refusal([plain, lora { $0.bias = Tensor([0, 1]) }])?.kind == .unsupported)
    #expect(refusal([plain, lora { $0.bias = Tensor([0, 0]) }]) == nil)
    #expect(
      refusal([plain, lora { $0.b = Tensor([1, .nan, 1, 1], shape: [2, 2]) }])?.kind == .nonFinite)
    #expect(refusal([plain, lora { $0.isEmbedding = true }])?.kind == .shapeMismatch)
    let wider = lora { $0.a = Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]) }
    #expect(try #require(refusal([plain, wider])).description.contains("[2, 2] and [2, 2], those"))
    let mismatch = try #require(
      refusal(
        [
          plain,
          lora {
            $0.a = Tensor([1, 2], shape: [1, 2]); $0.b = Tensor([1, 2], shape: [2, 1])
          },
        ],
        .init(.ties, density: 0.5)))
    #expect(
      mismatch.description.contains(
        "'adapter 0' 2, 'adapter 1' 1; combine them by cat, or by ties_svd"))
  }

  @Test("parameters that are replaced whole are refused, kept or dropped as asked")
  func replacements() throws {
    let a = Tensor([1, 2, 3, 4], shape: [2, 2])
    let plain = AdapterDescription(layers: [.init(path: "q", a: a, b: a, alpha: 2, scale: 1)])
    var head = plain
    head.replacements = [.init(path: "lm_head.weight", value: a)]
    head.replacedTokens = [.init(path: "embed", ids: [1, 3], vectors: a)]
    let one: [AdapterCombination.Part] = [.init(plain, name: "x"), .init(head, name: "y")]
    let both: [AdapterCombination.Part] = [.init(head, name: "x"), .init(head, name: "y")]
    #expect(throws: CombinationError.self) { try AdapterCombination(.cat).combine(one) }
    let dropped = try AdapterCombination(.cat, replacements: .dropped).combine(one)
    #expect(dropped.replacements.isEmpty && dropped.replacedTokens.isEmpty)
    let kept = try AdapterCombination(.cat, replacements: .kept).combine(one)
    #expect(kept.replacements.map(\.value) == [a] && kept.replacedTokens.map(\.ids) == [[1, 3]])
    for policy in [AdapterCombination.Replacements.kept, .dropped] {
      #expect(throws: CombinationError.self) {
        try AdapterCombination(.cat, replacements: policy).combine(both)
      }
    }
  }
}
