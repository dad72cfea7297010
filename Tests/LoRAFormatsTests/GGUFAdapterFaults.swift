import LoRAArchitectures
import LoRAFiles
import LoRAFormats
import LoRATensor
import TestSupport
import Testing

/// A layer with random factors.
func plainGGUFLayer(
  _ path: String, rank: Int, scale: Double, inputs: Int = 5, outputs: Int = 6
) -> AdapterDescription.Layer {
  var random = SplitMix(state: UInt64(rank))
  func tensor(_ shape: Shape) -> Tensor {
    // Numbers that every type holds exactly.
    Tensor(
      (0..<shape.elementCount).map { _ in Float(Int.random(in: -64...64, using: &random)) / 32 },
      shape: shape)
  }
  return .init(
    path: path, a: tensor([rank, inputs]), b: tensor([outputs, rank]),
    alpha: scale * Double(rank), scale: scale)
}

// MARK: - Faulty files

/// A file's content, to be changed and written again.
struct GGUFDraft {
  var keyValues: [GGUFFile.KeyValue]
  var tensors: [(name: String, tensor: Tensor)]

  init(of path: String) throws {
    let file = try GGUFFile(path: path)
    keyValues = file.keyValues
    tensors = try file.names.map { ($0, try file.tensor(named: $0)) }
  }

  func setting(_ key: String, _ value: GGUFValue?) -> GGUFDraft {
    var copy = self
    copy.keyValues.removeAll { $0.key == key }
    if let value { copy.keyValues.append(.init(key: key, value: value)) }
    return copy
  }

  func removing(_ condition: (String) -> Bool) -> GGUFDraft {
    var copy = self
    copy.tensors.removeAll { condition($0.name) }
    return copy
  }

  func replacing(_ name: String, _ change: (Tensor) -> Tensor) -> GGUFDraft {
    var copy = self
    copy.tensors = tensors.map { $0.name == name ? ($0.name, change($0.tensor)) : $0 }
    return copy
  }

  func adding(_ name: String, _ tensor: Tensor) -> GGUFDraft {
    var copy = self
    copy.tensors.append((name, tensor))
    return copy
  }

  func write(_ scratch: Scratch, _ name: String) throws -> String {
    try GGUFWriter.write(
      keyValues, tensors: tensors.map { .init(name: $0.name, tensor: $0.tensor, isCopy: true) },
      to: scratch.file(name))
    return scratch.file(name)
  }
}

/// A change to the fixture after which it must be refused.
struct GGUFFault: Sendable, CustomTestStringConvertible {
  let kind: FormatError.Kind
  let texts: [String]
  let base: GGUFBase
  let change: @Sendable (GGUFDraft) -> GGUFDraft
  var testDescription: String { texts.joined(separator: ", ") }

  init(
    _ kind: FormatError.Kind, _ texts: String..., base: GGUFBase = GGUFAdapterTests.base,
    _ change: @escaping @Sendable (GGUFDraft) -> GGUFDraft = { $0 }
  ) {
    (self.kind, self.texts, self.base, self.change) = (kind, texts, base, change)
  }

  private static func base(_ shapes: [String: Shape]) -> GGUFBase {
    var base = GGUFAdapterTests.base
    base.shapes = shapes
    return base
  }

