import Foundation
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import Testing

/// Adapters of every kind that PEFT saved (Tests/Reference/peft_formats.py).
@Suite("PEFT adapters of every kind")
struct PEFTFormatTests {
  static let folder = "formats/peft"
  static let names =
    (try? FileManager.default.contentsOfDirectory(atPath: Fixtures.path(folder)))?
    .filter { !$0.contains(".") }.sorted() ?? []

  private static func open(_ name: String) throws -> PEFTAdapterFile {
    try PEFTAdapterFile(path: Fixtures.path("\(folder)/\(name)"))
  }

  @Test("there are fixtures")
  func present() { #expect(Self.names.count >= 32) }

  @Test(
    "what an adapter adds to each weight, and replaces, is what PEFT adds and replaces",
    arguments: names)
  func function(_ name: String) throws {
    let deltas = try SafetensorsFile(path: Fixtures.path("\(Self.folder)/deltas.safetensors"))
    let description = try Self.open(name).description
    var expected = Set(deltas.names.filter { $0.hasPrefix(name + "/") })
    for layer in description.layers {
      let key = "\(name)/\(layer.path)"
      let reference = try deltas.tensor(named: key).converted(to: .float32)
        .scalars(as: Float.self)
      let found = change(layer.change)
      try #require(found.count == reference.count, "\(key)")
      // Factors are about 0.3, in bfloat16 PEFT rounds every product.
      let limit: Float = name == "bfloat16" ? 2e-2 : 2e-6
      let worst = zip(found, reference).map { abs($0 - $1) }.max() ?? 0
      #expect(worst <= limit, "\(key): \(worst)")
      expected.remove(key)
    }
    for replacement in description.replacements {
      let key = "\(name)/\(replacement.path)"
      guard expected.remove(key) != nil else {
        // Embeddings of a resized vocabulary, and biases that were trained everywhere.
        #expect(name.hasPrefix("resized") || name == "bias-all", "\(key)")
        continue
      }
      #expect(try deltas.tensor(named: key).converted(to: .float32) == replacement.value, "\(key)")
    }
    for tokens in description.replacedTokens {
      let key = "\(name)/\(tokens.path).rows"
      #expect(try deltas.tensor(named: key) == tokens.vectors)
      expected.remove(key)
    }
    // A head that shares its weight with the embedding has no vectors of its own.
    expected = expected.filter { !$0.hasSuffix("lm_head.rows") || !name.hasPrefix("tokens") }
    #expect(expected.isEmpty)
  }

  @Test(
    "written again, tensors are the same bytes and the configuration says the same",
    arguments: names)
  func roundTrip(_ name: String) throws {
    let scratch = try Scratch()
    let adapter = try Self.open(name)
    try adapter.write(to: scratch.path)
    let source = Fixtures.path("\(Self.folder)/\(name)")
    #expect(
      try JSONValue(parsing: bytes(of: scratch.file("adapter_config.json")))
        == JSONValue(parsing: bytes(of: source + "/adapter_config.json")))
    let weights = try bytes(of: scratch.file("adapter_model.safetensors"))
    let original = try bytes(of: source + "/adapter_model.safetensors")
    if ["bias-all", "resized-saved"].contains(name) {
      // PEFT stores some parameters under two names, and ignores one of them when it loads.
      let (new, old) = (
        try SafetensorsFile(path: scratch.file("adapter_model.safetensors")),
        try SafetensorsFile(path: source + "/adapter_model.safetensors")
      )
      let dropped = Set(old.names).subtracting(new.names)
      #expect(!dropped.isEmpty && dropped.allSatisfy { $0.contains(".modules_to_save.") })
      for tensor in new.names {
        #expect(try new.tensor(named: tensor) == old.tensor(named: tensor), "\(tensor)")
      }
    } else {
      #expect(weights == original)
    }
  }

  @Test("what belongs to the base is told from what replaces it")
  func parameters() throws {
    let embedding = try Self.open("embedding").description
    #expect(embedding.baseCopies.map(\.path) == ["model.embed_tokens.weight"])
    #expect(embedding.replacements.isEmpty)
    let table = try #require(embedding.layers.first { $0.path == "model.embed_tokens" }?.lowRank)
    #expect(table.isEmbedding && table.a.shape == [2, 11] && table.b.shape == [8, 2])

    let biases = try Self.open("bias-lora-only").description
    #expect(
      biases.replacements.map(\.path)
        == ["model.layers.0.self_attn.q_proj.bias", "model.layers.1.self_attn.q_proj.bias"])
    let all = try Self.open("bias-all").description
    #expect(all.replacements.map(\.path).contains("model.layers.0.self_attn.o_proj.bias"))
    #expect(all.replacements.map(\.path).contains("model.layers.1.self_attn.k_proj.weight"))
    #expect(all.baseCopies.map(\.path).first == "model.layers.0.self_attn.k_proj.bias")

