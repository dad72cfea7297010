import Foundation
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import Testing

/// What merging writes, tensor by tensor and bit by bit.
@Suite struct MergedFilesTests {
  private func merged(
    _ model: String, adapter: String, type: DType? = nil, strength: Float = 1
  ) throws -> ModelDirectory {
    let pretrained = try PretrainedModel(path: model, type: type)
    try pretrained.model.loadAdapter(from: adapter, named: "a")
    try pretrained.model.mergeAdapters(["a": strength])
    let path = try Fixtures.temporaryFolder() + "/merged"
    try pretrained.save(to: path, type: type)
    return try ModelDirectory(path: path)
  }

  private func bytes(_ tensor: Tensor) -> [UInt8] { tensor.withUnsafeBytes { Array($0) } }

  /// The paths of an expert's gate and up, where `path` is what adapters call both together.
  private static func partsOfPair(_ path: String) -> [String] {
    guard let match = path.firstMatch(of: /experts\.gate_up_proj\.([0-9]+)$/) else { return [path] }
    let names = path.contains("block_sparse_moe") ? ["w1", "w3"] : ["gate_proj", "up_proj"]
    return names.map { path[..<match.range.lowerBound] + "experts.\(match.1).\($0)" }
  }

  @Test("types stay, what no adapter touches keeps its bits, each sum is rounded once")
  func mergingChangesNothingElse() throws {
    for name in Fixtures.models {
      let path = Fixtures.path("models/\(name)")
      let base = try ModelDirectory(path: path)
      let adapter = path + "/adapter"
      let result = try merged(path, adapter: adapter)
      let exact = try merged(path, adapter: adapter, type: .float32)
      #expect(Set(result.tensorNames) == Set(base.tensorNames), "\(name)")
      let file = try AdapterFile(path: adapter, options: .init(basePath: path))
      let layers = file.description.layers.flatMap { Self.partsOfPair($0.path) }
      var touched = 0
      for tensor in base.tensorNames {
        let (old, new) = (try base.tensor(named: tensor), try result.tensor(named: tensor))
        #expect(old.dtype == new.dtype && old.shape == new.shape, "\(name): \(tensor)")
        if layers.contains(where: { "\($0).weight".hasSuffix(tensor) }) {
          touched += 1
          let sum = try exact.tensor(named: tensor)
          #expect(
            sum.dtype == .float32 && new == sum.converted(to: old.dtype), "\(name): \(tensor)")
        } else {
          #expect(bytes(old) == bytes(new), "\(name): \(tensor)")
        }
      }
      #expect(touched == layers.count, "\(name)")
      #expect(result.configurationText == base.configurationText, "\(name)")
    }
  }

  /// A copy of a tiny tied model whose tensors are of three types, with what old checkpoints hold
  /// beside the parameters, and a field in its configuration that nothing here knows.
  private func mixedModel() throws -> String {
    let source = try ModelDirectory(path: Fixtures.path("models/llama-tied-v4"))
    var tensors: [(name: String, tensor: Tensor)] = []
    for name in source.tensorNames {
      let type: DType =
        name.contains("norm")
        ? .float32 : name.contains("layers.0.self_attn") ? .float16 : .bfloat16
      tensors.append((name, try source.tensor(named: name).converted(to: type)))
    }
    let table = try #require(tensors.first { $0.name == "model.embed_tokens.weight" })
    let frequencies = "model.layers.0.self_attn.rotary_emb.inv_freq"
    tensors.append((frequencies, Tensor([Float(1), 0.1, .infinity, -0.0])))
    tensors.append(("lm_head.weight", table.tensor))
    let path = try Fixtures.temporaryFolder() + "/mixed"
    let text = String(decoding: source.configurationText, as: UTF8.self)
      .replacing("\"mlp_bias\"", with: "\"of_another_program\": [1, 2.50],\n  \"mlp_bias\"")
    try ModelDirectory.write(
      tensors, configuration: Array(text.utf8), copies: [frequencies], to: path)
    return path
  }

  @Test func mixedTypesAndTensorsThatAreNoParametersStay() throws {
    let path = try mixedModel()
    let base = try ModelDirectory(path: path)
    let result = try merged(path, adapter: Fixtures.path("models/llama-tied-v4/adapter"))
    #expect(Set(result.tensorNames) == Set(base.tensorNames))
    var changed: [String] = []
    for name in base.tensorNames {
      let (old, new) = (try base.tensor(named: name), try result.tensor(named: name))
      #expect(old.dtype == new.dtype, "\(name)")
      if bytes(old) != bytes(new) { changed.append(name) }
    }
    let layers = try PEFTAdapterFile(path: Fixtures.path("models/llama-tied-v4/adapter"))
      .description.layers.map { $0.path + ".weight" }
    #expect(Set(changed) == Set(layers) && !changed.contains { $0.contains("norm") })
    #expect(result.configurationText == base.configurationText)
  }

  @Test("of a GGUF file each tensor that is not quantized keeps its type")
  func typesOfGGUF() throws {
    let file = Fixtures.path("gguf/models/qwen2-float16.gguf")
    let result = try merged(file, adapter: Fixtures.path("gguf/models/qwen2-float16-adapter"))
    let gguf = try GGUFFile(path: file)
    let pairs = [
      ("model.embed_tokens.weight", "token_embd.weight"),
      ("model.norm.weight", "output_norm.weight"),
      ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
    ]
    for (name, stored) in pairs {
      let type = try #require(gguf.entry(named: stored)?.type.dtype)
      let expected = type.isQuantized ? .float32 : type
      #expect(result.entry(named: name)?.dtype == expected, "\(name)")
    }
    // Norms are float32 there, and exactly so here.
    #expect(
      try result.tensor(named: "model.norm.weight") == gguf.tensor(named: "output_norm.weight"))
  }

  // MARK: - Overflow

  private func overflow(
    _ model: String, _ adapter: String, _ strength: Float, _ quantized: QuantizedMerging = .float32,
    change: (any PretrainedLanguageModel) throws -> Void = { _ in }
  ) throws -> AdapterError? {
    let model = try PretrainedModel(path: model).languageModel
    try model.loadAdapter(from: adapter, named: "a")
    try change(model)
    do throws(AdapterError) {
      try model.mergeAdapters(["a": strength], quantized: quantized)
      return nil
    } catch {
      #expect(!model.isMerged)
      return error
    }
  }

  @Test func sumsBeyondTheirTypeAreRefusedByLayerElementAndStrength() throws {
    let half = Fixtures.path("models/llama-llama3-v4-float16-sharded")
    let error = try #require(try overflow(half, half + "/adapter", 1e8))
    #expect(error.description.contains("layer model.layers.0."))
    #expect(error.description.contains("beyond float16's 65504.0"))
    #expect(error.description.contains("strength 1e+08"))
    #expect(error.description.contains("element [0, ") && error.description.contains("smaller"))
    let brain = Fixtures.path("models/qwen2-tied-v4-bfloat16")
    let huge = try overflow(brain, brain + "/adapter", 3e38) { model in
      for (_, parameter) in model.adapterParameters(named: "a") {
        parameter.value = parameter.value.scaled(by: 100)
      }
    }
    #expect(huge?.description.contains("strength 3e+38") == true)
    let quantized = Fixtures.path("gguf/models/llama-quantized")
    let blocks = try overflow(quantized + ".gguf", quantized + "-adapter", 1e9, .requantized)
    #expect(blocks?.description.contains("without quantizing again") == true)
    #expect(try overflow(quantized + ".gguf", quantized + "-adapter", 1e9) == nil)
  }

  @Test func factorsWhoseProductOverflowsAreBlamedThemselves() throws {
    let path = Fixtures.path("models/llama-grouped")
    let error = try overflow(path, path + "/adapter", 1) { model in
      for (name, parameter) in model.adapterParameters(named: "a") where name.contains("lora_") {
        parameter.value = parameter.value.scaled(by: 1e25)
      }
    }
    #expect(error?.description.contains("the adapter's own change") == true)
  }

  /// A change by LoHa or LoKr is of full rank, and its product may leave the stored type, or float32,
  /// although its factors are in range.
  @Test(arguments: ["loha", "lokr"]) func productsOfEveryMethodAreHeldAgainstTheType(
    method: String
  ) throws {
    let half = Fixtures.path("models/llama-llama3-v4-float16-sharded")
    func overflow(_ value: Float) throws -> AdapterError? {
      let model = try PretrainedModel(path: half).languageModel
      if method == "loha" {
        try model.inject(LoHa(rank: 2, alpha: 2), named: "a")
      } else {
        try model.inject(LoKr(rank: 2, alpha: 2), named: "a")
      }
      for (_, parameter) in model.adapterParameters(named: "a") {
        parameter.value = Tensor(
          [Float](repeating: value, count: parameter.shape.elementCount), shape: parameter.shape)
      }
      let untouched = model.namedParameters().map(\.parameter.value)
      do throws(AdapterError) {
        try model.mergeAdapters(["a": 1])
        return nil
      } catch {
        #expect(!model.isMerged)
        #expect(model.namedParameters().map(\.parameter.value) == untouched)
        return error
      }
    }
    #expect(try overflow(1) == nil)
    let stored = try #require(try overflow(1e3)?.description)
    #expect(stored.contains("layer model.layers.0.") && stored.contains("float16's 65504.0"))
    let own = try #require(try overflow(1e30)?.description)
    #expect(own.contains("the adapter's own change") && own.contains("beyond float32's"))
  }

  @Test func savingANarrowerTypeIsRefusedBeforeAnythingIsWritten() throws {
    let path = Fixtures.path("models/llama-grouped")
    let pretrained = try PretrainedModel(path: path)
    let name = "model.layers.1.mlp.up_proj.weight"
    let parameter = try #require(
      pretrained.model.namedParameters().first { $0.path == name }?.parameter)
    parameter.value.withUnsafeMutableBytes {
      $0.storeBytes(of: Float(7e4), toByteOffset: 12, as: Float.self)
    }
    let output = try Fixtures.temporaryFolder() + "/narrow"
    let error = #expect(throws: FormatError.self) {
      try pretrained.save(to: output, type: .float16)
    }
    #expect(error?.kind == .nonFinite)
    #expect(error?.description.contains("'\(name)': element [0, 3] is 70000.0") == true)
    #expect(error?.description.contains("beyond float16's 65504.0") == true)
    #expect(!FileManager.default.fileExists(atPath: output))
    try pretrained.save(to: output, type: .bfloat16)
  }
}
