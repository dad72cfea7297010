import Foundation
import LoRAJSON
import LoRATensor
import TestSupport
import Testing
@testable import LoRAFiles
@testable import LoRAFormats

/// Adapters in others' dialects: what diffusers, LyCORIS and mlx-lm write, and what they get back.
@Suite struct DialectTests {
  static func fixture(_ name: String) -> String { Fixtures.path("dialects/\(name).safetensors") }

  /// All tensors of a file by name.
  static func tensors(_ path: String) throws -> [String: Tensor] {
    let file = try SafetensorsFile(path: path)
    return try Dictionary(
      uniqueKeysWithValues: file.names.map { ($0, try file.tensor(named: $0)) })
  }

  /// FNV-1a, 64 bits, of the sorted lines.
  static func digest(_ lines: [String]) -> UInt64 {
    let sorted = lines.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    return sorted.joined(separator: "\n").appending("\n").utf8.reduce(0xCBF2_9CE4_8422_2325) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
  }

  /// An adapter with one small layer a path.
  static func description(
    _ paths: [String], rank: Int = 2, alpha: Double = 1, metadata: [String: String] = [:]
  ) -> AdapterDescription {
    var random = SplitMix(state: 3)
    func tensor(_ shape: Shape) -> Tensor {
      Tensor(
        (0..<shape.elementCount).map { _ in Float.random(in: -1...1, using: &random) },
        shape: shape)
    }
    return AdapterDescription(
      layers: paths.map { path in
        .init(
          path: path, a: tensor([rank, 3]), b: tensor([4, rank]), alpha: alpha,
          scale: alpha / Double(rank))
      }, metadata: metadata)
  }

