import LoRAArchitectures
import LoRAAutograd
import LoRAFormats
import LoRAModels
import LoRATensor
import LoRATesting
import LoRATraining
import TestSupport
import Testing

/// Recipes of PEFT that train more than adapters: whole modules, biases, vectors of tokens.
@Suite struct TrainedAlongTests {
  private func model(isTied: Bool = false) throws -> any PretrainedLanguageModel {
    var configuration = TinyModels.configuration(.qwen2)
    configuration[flag: "attention_bias"] = true
    configuration.tiesWordEmbeddings = isTied
    let model = try configuration.randomLanguageModel(standardDeviation: 0.2, seed: 3)
    for (path, parameter) in model.namedParameters() where path.hasSuffix("bias") {
      var random = SeededRandom(seed: 4, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.2)
    }
    model.setTrainable(false)
    return model
  }

  private func recipe(
    saved: [String] = [], _ change: (inout PEFTAdapterConfiguration.LoRA) -> Void = { _ in }
  ) -> PEFTAdapterConfiguration {
    var lora = PEFTAdapterConfiguration.LoRA()
    change(&lora)
    var configuration = PEFTAdapterConfiguration(
      method: .lora(lora), rank: 2, alpha: 4, targets: .names(["q_proj", "v_proj"]))
    configuration.savedModules = saved
    return configuration
  }

  private func logits(_ model: any LanguageModel) -> Tensor {
    withoutGradients { model(TinyModels.tokens([2, 9])).value }
  }

  /// Trains five steps, and comes back from its file; the base stays what it is.
  private func check(
    _ recipe: PEFTAdapterConfiguration, isTied: Bool = false, trains expected: [String]
  ) throws {
    let model = try model(isTied: isTied)
    let (base, values) = (logits(model), model.values)
    let report = try model.inject(recipe, named: "a")
    #expect(logits(model) == base, "fresh, it changes nothing")
    let trained = model.adapterParameters(named: "a")
    let paths = trained.map(\.path).filter { !$0.contains("lora_") }
    #expect(paths.sorted() == expected.sorted())
    #expect(
      report.parameterCount == trained.reduce(0) { $0 + $1.parameter.shape.elementCount })
    let sequences = (0..<4).map { index in
      (0...9).map { (index * 5 + $0 * 3) % TinyModels.vocabularySize }
    }
    let before = model.adapterValues("a")
    var options = TrainingOptions(duration: .steps(5), batchSize: 2, learningRate: 1e-2)
    options.clipNorm = 0
    let result = try Trainer(
      model, training: .adapter("a"), on: TokenDataSet(sequences: sequences), options: options
    ).run()
    #expect(result.losses.last ?? .nan < result.losses[0])
    for (item, old) in zip(trained, before) { #expect(item.parameter.value != old, "\(item.path)") }
    #expect(model.values == values)
    let folder = try ScratchFolder.make()
    try model.saveAdapter("a", to: folder, configuration: recipe)
    let other = try self.model(isTied: isTied)
    try other.loadAdapter(from: folder, named: "b")
    #expect(logits(other) == logits(model))
    let stored = try PEFTAdapterConfiguration(path: folder + "/adapter_config.json")
    #expect(Set(stored.savedModules) == Set(recipe.savedModules))
    #expect(stored.lora?.biases == recipe.lora?.biases)
    try model.detach("a")
    #expect(logits(model) == base)
  }

  @Test func wholeModules() throws {
    try check(
      recipe(saved: ["lm_head", "model.norm"]), trains: ["lm_head.weight", "model.norm.weight"])
    try check(
      recipe(saved: ["embed_tokens", "input_layernorm"]),
      trains: ["model.embed_tokens.weight"]
        + (0..<2).map { "model.layers.\($0).input_layernorm.weight" })
    // A module's own modules are saved with it, with their biases.
    try check(
      recipe(saved: ["layers.1.self_attn"]),
      trains: ["q", "k", "v"].flatMap {
        ["model.layers.1.self_attn.\($0)_proj.weight", "model.layers.1.self_attn.\($0)_proj.bias"]
      } + ["model.layers.1.self_attn.o_proj.weight"])
  }

  @Test func biases() throws {
    func names(_ projections: String) -> [String] {
      (0..<2).flatMap { layer in
        projections.map { "model.layers.\(layer).self_attn.\($0)_proj.bias" }
      }
    }
    try check(recipe { $0.biases = .adapted }, trains: names("qv"))
    try check(recipe { $0.biases = .all }, trains: names("qkv"))
  }

  @Test func vectorsOfTokens() throws {
    let name = "token_adapter.trainable_tokens_delta"
    try check(
      recipe { $0.trainedTokens = .ofInput([3, 5, 6]) }, trains: ["model.embed_tokens.\(name)"])
    // The head that shares the table shares the vectors: they are trained once.
    try check(
      recipe { $0.trainedTokens = .byModule([.init(key: "embed_tokens", value: [3, 5])]) },
      isTied: true, trains: ["model.embed_tokens.\(name)"])
  }

  @Test func whatTheModelDoesNotHaveIsRefused() throws {
    let model = try model()
    for (recipe, text) in [
      (recipe(saved: ["no_such"]), "no_such"),
      (recipe { $0.trainedTokens = .ofInput([3, 24]) }, "tokens below 24"),
      (
        recipe { $0.trainedTokens = .byModule([.init(key: "wte", value: [1])]) },
        "model.embed_tokens"
      ),
    ] {
      do {
        try model.inject(recipe, named: "a")
        Issue.record("nothing was thrown")
      } catch {
        #expect(error.description.contains(text), "\(error)")
      }
      #expect(model.adapterNames.isEmpty)
    }
  }
}
