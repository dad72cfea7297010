import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import TestSupport
import Testing

@Suite("GGUF adapters")
struct GGUFAdapterTests {
  private static let path = Fixtures.path("gguf/adapter.gguf")
  static let base = GGUFBase(
    architecture: "llama", headCount: 4, keyValueHeadCount: 2, headSize: 6, hasOutputHead: true)

  private static let paths = [
    "lm_head", "model.embed_tokens", "model.layers.0.self_attn.k_proj",
    "model.layers.0.self_attn.o_proj", "model.layers.0.self_attn.q_proj",
    "model.layers.0.self_attn.v_proj", "model.layers.11.mlp.down_proj",
  ]

  // MARK: Reading

  @Test("factors come out as they went into gguf-py, in Hugging Face's order, bit for bit")
  func reading() throws {
    let adapter = try GGUFAdapterFile(path: Self.path, base: Self.base)
    let plain = try SafetensorsFile(path: Fixtures.path("gguf/adapter.safetensors"))
    #expect(adapter.architecture == "llama")
    #expect(adapter.alpha == 12)
    #expect(adapter.description.metadata == ["general.name": "seven layers"])
    #expect(adapter.description.layers.map(\.path) == Self.paths)
    for layer in adapter.description.layers {
      let change = try #require(layer.lowRank)
      #expect(change.a == (try plain.tensor(named: layer.path + ".lora_A")), "\(layer.path)")
      #expect(change.b == (try plain.tensor(named: layer.path + ".lora_B")), "\(layer.path)")
      #expect(change.scale == 12 / Double(change.rank))
      #expect(change.alpha == 12)
      #expect(change.isEmbedding == (layer.path == "model.embed_tokens"))
      let isNarrow = layer.path.contains("q_proj") || layer.path.contains("k_proj")
      #expect(layer.storedType == (isNarrow ? .bfloat16 : .float32))
    }
  }

  @Test("an alpha of 0, and none, is a scale of 1")
  func noAlpha() throws {
    let scratch = try Scratch()
    for (name, value) in [("zero", GGUFValue.float32(0)), ("none", nil)] {
      let draft = try GGUFDraft(of: Self.path).setting("adapter.lora.alpha", value)
      let adapter = try GGUFAdapterFile(path: try draft.write(scratch, name), base: Self.base)
      #expect(adapter.alpha == 0)
      #expect(adapter.description.layers.allSatisfy { $0.lowRank?.scale == 1 })
    }
  }

  @Test("without a base, the file's own heads are used, and needed")
  func heads() throws {
    expectError(.missingKey, "blk.0.attn_q.weight.lora_b", "ordered by heads", "give the base") {
      _ = try GGUFAdapterFile(path: Self.path)
    }
    let scratch = try Scratch()
    let whole = try GGUFAdapterFile(path: Self.path, base: Self.base).description
    try GGUFAdapterFile.write(whole, base: Self.base, to: scratch.file("a"))
    let read = try GGUFAdapterFile(path: scratch.file("a")).description
    expectSame(read, whole)
    let noHeads = try GGUFDraft(of: Self.path).removing {
      $0.contains("attn_q") || $0.contains("attn_k")
    }
    let path = try noHeads.write(scratch, "b")
    #expect(try GGUFAdapterFile(path: path).description.layers.count == 5)
  }

