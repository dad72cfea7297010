import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAJSON
import LoRATensor
import Testing

@testable import LoRAFormats
@testable import LoRAModels

/// GGUF files of Ministral 3, Gemma 4 and gpt-oss, which say more than others of single layers; see
/// Tests/Reference/gguf_models.py.
@Suite struct GGUFArchitectureTests {
  private static let names = ["gemma4-float16", "ministral3-float16", "gpt-oss-mxfp4"]

  // MARK: What files say

  @Test func ministral3IsATextPartOfItsOwn() throws {
    let configuration = try GGUFModelTests.open("ministral3-float16").configuration
    #expect(configuration.architecture == .mistral3)
    let rotary = configuration.rotary
    #expect(abs((rotary.queryScaling?.weight ?? 0) - 0.6) < 1e-7)
    #expect(rotary.queryScaling?.period == 5)
    // Half of what the logarithm of the factor adds is divided away: mscale_all_dim is 0.5.
    #expect(abs(rotary.amplitude - 1.138629 / 1.069315) < 1e-5)
    let written = try ModelConfiguration(parsing: configuration.encoded())
    #expect(written.rotary == rotary)
    let object = try JSONValue(parsing: Data(configuration.encoded()))
    #expect(object["text_config"]?["model_type"]?.stringValue == "ministral3")
  }

  @Test func gemma4SaysLayerByLayer() throws {
    let configuration = try GGUFModelTests.open("gemma4-float16").configuration
    #expect(configuration.slidingWindows == [5, nil, 5, nil])
    #expect(configuration[numbers: "head_dim"] == [8, 16, 8, 16])
    #expect(configuration.headSize == 8)
    #expect(configuration.rotary.scaling == .proportional(factor: 1))
    #expect(configuration.rotary.fraction == 0.25)
    #expect(configuration.windowRotary?.base == 10_000)
    #expect(configuration[number: "num_kv_shared_layers"] == 2)
    #expect(configuration[flag: "use_double_wide_mlp"])
    #expect(configuration[number: "hidden_size_per_layer_input"] == 8)
    #expect(configuration[number: "vocab_size_per_layer_input"] == 320)
    #expect(!configuration[flag: "attention_k_eq_v"])
    #expect(try ModelConfiguration(parsing: configuration.encoded()).rotary == configuration.rotary)
  }

