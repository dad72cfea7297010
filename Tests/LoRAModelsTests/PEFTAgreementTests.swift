import LoRAAutograd
import LoRAFormats
import LoRAModels
import LoRATensor
import Testing

/// Adapters that PEFT wrote, one for each feature of its configuration, and one that this package
/// wrote and PEFT read: the same function on both sides.
@Suite struct PEFTAgreementTests {
  private func model() throws -> any PretrainedLanguageModel {
    try PretrainedModel(path: Fixtures.path("models/llama-grouped")).model
  }

  /// Fixtures/peft/written was trained and saved by `lora train`; its expected.safetensors is what
  /// PEFT computes with it (Tests/Reference/check_peft_adapter.py).
  @Test func peftReadsWhatWeWrite() throws {
    let expected = try SafetensorsFile(path: Fixtures.path("peft/written/expected.safetensors"))
    let (ids, logits) = (try expected.tensor(named: "ids"), try expected.tensor(named: "logits"))
    let model = try model()
    try model.loadAdapter(from: Fixtures.path("peft/written"))
    let found = withoutGradients { model(ids).value }
    #expect(largestDifference(found, logits.converted(to: .float32)) < 1e-4)
    #expect(
      largestDifference(
        model.losses(ids), try expected.tensor(named: "nll").converted(to: .float32)) < 1e-4)
  }

  /// Writing an adapter again gives the file that PEFT has read, byte for byte.
  @Test func whatPEFTReadIsWhatWeStillWrite() throws {
    let model = try model()
    let file = try model.loadAdapter(from: Fixtures.path("peft/written"), named: "again")
    let folder = try Fixtures.temporaryFolder()
    try model.saveAdapter("again", to: folder, configuration: file.configuration)
    for name in ["adapter_model.safetensors", "adapter_config.json"] {
      let (old, new) = (
        try MappedFile(path: Fixtures.path("peft/written/\(name)")),
        try MappedFile(path: "\(folder)/\(name)")
      )
      #expect(old.withUnsafeBytes { a in new.withUnsafeBytes { a.elementsEqual($0) } })
    }
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