  static let all: [GGUFFault] = [
    GGUFFault(.typeMismatch, "general.type", "expected 'adapter', found 'model'") {
      $0.setting("general.type", nil)
    },
    GGUFFault(.typeMismatch, "general.type", "expected 'adapter', found 'vocab'") {
      $0.setting("general.type", .string("vocab"))
    },
    GGUFFault(.typeMismatch, "general.type", "expected a string") {
      $0.setting("general.type", .int8(1))
    },
    GGUFFault(.missingKey, "adapter.type") { $0.setting("adapter.type", nil) },
    GGUFFault(.unsupported, "adapter.type", "'control_vector'") {
      $0.setting("adapter.type", .string("control_vector"))
    },
    GGUFFault(.unsupported, "aLoRA") {
      $0.setting("adapter.alora.invocation_tokens", .array(.uint32([1])))
    },
    GGUFFault(.missingKey, "general.architecture") { $0.setting("general.architecture", nil) },
    GGUFFault(.invalidValue, "the adapter is for 'qwen2', the base is 'llama'") {
      $0.setting("general.architecture", .string("qwen2"))
    },
    GGUFFault(
      .unsupported, "'mamba'",
      base: GGUFBase(
        architecture: "mamba", headCount: 1, keyValueHeadCount: 1, headSize: 1, hasOutputHead: true)
    ) { $0.setting("general.architecture", .string("mamba")) },
    GGUFFault(.typeMismatch, "adapter.lora.alpha", "float64") {
      $0.setting("adapter.lora.alpha", .float64(12))
    },
    GGUFFault(.nonFinite, "adapter.lora.alpha") {
      $0.setting("adapter.lora.alpha", .float32(.nan))
    },
    GGUFFault(.missingTensor, "no factors") { $0.removing { _ in true } },
    GGUFFault(.missingTensor, "'output.weight.lora_b'", "although 'output.weight.lora_a' is there")
    {
      $0.removing { $0 == "output.weight.lora_b" }
    },
    GGUFFault(.missingTensor, "'output.weight.lora_a'") {
      $0.removing { $0 == "output.weight.lora_a" }
    },
    GGUFFault(.unexpectedTensor, "'output.weight'", "neither") {
      $0.adding("output.weight", Tensor([1]))
    },
    GGUFFault(.unsupported, "'blk.0.attn_norm.weight'", "skips without a word") {
      $0.adding("blk.0.attn_norm.weight", Tensor([1]))
    },
    GGUFFault(.unsupported, "adds no adapter to 'output_norm.weight'") {
      $0.adding("output_norm.weight.lora_a", .zeros([1, 1]))
        .adding("output_norm.weight.lora_b", .zeros([1, 1]))
    },
    GGUFFault(.unexpectedTensor, "no tensor 'blk.01.ffn_up.weight'") {
      $0.adding("blk.01.ffn_up.weight.lora_a", .zeros([1, 1]))
    },
    GGUFFault(.unexpectedTensor, "no tensor 'blk.0.ffn_up.bias'") {
      $0.adding("blk.0.ffn_up.bias.lora_a", .zeros([1, 1]))
    },
    GGUFFault(.unexpectedTensor, "no tensor 'blk.0.ssm_in.weight'") {
      $0.adding("blk.0.ssm_in.weight.lora_a", .zeros([1, 1]))
    },
    GGUFFault(.shapeMismatch, "'output.weight.lora_b'", "its rank is 7", "is 3", "transposed") {
      $0.replacing("output.weight.lora_b") { $0.transposed() }
    },
    GGUFFault(.shapeMismatch, "'output.weight.lora_a'", "expected a matrix") {
      $0.replacing("output.weight.lora_a") { $0.reshaped(to: [1, 3, 10]) }
    },
    GGUFFault(.shapeMismatch, "'output.weight.lora_a'", "expected a matrix") {
      $0.replacing("output.weight.lora_a") { _ in .zeros([0, 10]) }
    },
    GGUFFault(.typeMismatch, "'output.weight.lora_a'", "int32") {
      $0.replacing("output.weight.lora_a") { $0.converted(to: .int32) }
    },
    GGUFFault(.nonFinite, "'output.weight.lora_a'", "[1, 2]", "diverged") {
      $0.replacing("output.weight.lora_a") { tensor in
        var scalars = tensor.scalars()
        scalars[12] = .infinity
        return Tensor(scalars, shape: tensor.shape)
      }
    },
    GGUFFault(.shapeMismatch, "'blk.0.attn_q.weight.lora_b'", "23 rows", "4 heads of pairs") {
      $0.replacing("blk.0.attn_q.weight.lora_b") { $0[rows: 0..<23] }
    },
    GGUFFault(.unexpectedTensor, "'token_embd.weight.lora_a'", "the base has no", base: base([:])),
    GGUFFault(
      .shapeMismatch, "'token_embd.weight.lora_a'", "for a tensor [7, 10]", "is [7, 11]",
      base: base(["token_embd.weight": [7, 11]])),
  ]
}

// MARK: - What cannot be written

/// An adapter that must be refused.
struct GGUFRefusal: Sendable, CustomTestStringConvertible {
  let kind: FormatError.Kind
  let texts: [String]
  let adapter: AdapterDescription
  let base: GGUFBase
  var testDescription: String { texts.joined(separator: ", ") }

  private init(
    _ kind: FormatError.Kind, _ texts: String..., base: GGUFBase = GGUFAdapterTests.base,
    of adapter: AdapterDescription
  ) {
    (self.kind, self.texts, self.base, self.adapter) = (kind, texts, base, adapter)
  }

  private static let up = "model.layers.0.mlp.up_proj"

  /// An adapter on one layer whose change is edited.
  private static func with(
    _ path: String = up, outputs: Int = 6, _ edit: (inout LowRankChange) -> Void = { _ in }
  ) -> AdapterDescription {
    var layer = plainGGUFLayer(path, rank: 2, scale: 1, outputs: outputs)
    if var change = layer.lowRank {
      edit(&change)
      layer.change = change
    }
    return AdapterDescription(layers: [layer])
  }

  private static func other(_ change: any LayerChange) -> AdapterDescription {
    AdapterDescription(layers: [.init(path: up, change: change)])
  }

  private static let matrix = Tensor.zeros([2, 2])
  private static var tied: GGUFBase {
    var base = GGUFAdapterTests.base
    base.hasOutputHead = false
    return base
  }

