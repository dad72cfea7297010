import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import LoRATesting
import Testing

/// Adapters on an architecture of a program's own, whose tensors have other names and lie otherwise
/// than in any of the library's.
@Suite struct OwnNamesTests {
  /// Llama's blocks under invented names, with transposed weights in the feed-forward network.
  private static let crosswise = Architecture(
    "crosswise", className: "CrosswiseForCausalLM", keys: ConfigurationKey.decoder(),
    tensors: [
      TensorName("stem.tokens", "token_embd", .embedding),
      TensorName("stem.rungs.{}.first", "blk.{}.attn_norm"),
      TensorName("stem.rungs.{}.ask", "blk.{}.attn_q", .projection),
      TensorName("stem.rungs.{}.offer", "blk.{}.attn_k", .projection),
      TensorName("stem.rungs.{}.give", "blk.{}.attn_v", .projection),
      TensorName("stem.rungs.{}.mix", "blk.{}.attn_output", .projection),
      TensorName("stem.rungs.{}.second", "blk.{}.ffn_norm"),
      TensorName("stem.rungs.{}.gate", "blk.{}.ffn_gate", .projection, isTransposed: true),
      TensorName("stem.rungs.{}.widen", "blk.{}.ffn_up", .projection, isTransposed: true),
      TensorName("stem.rungs.{}.narrow", "blk.{}.ffn_down", .projection, isTransposed: true),
      TensorName("stem.last", "output_norm"),
      TensorName("readout", "output", .head),
    ]
  ) { c in
    TransformerStructure(c) { _ in
      .init(attention: .init(rotary: c.rotary), feedForward: .gated(c.hiddenActivation))
    }
  }

  private let folder: String
  private let configuration: ModelConfiguration

  init() throws {
    Architecture.register(Self.crosswise)
    folder = try Fixtures.temporaryFolder()
    configuration = ModelConfiguration(
      architecture: Self.crosswise, hiddenSize: 8, intermediateSize: 12, layerCount: 2,
      headCount: 2, vocabularySize: 24, tiesWordEmbeddings: true, maximumPositions: 32)
  }

  private func model() throws -> any PretrainedLanguageModel {
    try configuration.randomLanguageModel(standardDeviation: 0.3, seed: 4)
  }

  /// The model with an adapter of random factors on every linear layer but the head.
  private func adapted() throws -> any PretrainedLanguageModel {
    let model = try model()
    try model.inject(LoRA(rank: 2, alpha: 6), named: "a", seed: 2)
    for (path, parameter) in model.adapterParameters(named: "a") {
      var random = SeededRandom(seed: 3, path: path)
      parameter.value = parameter.value + random.normal(parameter.shape, standardDeviation: 0.2)
    }
    return model
  }

  private func losses(_ model: any LanguageModel) -> Tensor {
    withoutGradients { model(TinyModels.tokens([2, 9])).value }
  }

  /// The checkpoint at `path` under other names, or with more tensors.
  private func rewritten(
    _ path: String, as name: String, extra: [(name: String, tensor: Tensor)] = [],
    _ renamed: (String) -> String = { $0 }
  ) throws -> String {
    let source = try ModelDirectory(path: path)
    try ModelDirectory.write(
      try source.tensorNames.map { (renamed($0), try source.tensor(named: $0)) } + extra,
      configuration: source.configurationText, to: folder + "/" + name)
    return folder + "/" + name
  }