  @Test(
    "every module of SD1.5 and SDXL has the name that diffusers' converters know",
    arguments: ["sd15", "sdxl"])
  func names(model: String) throws {
    let expected = try JSONValue(parsing: bytes(of: Fixtures.path("dialects/names.json")))[model]
    let modules = (model == "sdxl" ? ImageUNet.stableDiffusionXL : .stableDiffusion1).modules
    let paths = modules.map(\.diffusers)
    #expect(paths.count == expected?["modules"]?["count"]?.intValue)
    #expect("\(Self.digest(paths))" == expected?["modules"]?["fnv1a"]?.stringValue)

    // Written with kohya's names, read back, written with diffusers': which became which?
    let scratch = try Scratch()
    let all = Self.description(paths.map { "unet.\($0)" })
    let (kohya, notes) = try KohyaAdapterFile.fitting(all)
    #expect(notes.isEmpty)
    try kohya.write(to: scratch.file("kohya.safetensors"))
    let read = try KohyaAdapterFile(path: scratch.file("kohya.safetensors")).description
    try DiffusersAdapterFile(description: read).write(to: scratch.file("diffusers.safetensors"))
    let names = try Self.tensors(scratch.file("kohya.safetensors"))
    let keys = try Self.tensors(scratch.file("diffusers.safetensors"))
    let byContent = Dictionary(
      uniqueKeysWithValues: keys.filter { $0.key.hasSuffix("lora_A.weight") }
        .map { ($0.value.scalars(as: Float.self), $0.key) })
    let lines = try names.filter { $0.key.hasSuffix("lora_down.weight") }.map { name, tensor in
      let layer = name.dropLast(".lora_down.weight".count)
      return "\(layer)\t\(try #require(byContent[tensor.scalars(as: Float.self)]))"
    }
    #expect(lines.count == expected?["kohya"]?["count"]?.intValue)
    #expect("\(Self.digest(lines))" == expected?["kohya"]?["fnv1a"]?.stringValue)
    if model == "sdxl" {
      // Trainers on diffusers' UNet use its names for SDXL too.
      let own = paths.map { "lora_unet_" + $0.replacing(".", with: "_") }
      #expect(
        zip(own, paths).allSatisfy {
          ImageModuleNames.path(ofKohya: $0, modules: [:]) == "unet.\($1)"
        })
    }
  }

  @Test(
    "kohya to diffusers to PEFT and back: diffusers' keys, the same bits",
    arguments: ["sd15", "sdxl"])
  func roundTrip(model: String) throws {
    let scratch = try Scratch()
    let original = try Self.tensors(Self.fixture("kohya-\(model)"))
    let kohya = try AdapterFile(path: Self.fixture("kohya-\(model)"))
    #expect(kohya.format == .kohya)
    let alphas = try JSONValue(parsing: bytes(of: Fixtures.path("dialects/alphas.json")))[model]
    for layer in kohya.description.layers {
      let change = try #require(layer.lowRank)
      #expect(change.alpha == alphas?[layer.path]?.doubleValue, "\(layer.path)")
      #expect(change.scale == change.alpha / Double(change.rank))
      #expect(layer.storedType == .float16)
    }
    #expect(kohya.facts.contains { $0.name == "made with" && $0.value == "networks.lora" })

    let single = scratch.file("diffusers.safetensors")
    try kohya.write(as: .diffusers, to: single)
    let converted = try Self.tensors(single)
    let expected = try Self.tensors(Self.fixture("diffusers-\(model)"))
    #expect(converted == expected)

    let diffusers = try AdapterFile(path: single)
    #expect(diffusers.format == .diffusers)
    try diffusers.write(as: .peft, to: scratch.file("peft"))
    let peft = try AdapterFile(path: scratch.file("peft"))
    #expect(peft.format == .peft)
    let back = scratch.file("kohya.safetensors")
    try peft.write(as: .kohya, to: back)
    let result = try Self.tensors(back)
    for (name, tensor) in result {
      // An alpha that was missing or 0 is written as the rank that it means.
      let old = original[name]
      if name.hasSuffix(".alpha"), old == nil || old?.converted(to: .float32).item() == 0 {
        let layer = name.dropLast(".alpha".count)
        let rank = try #require(original["\(layer).lora_down.weight"]).shape[0]
        #expect(tensor.converted(to: .float32).item() == Float(rank))
      } else {
        #expect(tensor == old, "\(name)")
      }
    }
    #expect(Set(original.keys).isSubset(of: Set(result.keys)))
    #expect(result.count == 3 * kohya.description.layers.count)
    #expect(
      try AdapterFile(path: back).description.metadata["ss_network_module"] == "networks.lora")
  }

  @Test("diffusers' old names mean what diffusers makes of them")
  func oldDiffusers() throws {
    let scratch = try Scratch()
    let old = try AdapterFile(path: Self.fixture("diffusers-old"))
    #expect(old.format == .diffusers)
    try old.write(as: .diffusers, to: scratch.file("now.safetensors"))
    #expect(
      try Self.tensors(scratch.file("now.safetensors"))
        == Self.tensors(Self.fixture("diffusers-old-now")))
  }

  @Test("LyCORIS's methods: the weights' changes that its modules compute, the same bits back")
  func lycoris() throws {
    let scratch = try Scratch()
    let file = try AdapterFile(path: Self.fixture("lycoris"))
    #expect(file.format == .lycoris)
    let weights = try Self.tensors(Self.fixture("lycoris-weights"))
    #expect(file.description.layers.count == weights.count)
    #expect(
      Set(file.description.layers.map(\.change.methodName)) == ["LoRA", "DoRA", "LoHa", "LoKr"])
    for layer in file.description.layers {
      let expected = try #require(weights[layer.path]).scalars(as: Float.self)
      let change = try #require(layer.change.weightChange())
      #expect(change.elementCount == expected.count, "\(layer.path)")
      let greatest = expected.map(\.magnitude).max() ?? 0
      let error = zip(change.scalars(as: Float.self), expected).map { ($0 - $1).magnitude }.max()
      // A dozen products of float32 numbers.
      #expect((error ?? 1) <= 4e-6 * greatest, "\(layer.path)")
      let norm = expected.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      #expect(abs((layer.change.measured.norm ?? 0) - norm) <= 1e-5 * norm, "\(layer.path)")
    }
    try file.write(as: .lycoris, to: scratch.file("again.safetensors"))
    #expect(
      try Self.tensors(scratch.file("again.safetensors")) == Self.tensors(Self.fixture("lycoris")))
    #expect(try AdapterFile(path: scratch.file("again.safetensors")).format == .lycoris)
    for format in [AdapterFormat.kohya, .diffusers, .mlx, .loralib] {
      expectError(.unsupported, "layer 'unet.", format.title) {
        try file.write(as: format, to: scratch.file("refused"))
      }
    }
    #expect(scratch.names == ["again.safetensors"])
  }

  @Test("LyCORIS's own prefix needs the base's modules")
  func genericNames() throws {
    let scratch = try Scratch()
    let path = scratch.file("text.safetensors")
    let layers = ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"]
    let file = try KohyaAdapterFile.fitting(Self.description(layers), isLyCORIS: true).file
    try file.write(to: path)
    #expect(
      try Self.tensors(path).keys.contains(
        "lycoris_model_layers_0_self_attn_q_proj.lora_down.weight"))
    expectError(.unsupported, "lycoris_model", "give the base model") {
      _ = try AdapterFile(path: path)
    }
    let base = Fixtures.path("models/llama-grouped")
    var options = AdapterFile.Options(basePath: base)
    options.checksBase = false
    let read = try AdapterFile(path: path, options: options)
    #expect(read.description.layers.map(\.path) == layers)
    expectError(.unexpectedTensor, "no module of this name") {
      _ = try KohyaAdapterFile(path: path, modules: ["model.layers.0.mlp.up_proj"])
    }
  }

  @Test("MLX's LoRA and DoRA: transposed exactly, unknown fields kept")
  func mlx() throws {
    let scratch = try Scratch()
    for isDoRA in [false, true] {
      var description = Self.description(
        ["model.layers.1.self_attn.q_proj", isDoRA ? "model.layers.0.x" : "model.embed_tokens"],
        rank: 2, alpha: 20)
      for index in description.layers.indices where isDoRA {
        guard var change = description.layers[index].lowRank else { continue }
        change.magnitude = Tensor([1, 2, 3, 4])
        description.layers[index].change = change
      }
      var template = try MLXAdapterConfiguration(
        parsing: Array(#"{"lora_parameters":{"rank":9,"scale":1,"alpha":3},"iters":7}"#.utf8))
      template.dropout = 0.1
      let (file, notes) = try MLXAdapterFile.fitting(description, template: template)
      #expect(notes.isEmpty)
      try file.write(to: scratch.path)
      let object = try #require(
        try JSONValue(parsing: bytes(of: scratch.file("adapter_config.json"))).objectValue)
      #expect(object["iters"] == 7)
      #expect(object["fine_tune_type"]?.stringValue == (isDoRA ? "dora" : "lora"))
      #expect(object["lora_parameters"]?["alpha"] == 3)
      #expect(object["lora_parameters"]?["rank"] == 2)
      #expect(object["lora_parameters"]?["scale"] == 10.0)
      let tensors = try Self.tensors(scratch.file("adapters.safetensors"))
      let q = try #require(description.layers[1].lowRank)
      #expect(tensors["model.layers.1.self_attn.q_proj.lora_a"] == q.a.transposed())
      #expect(tensors["model.layers.1.self_attn.q_proj.lora_b"] == q.b.transposed())
      #expect(tensors["model.layers.1.self_attn.q_proj.m"] == q.magnitude)
      let read = try AdapterFile(path: scratch.path)
      #expect(read.format == .mlx)
      for (layer, expected) in zip(read.description.layers, description.layers) {
        let (found, change) = (try #require(layer.lowRank), try #require(expected.lowRank))
        #expect(layer.path == expected.path)
        #expect(found.a == change.a && found.b == change.b && found.scale == 10)
        #expect(found.magnitude == change.magnitude)
        #expect(found.isEmbedding == (layer.path == "model.embed_tokens"))
      }
    }
  }

  @Test("DoRA of an embedding, which MLX takes norms of rows for, is refused in both directions")
  func mlxEmbeddingDoRA() throws {
    let scratch = try Scratch()
    var description = Self.description(["model.embed_tokens"], rank: 2, alpha: 20)
    guard var change = description.layers[0].lowRank else { return }
    change.isEmbedding = true
    change.magnitude = Tensor([1, 2, 3, 4])
    description.layers[0].change = change
    expectError(.unsupported, "model.embed_tokens", "norms of rows") {
      _ = try MLXAdapterFile.fitting(description)
    }
    try SafetensorsWriter.write(
      [
        (name: "model.embed_tokens.lora_a", tensor: change.a.transposed()),
        (name: "model.embed_tokens.lora_b", tensor: change.b.transposed()),
        (name: "model.embed_tokens.m", tensor: Tensor([1, 2, 3])),
      ], to: scratch.file("adapters.safetensors"))
    try scratch.write(
      "adapter_config.json",
      #"{"fine_tune_type":"dora","num_layers":1,"lora_parameters":{"rank":2,"scale":1}}"#)
    expectError(.unsupported, "'model.embed_tokens.m'", "norms of the table's rows") {
      _ = try AdapterFile(path: scratch.path)
    }
  }

  @Test("MLX has one scale and one rank: others are folded and filled up, exactly where possible")
  func folding() throws {
    var description = Self.description(
      ["layers.0.q", "layers.1.q", "layers.2.q"], rank: 2, alpha: 2)
    let four = Self.description(["layers.3.q"], rank: 4, alpha: 8)
    description.layers += four.layers
    var third = try #require(description.layers[2].lowRank)
    third.scale = 0.3
    description.layers[2].change = third
    description.layers[2].storedType = .bfloat16
    let (file, notes) = try MLXAdapterFile.fitting(description)
    #expect(file.configuration.scale == 1 && file.configuration.rank == 4)
    #expect(file.configuration.keys == ["q"])
    #expect(notes.contains { $0.layer == "layers.2.q" && $0.text.contains("one float32 rounding") })
    #expect(notes.contains { $0.layer == "layers.3.q" && $0.text.contains("exactly") })
    #expect(notes.count { $0.text.contains("filled up to 4") } == 3)
    #expect(file.description.layers[2].storedType == .float32)
    for (layer, original) in zip(file.description.layers, description.layers) {
      let change = try #require(layer.change.weightChange()).scalars(as: Float.self)
      let expected = try #require(original.change.weightChange()).scalars(as: Float.self)
      #expect(zip(change, expected).allSatisfy { abs($0 - $1) <= 3e-7 * abs($1) + 1e-7 })
    }
  }

  @Test(
    "MLX's real adapter opens, goes to PEFT and back, the same bits",
    .enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func sharedMLX() throws {
    let path = try #require(Fixtures.shared) + "/adapters/mlx-qwen2.5-0.5b"
    let scratch = try Scratch()
    let mlx = try AdapterFile(path: path)
    #expect(mlx.format == .mlx && mlx.description.layers.count == 8)
    #expect(mlx.description.layers.allSatisfy { $0.lowRank?.scale == 10 })
    #expect(mlx.mlxConfiguration?.blockCount == 4)
    try mlx.write(as: .peft, to: scratch.file("peft"))
    let peft = try AdapterFile(path: scratch.file("peft"))
    try peft.write(as: .mlx, to: scratch.file("mlx"))
    let original = try Self.tensors(path + "/adapters.safetensors")
    #expect(try Self.tensors(scratch.file("mlx/adapters.safetensors")) == original)
    #expect(try AdapterFile(path: scratch.file("mlx")).mlxConfiguration?.scale == 10)

    // To GGUF, which needs the numbers of heads alone, and back.
    try scratch.write(
      "base/config.json",
      #"""
      {"model_type":"qwen2","hidden_size":896,"intermediate_size":4864,"num_hidden_layers":24,
       "num_attention_heads":14,"num_key_value_heads":2,"vocab_size":151936,
       "tie_word_embeddings":true,"max_position_embeddings":32768}
      """#)
    let options = AdapterFile.Options(basePath: scratch.file("base"))
    let gguf = scratch.file("adapter.gguf")
    #expect(try peft.write(as: .gguf, to: gguf, options: options).notes.isEmpty)
    for known in [options, AdapterFile.Options()] {
      let read = try AdapterFile(path: gguf, options: known)
      #expect(read.format == .gguf)
      let agreement = try mlx.description.agreement(with: read.description, file: gguf)
      #expect(agreement.identicalLayers == 8 && agreement.roundedLayers.isEmpty)
      try read.write(as: .mlx, to: scratch.file("from-gguf"))
      #expect(try Self.tensors(scratch.file("from-gguf/adapters.safetensors")) == original)
    }
    try mlx.write(as: .mlx, to: scratch.file("same"))
    let kept = try JSONValue(parsing: bytes(of: scratch.file("same/adapter_config.json")))
    let source = try JSONValue(parsing: bytes(of: path + "/adapter_config.json"))
    for (key, value) in try #require(source.objectValue) where key != "lora_parameters" {
      #expect(kept[key] == value, "\(key)")
    }
    #expect(kept["lora_parameters"]?["alpha"] == 16)
  }

  @Test("loralib's pairs, and merged projections with the groups given")
  func loralib() throws {
    let scratch = try Scratch()
    let description = Self.description(["h.0.attn.q", "h.1.attn.q"], rank: 2, alpha: 4)
    let path = scratch.file("lora.safetensors")
    let (file, alpha, notes) = try LoralibAdapterFile.fitting(description)
    #expect(alpha == 4)
    #expect(notes.map(\.text) == ["the file does not hold alpha: read it with 4.0"])
    try file.write(to: path)
    #expect(try Self.tensors(path).keys.sorted().first == "h.0.attn.q.lora_A")
    expectError(.missingKey, "alpha") { _ = try AdapterFile(path: path) }
    let read = try AdapterFile(path: path, options: .init(alpha: 4))
    #expect(read.format == .loralib)
    for (layer, original) in zip(read.description.layers, description.layers) {
      #expect(layer.lowRank?.a == original.lowRank?.a && layer.lowRank?.b == original.lowRank?.b)
      #expect(layer.lowRank?.scale == 2)
    }
    // q and v of q, k, v: [2 groups x 2, 3] and [2 groups x 4, 2].
    var random = SplitMix(state: 5)
    let a = Tensor((0..<12).map { _ in Float.random(in: -1...1, using: &random) }, shape: [4, 3])
    let b = Tensor((0..<16).map { _ in Float.random(in: -1...1, using: &random) }, shape: [8, 2])
    let merged = scratch.file("merged.safetensors")
    try SafetensorsWriter.write([("attn.lora_A", a), ("attn.lora_B", b)], to: merged)
    expectError(.unsupported, "2 projections in one", "enable_lora") {
      _ = try AdapterFile(path: merged, options: .init(alpha: 2))
    }
    expectError(.shapeMismatch, "enables 3") {
      _ = try AdapterFile(path: merged, options: .init(alpha: 2, mergedGroups: [true, true, true]))
    }
    let split = try AdapterFile(
      path: merged, options: .init(alpha: 2, mergedGroups: [true, false, true]))
    let change = try #require(split.description.layers[0].change.weightChange())
    #expect(change.shape == [12, 3])
    let q = b[rows: 0..<4].matrixProduct(with: a[rows: 0..<2])
    let v = b[rows: 4..<8].matrixProduct(with: a[rows: 2..<4])
    let expected = Tensor.concatenated([q, .zeros([4, 3]), v])
    #expect(
      zip(change.scalars(as: Float.self), expected.scalars(as: Float.self))
        .allSatisfy { abs($0 - $1) <= 1e-6 })
  }
}