  @Test func gptOSSKeepsItsBlocks() throws {
    let pretrained = try GGUFModelTests.open("gpt-oss-mxfp4")
    guard case .yarn(let yarn) = pretrained.configuration.rotary.scaling else {
      Issue.record("\(pretrained.configuration.rotary)")
      return
    }
    #expect(!yarn.truncates)
    #expect(pretrained.configuration[flag: "attention_bias"])
    let experts = pretrained.model.namedParameters().filter {
      $0.path.contains(".experts.") && $0.parameter.shape.count == 2
    }
    #expect(experts.count == 2 * 2 * 4)
    #expect(experts.allSatisfy { $0.parameter.value.dtype == .mxfp4 })
    // Gates and ups in turn, each as in its own tensor.
    let file = try GGUFFile(path: GGUFModelTests.path("gpt-oss-mxfp4.gguf"))
    let (gate, up) = (
      try file.tensor(named: "blk.1.ffn_gate_exps.weight")[row: 2].converted(to: .float32),
      try file.tensor(named: "blk.1.ffn_up_exps.weight")[row: 2].converted(to: .float32)
    )
    let both = try #require(
      experts.first { $0.path == "model.layers.1.mlp.experts.gate_up_proj.2" }
    ).parameter.value.converted(to: .float32)
    for row in [0, 1, 31] {
      #expect(both[row: 2 * row] == gate[row: row])
      #expect(both[row: 2 * row + 1] == up[row: row])
    }
  }

  /// A folder has the file's numbers, blocks widened, and the adapter on it.
  @Test(arguments: names) func savedAsAFolderItIsTheSame(name: String) throws {
    let (ids, losses, _) = try GGUFModelTests.expected(name)
    let folder = try Fixtures.temporaryFolder() + "/folder"
    let pretrained = try GGUFModelTests.open(name)
    try pretrained.save(to: folder)
    let back = try PretrainedModel(path: folder)
    #expect(back.configuration.rotary == pretrained.configuration.rotary)
    #expect(largestDifference(try back.languageModel.losses(ids), losses) < 2e-5)
  }

  // MARK: Adapters

  /// To GGUF and back, with the file as base or the folder of it. Ministral 3's file is of the model that also
  /// reads images, and its adapter of the text model alone.
  @Test(arguments: names) func adaptersGoToGGUFAndBack(name: String) throws {
    let (folder, path) = (try Fixtures.temporaryFolder(), GGUFModelTests.path(name))
    let pretrained = try GGUFModelTests.open(name)
    try pretrained.save(to: folder + "/base")
    let (ids, _, adapted) = try GGUFModelTests.expected(name)
    for base in [path + ".gguf", folder + "/base"] {
      let options = AdapterFile.Options(basePath: base)
      let peft = try AdapterFile(path: path + "-adapter", options: options)
      try peft.write(as: .gguf, to: folder + "/adapter.gguf", options: options)
      let gguf = try AdapterFile(path: folder + "/adapter.gguf", options: options)
      #expect(gguf.description.layers.count == peft.description.layers.count)
      let model = try PretrainedModel(path: path + ".gguf").languageModel
      try model.loadAdapter(gguf, named: "gguf")
      #expect(largestDifference(model.losses(ids), adapted) < 2e-5)
    }
  }

  /// A file does not say whether it is of a text model or of one that also reads images: an adapter of
  /// either fits it, and is whole or not by its own names.
  @Test(arguments: [
    ("ministral3-float16", "model.layers.1.self_attn.k_proj"),
    ("ministral3-float16", "model.language_model.layers.1.self_attn.k_proj"),
    ("gemma4-float16", "model.layers.1.self_attn.v_proj"),
    ("gemma4-float16", "model.language_model.layers.1.self_attn.v_proj"),
  ]) func adaptersKeepTheirNamesOnAFile(name: String, last: String) throws {
    let (folder, path) = (try Fixtures.temporaryFolder(), GGUFModelTests.path(name))
    let options = AdapterFile.Options(basePath: path + ".gguf")
    let source = try AdapterFile(path: path + "-adapter")
    let recipe = try #require(source.peftConfiguration)
    var description = source.description.renamed { path in
      let isWhole = last.contains("language_model") && !path.contains("language_model")
      return isWhole
        ? path.replacing("model.", with: "model.language_model.", maxReplacements: 1) : path
    }
    func written(_ name: String) throws -> String {
      try PEFTAdapterFile(configuration: recipe, description: description).write(to: folder + name)
      return folder + name
    }
    let adapter = try AdapterFile(path: written("/whole"), options: options)
    #expect(adapter.description.layers.map(\.path).contains(last))
    #expect(adapter.notes.isEmpty)
    try adapter.write(as: .gguf, to: folder + "/adapter.gguf", options: options)
    let back = try AdapterFile(path: folder + "/adapter.gguf", options: options)
    #expect(
      try adapter.description.agreement(with: back.description, file: "").identicalLayers
        == description.layers.count)
    description.layers.removeAll { $0.path == last }
    let error = #expect(throws: FormatError.self) {
      try AdapterFile(path: written("/lacking"), options: options)
    }
    #expect(error?.description.contains("'\(last)'") ?? false, "\(error?.description ?? "")")
  }

  /// Networks at blocks have a block's path, which no tensor has.
  @Test func blocksOfEitherNameFitAFile() throws {
    let base = try AdapterBase(path: GGUFModelTests.path("ministral3-float16.gguf"))
    #expect(base.hasModule("model.layers.1") && base.hasModule("model.language_model.layers.1"))
    #expect(!base.hasModule("model.layers.9") && !base.hasModule("language_model.layers.1"))
  }

  /// llama.cpp multiplies one layer of Gemma 4 without adapters: no file has one for it.
  @Test func whatLlamaCppDoesNotAdaptIsRefusedByName() throws {
    let model = try GGUFModelTests.open("gemma4-float16")
    try model.languageModel.inject(
      LoRA(rank: 2, alpha: 4), named: "new",
      into: .names(["q_proj", "per_layer_model_projection"]), seed: 1)
    let folder = try Fixtures.temporaryFolder()
    try model.languageModel.saveAdapter("new", to: folder + "/adapter")
    let options = AdapterFile.Options(basePath: GGUFModelTests.path("gemma4-float16.gguf"))
    let adapter = try AdapterFile(path: folder + "/adapter", options: options)
    let error = #expect(throws: FormatError.self) {
      try adapter.write(as: .gguf, to: folder + "/adapter.gguf", options: options)
    }
    #expect(error?.description.contains("model.per_layer_model_projection") ?? false)
    #expect(error?.description.contains("'per_layer_model_proj.weight'") ?? false)
  }

  // MARK: Faults

  private func refusal(
    _ name: String, _ key: String, _ value: GGUFValue?,
    tensors: (inout [(name: String, tensor: Tensor)]) -> Void = { _ in }
  ) throws -> String {
    let file = try GGUFFile(path: GGUFModelTests.path(name + ".gguf"))
    var all = try file.names.map { (name: $0, tensor: try file.tensor(named: $0)) }
    tensors(&all)
    var values = file.keyValues.filter { $0.key != key }
    if let value { values.append(.init(key: key, value: value)) }
    let path = try Fixtures.temporaryFolder() + "/changed.gguf"
    try GGUFWriter.write(
      values, tensors: all.map { GGUFWriter.Item(name: $0.name, tensor: $0.tensor, isCopy: true) },
      to: path)
    do {
      _ = try PretrainedModel(path: path)
      return "nothing was thrown"
    } catch { return "\(error)" }
  }

  @Test func contradictionsAreNamed() throws {
    let cases: [(String, String, GGUFValue?, String)] = [
      (
        "gemma4-float16", "gemma4.feed_forward_length", .array(.int32([32, 32, 64])),
        "one a layer"
      ),
      (
        "gemma4-float16", "gemma4.feed_forward_length", .array(.int32([32, 64, 64, 64])),
        "[32, 64, 64, 64]"
      ),
      ("gemma4-float16", "gemma4.feed_forward_length", .array(.int32([])), "feed_forward_length"),
      (
        "gemma4-float16", "gemma4.attention.head_count_kv", .array(.int32([2, 0, 2, 2])),
        "head_count_kv"
      ),
      (
        "gemma4-float16", "gemma4.attention.head_count_kv", .array(.int32([2, 3, 2, 3])),
        "3 key heads in layer 1"
      ),
      (
        "gemma4-float16", "gemma4.attention.sliding_window_pattern", .array(.bool([true])),
        "sliding_window_pattern"
      ),
      (
        "gemma4-float16", "gemma4.attention.sliding_window_pattern", .string("all"),
        "sliding_window_pattern"
      ),
      ("gemma4-float16", "gemma4.attention.shared_kv_layers", .int32(-1), "shared_kv_layers"),
      ("gemma4-float16", "gemma4.attention.shared_kv_layers", .uint32(4), "feed_forward_length"),
      ("gemma4-float16", "gemma4.attention.value_length_swa", .uint32(6), "value_length_swa"),
      ("gemma4-float16", "gemma4.rope.dimension_count_swa", .uint32(4), "dimension_count_swa"),
      ("gemma4-float16", "gemma4.attention.key_length_swa", .uint32(7), "key_length_swa"),
      ("gemma4-float16", "gemma4.expert_count", .uint32(128), "128 experts"),
      ("gemma4-float16", "gemma4.embedding_length_per_layer_input", .uint32(0), "tensor"),
      (
        "ministral3-float16", "mistral3.attention.temperature_scale", .float32(-1),
        "temperature_scale"
      ),
      ("ministral3-float16", "mistral3.attention.temperature_length", .uint32(9), "temperature"),
      ("gpt-oss-mxfp4", "gpt-oss.expert_count", .uint32(3), "blk.0.ffn_"),
      ("gpt-oss-mxfp4", "gpt-oss.expert_count", nil, "expert_count"),
      ("gpt-oss-mxfp4", "gpt-oss.expert_feed_forward_length", .uint32(16), "blk.0.ffn_"),
    ]
    for (name, key, value, text) in cases {
      let problem = try refusal(name, key, value)
      #expect(problem.contains(text), "\(key): \(problem)")
    }
  }

  @Test func wrongExpertsAreNamed() throws {
    func refused(_ tensors: (inout [(name: String, tensor: Tensor)]) -> Void) throws -> String {
      try refusal("gpt-oss-mxfp4", "", nil, tensors: tensors)
    }
    #expect(
      try refused { $0.removeAll { $0.name == "blk.1.ffn_up_exps.weight" } }
        .contains("'blk.1.ffn_up_exps.weight'"))
    #expect(
      try refused { $0.removeAll { $0.name == "blk.1.attn_sinks.weight" } }
        .contains("'blk.1.attn_sinks.weight'"))
    let damaged = try refused { all in
      for index in all.indices where all[index].name == "blk.0.ffn_down_exps.weight" {
        all[index].tensor.withUnsafeMutableBytes { $0[17 * 5] = 255 }
      }
    }
    #expect(damaged.contains("'blk.0.ffn_down_exps.weight'"), "\(damaged)")
    #expect(damaged.contains("not a finite number"), "\(damaged)")
  }

  /// Checkpoints may hold keys and values of layers that read others', which transformers ignores.
  @Test func unreadKeysAreAccepted() throws {
    let problem = try refusal("gemma4-float16", "", nil) {
      $0.append(("blk.3.attn_k.weight", .zeros([32, 32])))
      $0.append(("blk.3.attn_k_norm.weight", .zeros([16])))
    }
    #expect(problem == "nothing was thrown")
    let other = try refusal("gemma4-float16", "", nil) {
      $0.append(("blk.3.attn_v_norm.weight", .zeros([16])))
    }
    #expect(other.contains("'blk.3.attn_v_norm.weight'"))
  }
}
