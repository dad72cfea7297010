import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAJSON
import LoRATensor
import Testing

@Suite("GGUF's names and rows")
struct GGUFNamesTests {
  /// What llama.cpp has no name for, by architecture: Phi's norms of heads, Falcon RW's second norm.
  private static let unnamed = [
    "phi2": ["self_attn.q_layernorm", "self_attn.k_layernorm"],
    "falcon": ["post_attention_layernorm"],
  ]

  @Test("parameters have the names that gguf-py gives them, and back")
  func names() throws {
    let object = try #require(
      try JSONValue(parsing: bytes(of: Fixtures.path("gguf/names.json"))).objectValue)
    #expect(Set(object.keys) == Set(Architecture.ggufNames))
    for (architecture, value) in object {
      let names = try #require(GGUFTensorNames(architecture: architecture))
      let table = try #require(value.objectValue)
      // llama.cpp's Gemma has no head of its own.
      let known = names.modules.filter { module in
        // llama.cpp's Qwen3-MoE has no layers without experts.
        let isDense = ["ffn_gate", "ffn_up", "ffn_down"].contains(module.role)
        // Text parts that have a name of their own, or share that of the model alone.
        let isOfPart = module.path.contains("language_model")
        // gguf-py knows gpt-oss's stacks of experts by other names.
        let isOfStack = architecture == "gpt-oss" && module.path.contains(".experts.")
        return !(architecture == "qwen3moe" && isDense) && module.kind != .expertPair && !isOfStack
          && isOfPart == (isOfPart && ["qwen2vl", "mistral3"].contains(architecture))
          && (module.kind != .head || table["\(module.path).weight"] != nil)
          && !(Self.unnamed[architecture] ?? []).contains { module.path.hasSuffix($0) }
      }
      #expect(
        table.count == known.count { !$0.path.contains("{}") } + 2
          * known.count { $0.path.contains("{}") })
      for (path, name) in table {
        // One tensor of all experts, whose names have no number.
        if path.contains(".experts.") {
          let pattern = path.replacing(".experts.", with: ".experts.{}.")
          #expect(names.parameterPath(ofTensor: name.stringValue ?? "") == pattern)
          for expert in [0, 7, 12] {
            let one = TensorName.filled(pattern, [expert])
            #expect(names.tensorName(ofParameter: one) == name.stringValue, "\(one)")
            #expect(names.expert(one) == expert)
          }
          continue
        }
        #expect(names.tensorName(ofParameter: path) == name.stringValue, "\(path)")
        // Falcon's files have one name for the norms of two kinds of blocks, T5's for networks with gates
        // and without; Ministral 3 alone has the
        // names of the model that also reads images.
        let isOther =
          architecture == "mistral3" && path.hasPrefix("model.")
          && !path.contains("language_model")
        if !path.hasSuffix("ln_mlp.weight"), !path.hasSuffix("wi_1.weight"), !isOther {
          #expect(names.parameterPath(ofTensor: name.stringValue ?? "") == path)
        }
        // A parameter's own name.
        if !path.hasSuffix(".weight") { continue }
        let bias = path.replacing(".weight", with: ".bias")
        #expect(
          names.tensorName(ofParameter: bias)
            == name.stringValue?.replacing(".weight", with: ".bias"))
      }
    }
  }

  @Test("what is no parameter has no name")
  func noName() throws {
    let names = try #require(GGUFTensorNames(architecture: "llama"))
    for path in [
      "", "model.norm", "model.layers..mlp.up_proj.weight", "model.layers.x.mlp.up_proj.weight",
      "model.layers.00.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight.weight",
      "model.layers.1.mlp.up_proj", "layers.1.mlp.up_proj.weight",
      "model.layers.-1.mlp.up_proj.weight",
      "model.layers.1.2.mlp.up_proj.weight", "model.layers.٣.mlp.up_proj.weight",
    ] {
      #expect(names.tensorName(ofParameter: path) == nil, "\(path)")
    }
    #expect(names.parameterPath(ofTensor: "blk..attn_q.weight") == nil)
    #expect(names.parameterPath(ofTensor: "rope_freqs.weight") == nil)
    #expect(GGUFTensorNames(architecture: "mamba") == nil)
  }

  /// T5's checkpoints call the layer that raises by whether there is a gate, and its files do not.
  @Test func namesThatDependOnGates() throws {
    for (hasGates, name) in [(false, "wi"), (true, "wi_1")] {
      let names = try #require(GGUFTensorNames(architecture: "t5", hasGates: hasGates))
      let path = "decoder.block.3.layer.2.DenseReluDense.\(name).weight"
      #expect(names.parameterPath(ofTensor: "dec.blk.3.ffn_up.weight") == path)
      #expect(names.tensorName(ofParameter: path) == "dec.blk.3.ffn_up.weight")
    }
    #expect(Architecture(modelType: "mistral")?.ggufName == "llama")
    #expect(Architecture(ggufName: "llama") == .llama)
    #expect(Architecture(modelType: "mamba") == nil)
  }

  @Test("rows of heads: pairs side by side in files, half a head apart in checkpoints")
  func rows() throws {
    typealias Order = TensorName.RowOrder
    let pairs: (Int) -> Order.Heads = { Order.Heads(queries: $0, keys: 1) }
    #expect(
      Order.queryHeads.checkpointRows(count: 12, pairs(2))
        == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11])
    // Two key heads of two rows, which two query heads share each.
    let fused = Order.Heads(queries: 4, keys: 2)
    let rows = try #require(Order.fusedHeads.checkpointRows(count: 16, fused))
    #expect(rows == [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15])
    let inverse = try #require(Order.fusedHeads.fileRows(count: 16, fused))
    #expect(rows.map { inverse[$0] } == Array(0..<16))
    #expect(Order.fusedHeads.checkpointRows(count: 15, fused) == nil)
    for (count, heads) in [(12, 2), (8, 4), (64, 8), (2, 1)] {
      let there = try #require(Order.queryHeads.checkpointRows(count: count, pairs(heads)))
      let back = try #require(Order.queryHeads.fileRows(count: count, pairs(heads)))
      #expect(there.map { back[$0] } == Array(0..<count))
      let tensor = Tensor((0..<count * 3).map { Float($0) }, shape: [count, 3])
      #expect(tensor.gatheringRows(there).gatheringRows(back) == tensor)
    }
    for (count, heads) in [(12, 5), (6, 2), (4, 0), (4, -1)] {
      #expect(Order.queryHeads.checkpointRows(count: count, pairs(heads)) == nil)
      #expect(Order.queryHeads.fileRows(count: count, pairs(heads)) == nil)
    }
  }

  @Test("a base's description, from its configuration and from its file")
  func base() throws {
    var configuration = ModelConfiguration(
      architecture: .mistral, hiddenSize: 16, intermediateSize: 24, layerCount: 2, headCount: 4,
      keyValueHeadCount: 2, headSize: 8, vocabularySize: 32, tiesWordEmbeddings: true)
    #expect(
      try GGUFBase(configuration: configuration)
        == GGUFBase(
          architecture: "llama", headCount: 4, keyValueHeadCount: 2, headSize: 8,
          hasOutputHead: false))
    configuration = ModelConfiguration(
      architecture: .qwen2, hiddenSize: 16, intermediateSize: 24, layerCount: 2, headCount: 4,
      vocabularySize: 32)
    #expect(try GGUFBase(configuration: configuration).architecture == "qwen2")
    #expect(try GGUFBase(configuration: configuration).hasOutputHead)

    let scratch = try Scratch()
    func read(_ values: [String: GGUFValue], _ tensors: [String] = []) throws -> GGUFBase {
      try GGUFWriter.write(
        values.map { .init(key: $0.key, value: $0.value) },
        tensors: tensors.map { .init(name: $0, tensor: .zeros([2, 3])) }, to: scratch.file("a"))
      return try GGUFBase(file: GGUFFile(path: scratch.file("a")))
    }
    let architecture = ["general.architecture": GGUFValue.string("llama")]
    var values = architecture
    values["llama.attention.head_count"] = .uint32(4)
    values["llama.embedding_length"] = .uint32(16)
    #expect(
      try read(values, ["output.weight"])
        == GGUFBase(
          architecture: "llama", headCount: 4, keyValueHeadCount: 4, headSize: 4,
          hasOutputHead: true, shapes: ["output.weight": [2, 3]]))
    values["llama.attention.head_count_kv"] = .array(.int32([2, 2]))
    values["llama.attention.key_length"] = .uint32(8)
    #expect(
      try read(values)
        == GGUFBase(
          architecture: "llama", headCount: 4, keyValueHeadCount: 2, headSize: 8,
          hasOutputHead: false, shapes: [:]))
    values["llama.attention.head_count_kv"] = .array(.int32([2, 4]))
    expectError(.unsupported, "head_count_kv", "differs between blocks") { _ = try read(values) }
    values["llama.attention.head_count_kv"] = .int32(-2)
    expectError(.invalidValue, "head_count_kv", "above 0") { _ = try read(values) }
    expectError(.missingKey, "head_count") { _ = try read(architecture) }
    expectError(.missingKey, "embedding_length") {
      _ = try read(architecture.merging(["llama.attention.head_count": .uint32(4)]) { $1 })
    }
    expectError(.unsupported, "'mamba'", "'llama'") {
      _ = try read(["general.architecture": .string("mamba")])
    }
    expectError(.missingKey, "general.architecture") { _ = try read([:]) }
    expectError(.unsupported, "expected a model, found 'adapter'") {
      _ = try GGUFBase(file: GGUFFile(path: Fixtures.path("gguf/adapter.gguf")))
    }
  }
}