  @Test("what a file gets wrong is named", arguments: GGUFFault.all)
  func faults(_ fault: GGUFFault) throws {
    let scratch = try Scratch()
    let path = try fault.change(try GGUFDraft(of: Self.path)).write(scratch, "a")
    do {
      _ = try GGUFAdapterFile(path: path, base: fault.base)
      Issue.record("nothing was thrown")
    } catch {
      #expect(error.kind == fault.kind, "\(error)")
      for text in fault.texts { #expect(error.description.contains(text), "\(error)") }
    }
  }

  @Test("quantized factors come out as their numbers")
  func quantized() throws {
    let scratch = try Scratch()
    let layer = plainGGUFLayer("lm_head", rank: 32, scale: 0.5, inputs: 64)
    let change = try #require(layer.lowRank)
    let (a, b) = (change.a.converted(to: .q8_0), change.b.converted(to: .q8_0))
    var draft = try GGUFDraft(of: Self.path)
    draft.tensors = [("output.weight.lora_a", a), ("output.weight.lora_b", b)]
    let adapter = try GGUFAdapterFile(path: try draft.write(scratch, "a"), base: Self.base)
    let read = try #require(adapter.description.layers.first)
    #expect(read.storedType == .float32)
    #expect(read.lowRank?.a == a.converted(to: .float32))
    #expect(read.lowRank?.b == b.converted(to: .float32))
    #expect(read.lowRank?.a != change.a)
  }

  @Test("3,000 damaged adapters: an error or an adapter, never a crash")
  func fuzz() throws {
    let scratch = try Scratch()
    let original = try bytes(of: Self.path)
    var random = SplitMix(state: 13)
    var (opened, refused) = (0, 0)
    for round in 0..<3000 {
      let path = try scratch.write("fuzz", mutated(original, using: &random))
      do {
        let adapter = try GGUFAdapterFile(path: path, base: round % 2 == 0 ? Self.base : nil)
        #expect(adapter.description.parameterCount > 0)
        opened += 1
      } catch {
        refused += 1
      }
      _ = try? GGUFBase(file: GGUFFile(path: path))
    }
    #expect(opened > 0)
    #expect(refused > 0)
  }

  // MARK: Writing

  @Test("what is written is what gguf-py wrote, and nothing had to be changed")
  func writing() throws {
    let scratch = try Scratch()
    let adapter = try GGUFAdapterFile(path: Self.path, base: Self.base)
    let report = try GGUFAdapterFile.write(
      adapter.description, base: Self.base, to: scratch.file("out.gguf"))
    #expect(report.alpha == 12)
    #expect(report.foldedLayers.isEmpty)
    let (ours, theirs) = (
      try GGUFFile(path: scratch.file("out.gguf")), try GGUFFile(path: Self.path)
    )
    #expect(Set(ours.names) == Set(theirs.names))
    for name in theirs.names {
      #expect(try ours.tensor(named: name) == theirs.tensor(named: name), "\(name)")
    }
    for item in theirs.keyValues { #expect(ours[item.key] == item.value, "\(item.key)") }
    #expect(ours["llama.attention.head_count"]?.intValue == 4)
    #expect(ours["llama.attention.head_count_kv"]?.intValue == 2)
  }

  @Test("one alpha for as many layers as possible; the others are folded with one rounding")
  func alphas() throws {
    // (ranks, scales) and the alpha that fits most; which layers must be folded.
    let root = 2.0.squareRoot()
    let cases: [(layers: [(rank: Int, scale: Double)], alpha: Float, folded: [Int])] = [
      ([(4, 2), (4, 2), (4, 2)], 8, []),
      ([(2, 4), (4, 2), (8, 1)], 8, []),
      ([(4, 0.3), (2, 0.6)], 1.2, []),
      ([(2, 4 / root), (2, 4 / root)], Float(8 / root), []),
      ([(2, 4 / root), (4, 2), (2, 4 / root)], Float(8 / root), [1]),
      ([(4, -2), (2, -4)], -8, []),
      ([(4, 1), (8, 1), (2, 1)], 0, []),
      ([(4, 1), (4, 1), (2, 1)], 0, []),
      ([(4, 1), (4, 1), (4, 2)], 4, [2]),
      ([(4, 1)], 4, []),
      ([(4, 0), (4, 2)], 8, [0]),
      ([(4, 0)], 1, [0]),
      ([(4, 1e300), (4, 2)], 8, [0]),
    ]
    let scratch = try Scratch()
    for (number, item) in cases.enumerated() {
      let layers = item.layers.enumerated().map { index, layer in
        plainGGUFLayer("model.layers.\(index).mlp.up_proj", rank: layer.rank, scale: layer.scale)
      }
      let path = scratch.file("\(number)")
      let whole = AdapterDescription(layers: layers)
      if item.layers.contains(where: { $0.scale > 1e30 }) {
        expectError(.nonFinite, "lora_b", "model.layers.0.mlp.up_proj") {
          try GGUFAdapterFile.write(whole, base: Self.base, to: path)
        }
        continue
      }
      let report = try GGUFAdapterFile.write(whole, base: Self.base, to: path)
      #expect(report.alpha == Double(item.alpha), "\(item)")
      #expect(
        report.foldedLayers == item.folded.map { "model.layers.\($0).mlp.up_proj" }, "\(item)")
      let read = try GGUFAdapterFile(path: path).description
      for (index, (old, new)) in zip(layers, read.layers).enumerated() {
        let (old, new) = (try #require(old.lowRank), try #require(new.lowRank))
        #expect(new.a == old.a)
        if item.folded.contains(index) {
          let ratio =
            item.alpha == 0 ? old.scale : old.scale * Double(old.rank) / Double(item.alpha)
          #expect(new.b.scalars() == old.b.scalars().map { Float(Double($0) * ratio) }, "\(item)")
        } else {
          #expect(new.b == old.b)
          #expect((new.scale - old.scale).magnitude <= old.scale.magnitude * 0x1.1p-24, "\(item)")
        }
      }
    }
  }

  @Test("types: as stored, wider where a scale is folded; narrower on request")
  func types() throws {
    let scratch = try Scratch()
    var narrow = plainGGUFLayer("model.layers.0.mlp.up_proj", rank: 4, scale: 2)
    narrow.storedType = .bfloat16
    var other = plainGGUFLayer("model.layers.1.mlp.up_proj", rank: 4, scale: 3)
    other.storedType = .float16
    var double = plainGGUFLayer("model.layers.2.mlp.up_proj", rank: 4, scale: 2)
    double.storedType = .float64
    let whole = AdapterDescription(layers: [narrow, other, double])
    func types(_ type: GGUFAdapterFile.FactorType) throws -> [GGUFTensorType] {
      try GGUFAdapterFile.write(whole, base: Self.base, as: type, to: scratch.file("a"))
      return try GGUFFile(path: scratch.file("a")).entries.map(\.type)
    }
    #expect(try types(.asStored) == [.bf16, .bf16, .f16, .f32, .f32, .f32])
    #expect(try types(.float32) == Array(repeating: .f32, count: 6))
    #expect(try types(.float16) == Array(repeating: .f16, count: 6))
    #expect(try types(.bfloat16) == Array(repeating: .bf16, count: 6))
    let large = AdapterDescription(layers: [
      .init(
        path: "lm_head", a: Tensor([1e6], shape: [1, 1]), b: Tensor([1], shape: [1, 1]), alpha: 1,
        scale: 1)
    ])
    expectError(.nonFinite, "'lm_head'", "lora_a", "float16's 65504.0", "float32") {
      try GGUFAdapterFile.write(large, base: Self.base, as: .float16, to: scratch.file("b"))
    }
  }

  @Test("what the format has no place for is refused by name", arguments: GGUFRefusal.all)
  func refusals(_ refusal: GGUFRefusal) throws {
    let scratch = try Scratch()
    do {
      try GGUFAdapterFile.write(refusal.adapter, base: refusal.base, to: scratch.file("a"))
      Issue.record("nothing was thrown")
    } catch let error as FormatError {
      #expect(error.kind == refusal.kind, "\(error)")
      for text in refusal.texts { #expect(error.description.contains(text), "\(error)") }
    }
    #expect(scratch.names.isEmpty)
  }

  @Test("metadata of other formats comes back")
  func metadata() throws {
    let scratch = try Scratch()
    let whole = AdapterDescription(
      layers: [plainGGUFLayer("lm_head", rank: 1, scale: 1)],
      metadata: [
        "format": "pt", "general.name": "x", "general.type": "model", "adapter.type": "dora",
      ])
    try GGUFAdapterFile.write(whole, base: Self.base, to: scratch.file("a"))
    let read = try GGUFAdapterFile(path: scratch.file("a"))
    #expect(read.description.metadata == ["format": "pt", "general.name": "x"])
  }

  @Test("GPT-2's and Qwen2's rows stay where they are; the outermost module may be left out")
  func otherArchitectures() throws {
    let scratch = try Scratch()
    for (architecture, path, name) in [
      ("gpt2", "h.3.attn.c_attn", "blk.3.attn_qkv"),
      ("gpt2", "transformer.h.3.attn.c_attn", "blk.3.attn_qkv"),
      ("qwen2", "model.layers.3.self_attn.q_proj", "blk.3.attn_q"),
    ] {
      let base = GGUFBase(
        architecture: architecture, headCount: 2, keyValueHeadCount: 2, headSize: 4,
        hasOutputHead: false)
      let layer = plainGGUFLayer(path, rank: 2, scale: 1, outputs: 24)
      try GGUFAdapterFile.write(
        AdapterDescription(layers: [layer]), base: base, to: scratch.file("a"))
      let file = try GGUFFile(path: scratch.file("a"))
      #expect(try file.tensor(named: name + ".weight.lora_b") == layer.lowRank?.b)
      let read = try GGUFAdapterFile(path: scratch.file("a")).description
      #expect(read.layers.map(\.path) == [path.hasPrefix("h.") ? "transformer." + path : path])
      #expect(read.layers[0].lowRank?.b == layer.lowRank?.b)
    }
  }

  @Test(
    "a trained adapter there and back",
    .enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func shared() throws {
    let shared = try #require(Fixtures.shared)
    let scratch = try Scratch()
    let whole = try PEFTAdapterFile(path: shared + "/reference/stories260k-lora/final").description
    let base = try GGUFBase(file: GGUFFile(path: shared + "/models/stories260k.gguf"))
    let report = try GGUFAdapterFile.write(whole, base: base, to: scratch.file("a"))
    #expect(report.foldedLayers.isEmpty)
    expectSame(try GGUFAdapterFile(path: scratch.file("a"), base: base).description, whole)
    let configuration = try ModelDirectory(path: shared + "/models/stories260k").configuration()
    let other = try GGUFBase(configuration: configuration)
    #expect(!other.hasOutputHead)
    try GGUFAdapterFile.write(whole, base: other, to: scratch.file("b"))
    #expect(try bytes(of: scratch.file("a")) == bytes(of: scratch.file("b")))
  }

  private func expectSame(
    _ a: AdapterDescription, _ b: AdapterDescription,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(a.layers.map(\.path) == b.layers.map(\.path), sourceLocation: sourceLocation)
    for (a, b) in zip(a.layers, b.layers) {
      #expect(a.lowRank?.a == b.lowRank?.a, "\(a.path)", sourceLocation: sourceLocation)
      #expect(a.lowRank?.b == b.lowRank?.b, "\(a.path)", sourceLocation: sourceLocation)
      #expect(a.lowRank?.scale == b.lowRank?.scale, "\(a.path)", sourceLocation: sourceLocation)
      #expect(a.storedType == b.storedType, "\(a.path)", sourceLocation: sourceLocation)
    }
  }
}