  private static func known(_ shapes: [String: Shape]) -> GGUFBase {
    var base = GGUFAdapterTests.base
    base.shapes = shapes
    return base
  }

  static var all: [GGUFRefusal] {
    [
      GGUFRefusal(.missingTensor, "no layers", of: AdapterDescription(layers: [])),
      GGUFRefusal(
        .unsupported, up, "DoRA's magnitudes", "merge the adapter",
        of: with { $0.magnitude = Tensor([1, 1, 1, 1, 1, 1]) }),
      GGUFRefusal(.unsupported, up, "bias of B", of: with { $0.bias = .zeros([6]) }),
      GGUFRefusal(.unsupported, up, "convolutions", of: with { $0.middle = .zeros([2, 2, 3, 3]) }),
      GGUFRefusal(
        .unsupported, up, "convolutions",
        of: with {
          $0 = LowRankChange(a: .zeros([2, 5, 3, 3]), b: .zeros([6, 2, 1, 1]), alpha: 1, scale: 1)
        }),
      GGUFRefusal(
        .unsupported, up, "LoHa",
        of: other(
          HadamardChange(b1: matrix, a1: matrix, b2: matrix, a2: matrix, alpha: 1, scale: 1))),
      GGUFRefusal(
        .unsupported, up, "LoKr",
        of: other(
          KroneckerChange(
            first: .whole(matrix), second: .whole(matrix), rank: nil, alpha: 1, scale: 1))),
      GGUFRefusal(
        .unsupported, up, "IA3",
        of: other(ScalingChange(vector: Tensor([1, 1]), scalesInput: false))),
      GGUFRefusal(
        .unsupported, "'model.layers.0.mlp.up_proj.bias'", "replaces",
        of: AdapterDescription(
          layers: with().layers, replacements: [.init(path: up + ".bias", value: Tensor([1]))])),
      GGUFRefusal(
        .unsupported, "'model.embed_tokens'", "trained token vectors",
        of: AdapterDescription(
          layers: with().layers,
          replacedTokens: [.init(path: "model.embed_tokens", ids: [1], vectors: .zeros([1, 4]))])),
      GGUFRefusal(.unsupported, "'model.norm'", "adds no adapter", of: with("model.norm")),
      GGUFRefusal(.unsupported, "'visual.proj'", "no such layer", of: with("visual.proj")),
      GGUFRefusal(
        .invalidValue, up, "an embedding's, the layer is none", of: with { $0.isEmbedding = true }),
      GGUFRefusal(
        .invalidValue, "'model.embed_tokens'", "the layer is an embedding",
        of: with("model.embed_tokens")),
      GGUFRefusal(.nonFinite, up, "its scale is inf", of: with { $0.scale = .infinity }),
      GGUFRefusal(
        .nonFinite, up, "lora_b", of: with { $0.b = Tensor(repeating: .nan, shape: $0.b.shape) }),
      GGUFRefusal(
        .unsupported, "'lm_head'", "has no 'output.weight'", "merge", base: tied,
        of: with("lm_head")),
      GGUFRefusal(
        .unsupported, "'model.embed_tokens'", "to the head too, and fail", base: tied,
        of: with("model.embed_tokens") { $0.isEmbedding = true }),
      GGUFRefusal(
        .unsupported, up, "the base has no tensor 'blk.0.ffn_up.weight'", base: known([:]),
        of: with()),
      GGUFRefusal(
        .unsupported, "q_proj", "fused in 'blk.0.attn_qkv.weight'",
        base: known(["blk.0.attn_qkv.weight": [8, 8]]),
        of: with("model.layers.0.self_attn.q_proj", outputs: 24)),
      GGUFRefusal(
        .shapeMismatch, up, "a tensor [6, 5], the base's 'blk.0.ffn_up.weight' is [5, 6]",
        base: known(["blk.0.ffn_up.weight": [5, 6]]), of: with()),
      GGUFRefusal(
        .shapeMismatch, "k_proj", "24 outputs", "2 heads of 6",
        of: with("model.layers.0.self_attn.k_proj", outputs: 24)),
      GGUFRefusal(
        .duplicate, "'transformer.h.0.mlp.c_fc'", "layer 'h.0.mlp.c_fc' is the same",
        base: GGUFBase(
          architecture: "gpt2", headCount: 1, keyValueHeadCount: 1, headSize: 4,
          hasOutputHead: false),
        of: AdapterDescription(
          layers: with("h.0.mlp.c_fc").layers + with("transformer.h.0.mlp.c_fc").layers)),
      GGUFRefusal(
        .unsupported, "'mamba'",
        base: GGUFBase(
          architecture: "mamba", headCount: 1, keyValueHeadCount: 1, headSize: 4,
          hasOutputHead: false), of: with()),
    ]
  }
}

extension Tensor {
  fileprivate init(repeating value: Float, shape: Shape) {
    self.init([Float](repeating: value, count: shape.elementCount), shape: shape)
  }
}
