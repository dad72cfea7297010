import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import Testing

/// Adapters that PEFT wrote, one for each feature of its configuration, and one that this package
/// wrote and PEFT read: the same function on both sides.
@Suite struct PEFTAgreementTests {
  private func model() throws -> any PretrainedLanguageModel {
    try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
  }

  /// These were trained and saved by `lora train`, with --method, or --init pissa; their
  /// expected.safetensors is what PEFT computes with them (Tests/Reference/check_peft_adapter.py).
  static let written = [
    "written", "written-dora", "written-loha", "written-lokr", "written-ia3", "written-pissa",
  ]

  /// Whose frozen numbers are no parameters of their own, see PEFTRunTests.
  static let shared = ["written-vera", "written-prompt", "written-prefix"]

  @Test(arguments: written + shared) func peftReadsWhatWeWrite(name: String) throws {
    let expected = try SafetensorsFile(path: Fixtures.path("peft/\(name)/expected.safetensors"))
    let (ids, logits) = (try expected.tensor(named: "ids"), try expected.tensor(named: "logits"))
    let model = try model()
    try model.loadAdapter(from: Fixtures.path("peft/\(name)"))
    let found = withoutGradients { model(ids).value }
    #expect(largestDifference(found, logits.converted(to: .float32)) < 1e-4)
    #expect(
      largestDifference(
        model.losses(ids), try expected.tensor(named: "nll").converted(to: .float32)) < 1e-4)
  }

  /// Writing an adapter again gives the file that PEFT has read, byte for byte.
  @Test(arguments: written + shared) func whatPEFTReadIsWhatWeStillWrite(adapter: String) throws {
    let model = try model()
    let file = try model.loadAdapter(from: Fixtures.path("peft/\(adapter)"), named: "again")
    let folder = try Fixtures.temporaryFolder()
    try model.saveAdapter("again", to: folder, configuration: file.peftConfiguration)
    for name in ["adapter_model.safetensors", "adapter_config.json"] {
      let (old, new) = (
        try MappedFile(path: Fixtures.path("peft/\(adapter)/\(name)")),
        try MappedFile(path: "\(folder)/\(name)")
      )
      #expect(old.withUnsafeBytes { a in new.withUnsafeBytes { a.elementsEqual($0) } })
    }
  }

  /// A recipe of each method makes an adapter that is fresh, trains on, and is saved with the recipe
  /// that describes it.
  @Test(arguments: written + ["lora-bias", "saved-modules"])
  func recipesAreSavedAsTheyAre(name: String) throws {
    let recipe = try PEFTAdapterConfiguration(
      path: Fixtures.path("peft/\(name)/adapter_config.json"))
    let model = try model()
    let ids = try ExpectedValues(model: "llama-grouped").ids
    let base = model.losses(ids)
    try model.inject(recipe, named: "a")
    #expect(model.losses(ids) == base)
    for (path, parameter) in model.adapterParameters(named: "a") {
      var random = SeededRandom(seed: 1, path: path)
      parameter.value = parameter.value + random.normal(parameter.shape, standardDeviation: 0.2)
    }
    let trained = model.losses(ids)
    let folder = try Fixtures.temporaryFolder()
    try model.saveAdapter("a", to: folder)
    let file = try model.loadAdapter(from: folder, named: "b", enabled: false)
    let saved = try #require(file.peftConfiguration)
    #expect(saved.method == recipe.method)
    #expect(saved.rank == recipe.rank && saved.alpha == recipe.alpha)
    let paths = model.linearLayers().map(\.path)
    #expect(paths.filter(saved.matches) == paths.filter(recipe.matches))
    let again = try model.withAdapters(["b": 1]) { model.losses(ids) }
    #expect(again == trained && trained != base)
  }

  @Test(arguments: [
    "rslora", "patterns", "regex", "suffix", "excluded", "one-layer", "rank-above-side", "head",
    "lora-bias", "dora", "embedding", "saved-modules",
  ]) func weReadWhatPEFTWrites(name: String) throws {
    let expected = try SafetensorsFile(path: Fixtures.path("peft/expected.safetensors"))
    let ids = try expected.tensor(named: "ids")
    let model = try model()
    try model.loadAdapter(from: Fixtures.path("peft/\(name)"), named: name)
    #expect(
      largestDifference(model.losses(ids), try expected.tensor(named: "\(name)/nll")) < 2e-5)
  }

  /// A module that was saved whole must be there whole.
  @Test func savedModulesAreComplete() throws {
    let file = try PEFTAdapterFile(path: Fixtures.path("peft/saved-modules"))
    var configuration = file.configuration
    configuration.savedModules.append("embed_tokens")
    let folder = try Fixtures.temporaryFolder()
    try PEFTAdapterFile(configuration: configuration, description: file.description)
      .write(to: folder)
    let model = try model()
    let error = #expect(throws: FormatError.self) { try model.loadAdapter(from: folder) }
    #expect(error?.kind == .missingTensor)
    #expect(error?.subject == "'model.embed_tokens.weight'")
    #expect(model.adapterNames.isEmpty)
  }
}
