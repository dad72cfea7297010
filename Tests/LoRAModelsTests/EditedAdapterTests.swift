import LoRAArchitectures
import LoRAAutograd
import LoRAFormats
import LoRAModels
import LoRATensor
import LoRATesting
import Testing

/// What an opened adapter says is what is loaded and written, whatever its file says.
@Suite struct EditedAdapterTests {
  private let model: any PretrainedLanguageModel
  private let folder: String

  init() throws {
    model = try TinyModels.make(.llama)
    folder = try Fixtures.temporaryFolder()
    try model.inject(LoRA(rank: 2, alpha: 4), named: "a", seed: 1)
    for (path, parameter) in model.adapterParameters(named: "a") {
      var random = SeededRandom(seed: 3, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.3)
    }
    try model.saveAdapter("a", to: folder + "/peft")
    try model.detach("a")
  }

  private func logits() -> Tensor { withoutGradients { model(TinyModels.tokens([1, 8])).value } }

  private func adapted(_ file: AdapterFile) throws -> Tensor {
    try model.loadAdapter(file, named: "x")
    defer { try? model.detach("x") }
    return logits()
  }

  @Test func changedFactorsAreLoaded() throws {
    var file = try AdapterFile(path: folder + "/peft")
    let before = try adapted(file)
    let base = logits()
    for index in file.description.layers.indices {
      let layer = file.description.layers[index]
      let change = try #require(layer.lowRank)
      file.description.layers[index] = .init(
        path: layer.path, a: change.a, b: change.b.scaled(by: 2), alpha: change.alpha,
        scale: change.scale)
    }
    let after = try adapted(file)
    #expect(largestDifference(after, before) > 1e-3 && logits() == base)
    // Written, and read again, it is the same.
    try file.write(as: .peft, to: folder + "/changed")
    #expect(try adapted(AdapterFile(path: folder + "/changed")) == after)
    #expect(try adapted(AdapterFile(path: folder + "/peft")) == before)
  }

  /// A layer that is taken away is missing, by the adapter's own configuration.
  @Test func lackingLayerIsRefused() throws {
    var file = try AdapterFile(path: folder + "/peft")
    let lacking = file.description.layers.removeLast()
    #expect {
      try model.loadAdapter(file, named: "x")
    } throws: {
      "\($0)".contains(lacking.path)
    }
    #expect(model.adapterNames.isEmpty)
  }
}