  @Test func baseOfAnAdapterIsReadByItsArchitecture() throws {
    let model = try adapted()
    let path = folder + "/model"
    try model.save(to: path)
    let stored = try ModelDirectory(path: path)
    #expect(stored.entry(named: "stem.rungs.0.widen.weight")?.shape == [8, 12])
    #expect(stored.entry(named: "readout.weight") == nil)
    let body = try rewritten(path, as: "body") { String($0.dropFirst("stem.".count)) }
    for path in [path, body] {
      let base = try AdapterBase(path: path)
      #expect(try base.weight(ofLayer: "stem.rungs.0.widen")?.shape == [12, 8])
      #expect(try base.weight(ofLayer: "stem.rungs.1.ask")?.shape == [8, 8])
      // The head is the table.
      let table = try #require(try base.weight(ofLayer: "stem.tokens"))
      #expect(try base.weight(ofLayer: "readout") == table)
      #expect(try base.weight(ofLayer: "lm_head") == nil)
    }
    // An adapter is checked against the base: it fits, and nothing that its targets say is missing.
    try model.saveAdapter("a", to: folder + "/adapter")
    for path in [path, body] {
      let file = try AdapterFile(path: folder + "/adapter", options: .init(basePath: path))
      #expect(file.description.layers.count == 14)
    }
    var lacking = try AdapterFile(path: folder + "/adapter").description
    lacking.layers.removeAll { $0.path == "stem.rungs.1.narrow" }
    var recipe = try #require(
      try AdapterFile(path: folder + "/adapter").peftConfiguration)
    recipe.targets = .allLinear
    // All that is linear: neither the table nor the head.
    try recipe.checkComplete(
      try AdapterFile(path: folder + "/adapter").description, for: model.layout, file: "")
    try PEFTAdapterFile(configuration: recipe, description: lacking).write(to: folder + "/lacking")
    for path in [path, body] {
      #expect {
        _ = try AdapterFile(path: folder + "/lacking", options: .init(basePath: path))
      } throws: { "\($0)".contains("stem.rungs.1.narrow") }
    }
  }

  @Test func configurationAloneIsEnoughForNames() throws {
    let model = try adapted()
    try model.save(to: folder + "/model")
    try model.saveAdapter("a", to: folder + "/adapter")
    try FileManager.default.removeItem(atPath: folder + "/model/model.safetensors")
    let file = try AdapterFile(
      path: folder + "/adapter", options: .init(basePath: folder + "/model"))
    var body = file.description
    for index in body.layers.indices {
      body.layers[index].path = String(body.layers[index].path.dropFirst("stem.".count))
    }
    // Paths in the body alone come back with the prefix, or without.
    #expect(try body.agreement(with: file.description, file: "").identicalLayers == 14)
  }

  @Test func extractionKnowsWhatIsLinearAndHowItLies() throws {
    let model = try adapted()
    try model.save(to: folder + "/base")
    let adapted = losses(model)
    let base = try PretrainedModel(path: folder + "/base")
    try model.saveAdapter("a", to: folder + "/adapter")
    try base.model.loadAdapter(from: folder + "/adapter", named: "a")
    try base.model.mergeAdapters(["a": 1])
    try base.save(to: folder + "/tuned")
    let (extracted, report) = try AdapterExtraction(.rank(2)).extract(
      tuned: folder + "/tuned",
      base: folder + "/base")
    #expect(report.layers.count == 14 && report.energy > 0.9999)
    let fresh = try self.model()
    try fresh.attach(extracted, named: "b")
    #expect(largestDifference(losses(fresh), adapted) < 1e-4)
    // The table of tokens is no linear layer, whatever it is called.
    let tuned = try ModelDirectory(path: folder + "/tuned")
    let changed = try tuned.tensorNames.map { name in
      let tensor = try tuned.tensor(named: name)
      return (name, name == "stem.tokens.weight" ? tensor + tensor : tensor)
    }
    try ModelDirectory.write(
      changed, configuration: tuned.configurationText, to: folder + "/table")
    #expect {
      _ = try AdapterExtraction(.rank(2)).extract(
        tuned: folder + "/table",
        base: folder + "/base")
    } throws: {
      "\($0)".contains("stem.tokens.weight") && "\($0)".contains("no linear layer")
    }
  }

  @Test func headThatIsStoredThoughItIsTiedFollowsTheTable() throws {
    try model().save(to: folder + "/model")
    let table = try ModelDirectory(path: folder + "/model").tensor(named: "stem.tokens.weight")
    let both = try rewritten(
      folder + "/model", as: "both", extra: [(name: "readout.weight", tensor: table)])
    let opened = try PretrainedModel(path: both)
    let parameter = try #require(
      opened.model.namedParameters().first { $0.path == "stem.tokens.weight" }?.parameter)
    parameter.value = parameter.value + parameter.value
    try opened.save(to: folder + "/saved")
    let saved = try ModelDirectory(path: folder + "/saved")
    #expect(try saved.tensor(named: "readout.weight") == parameter.value)
    #expect(try saved.tensor(named: "stem.tokens.weight") == parameter.value)
    #expect(
      try losses(PretrainedModel(path: folder + "/saved").languageModel)
        == losses(opened.languageModel))
  }
}