    let saved = try Self.open("saved").description
    #expect(
      saved.replacements.map(\.path) == [
        "lm_head.weight", "model.layers.0.input_layernorm.weight",
        "model.layers.1.input_layernorm.weight",
      ])
    let resized = try Self.open("resized").description
    #expect(resized.replacements.map(\.path) == ["lm_head.weight", "model.embed_tokens.weight"])

    let tokens = try Self.open("tokens-by-module").description
    #expect(tokens.replacedTokens.map(\.path).sorted() == ["lm_head", "model.embed_tokens"])
    #expect(tokens.replacedTokens.first { $0.path == "lm_head" }?.ids == [2])
    #expect(try Self.open("tokens").description.replacedTokens.map(\.ids) == [[5, 3, 10]])
    let apart = try Self.open("resized-tokens").description
    #expect(apart.replacedTokens.map(\.ids) == [[3, 1]])
    #expect(apart.baseCopies.map(\.path) == ["model.embed_tokens.weight"])
    #expect(apart.replacements.map(\.path) == ["lm_head.weight"])
  }

  @Test("methods and what only they have")
  func methods() throws {
    #expect(try Self.open("dora").description.layers.allSatisfy { $0.change.methodName == "DoRA" })
    #expect(try Self.open("gpt2").configuration.lora?.hasTransposedBase == true)
    #expect(try Self.open("converted").description.layers.first?.lowRank?.rank == 4)
    let both = try Self.open("lokr-both")
    #expect(
      both.configuration.method
        == .lokr(.init(decomposesBoth: true, factor: 4)))
    #expect(both.configuration.scale(forPath: "model.layers.0.self_attn.v_proj") == 0.5)
    let scaling = try Self.open("ia3").description.layers
    #expect(
      scaling.filter(\.change.scalesInput).map(\.path).sorted() == [
        "model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj",
      ])
    let loha = try Self.open("loha")
    #expect(loha.configuration.rank(forPath: "model.layers.0.mlp.down_proj") == 1)
    #expect(loha.configuration.scale(forPath: "model.layers.1.mlp.down_proj") == 0.5)
    #expect(loha.configuration.method == .loha(.init(rankDropout: 0.1, moduleDropout: 0.2)))
  }

  @Test("PEFT's division of a weight for LoKr")
  func shapes() throws {
    let lokr = PEFTAdapterConfiguration.LoKr()
    let square = lokr.shapes(outputs: 256, inputs: 127, rank: 4)
    #expect(square.first == (16, 1) && square.second == (16, 127))
    #expect(square.isFirstWhole && !square.isSecondWhole)
    let near = PEFTAdapterConfiguration.LoKr(decomposesBoth: true, factor: 4)
      .shapes(outputs: 10, inputs: 128, rank: 1)
    #expect(near.first == (2, 4) && near.second == (5, 32))
    #expect(!near.isFirstWhole && !near.isSecondWhole)
    #expect(lokr.shapes(outputs: 8, inputs: 12, rank: 2).isSecondWhole)
  }
}

extension LayerChange {
  fileprivate var scalesInput: Bool {
    (self as? ScalingChange)?.scalesInput ?? false
  }
}

// MARK: - Changes from their definitions

/// A matrix in double, from a tensor whose axes after the first are one.
private struct Matrix {
  var rows: Int
  var columns: Int
  var values: [Double]

  init(rows: Int, columns: Int, _ values: [Double]) {
    (self.rows, self.columns, self.values) = (rows, columns, values)
  }

  init(_ tensor: Tensor) {
    rows = tensor.shape[0]
    columns = tensor.elementCount / rows
    values = tensor.scalars(as: Float.self).map(Double.init)
  }

  subscript(row: Int, column: Int) -> Double { values[row * columns + column] }

  static func * (a: Matrix, b: Matrix) -> Matrix {
    precondition(a.columns == b.rows)
    var result = Matrix(
      rows: a.rows, columns: b.columns, [Double](repeating: 0, count: a.rows * b.columns))
    for i in 0..<a.rows {
      for j in 0..<b.columns {
        for k in 0..<a.columns { result.values[i * b.columns + j] += a[i, k] * b[k, j] }
      }
    }
    return result
  }

  var transposed: Matrix {
    var result = Matrix(rows: columns, columns: rows, [])
    for j in 0..<columns { for i in 0..<rows { result.values.append(self[i, j]) } }
    return result
  }

  /// The weight of a core [r, r, height, width] and factors [r, outputs], [r, inputs].
  init(core: Tensor, _ a: Tensor, _ b: Tensor) {
    let r = core.shape[0]
    let area = core.shape[2] * core.shape[3]
    let (a, b, t) = (Matrix(a), Matrix(b), core.scalars(as: Float.self).map(Double.init))
    self.init(rows: a.columns, columns: b.columns * area, [])
    for p in 0..<a.columns {
      for q in 0..<b.columns {
        for x in 0..<area {
          var sum = 0.0
          for i in 0..<r {
            for j in 0..<r { sum += t[(i * r + j) * area + x] * a[i, p] * b[j, q] }
          }
          values.append(sum)
        }
      }
    }
  }
}

/// What a change adds to the weight [outputs, rest], row by row; of an embedding to its table. IA3's
/// is its vector.
private func change(_ change: any LayerChange) -> [Float] {
  switch change {
  case let change as LowRankChange:
    let product = Matrix(change.b) * Matrix(change.a)
    let result = change.isEmbedding ? product.transposed : product
    return result.values.map { Float(change.scale * $0) }
  case let change as HadamardChange:
    let pairs = [(change.t1, change.b1, change.a1), (change.t2, change.b2, change.a2)]
    let factors = pairs.map { core, b, a in
      core.map { Matrix(core: $0, b, a) } ?? Matrix(b) * Matrix(a)
    }
    return zip(factors[0].values, factors[1].values).map { Float(change.scale * $0 * $1) }
  case let change as KroneckerChange:
    func whole(_ factor: KroneckerChange.Factor) -> Matrix {
      switch factor {
      case .whole(let tensor): Matrix(tensor)
      case .product(let a, let b): Matrix(a) * Matrix(b)
      case .tucker(let a, let b, let core): Matrix(core: core, a, b)
      }
    }
    let (first, second) = (whole(change.first), whole(change.second))
    var result: [Float] = []
    for i in 0..<first.rows {
      for k in 0..<second.rows {
        for j in 0..<first.columns {
          for l in 0..<second.columns {
            result.append(Float(change.scale * first[i, j] * second[k, l]))
          }
        }
      }
    }
    return result
  case let change as ScalingChange: return change.vector.scalars(as: Float.self)
  default: return []
  }
}
