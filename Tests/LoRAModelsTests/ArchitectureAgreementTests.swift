import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor
import Testing

/// PEFT's adapters of every method on architectures that the other fixtures have none of, apart and
/// merged (Tests/Reference/architectures.py).
@Suite struct ArchitectureAgreementTests {
  @Test(
    arguments: ["qwen3-untied", "gemma2-windows"], ["lora", "dora", "loha", "lokr", "ia3"])
  func methods(model name: String, method: String) throws {
    let file = try SafetensorsFile(
      path: Fixtures.path("architectures/\(name)/expected.safetensors"))
    let ids = try file.tensor(named: "ids")
    func expected(_ name: String) throws -> Tensor {
      try file.tensor(named: name).converted(to: .float32)
    }
    let model = try PretrainedModel(path: Fixtures.path("models/\(name)")).languageModel
    let base = model.losses(ids)
    #expect(largestDifference(base, try expected("nll")) < 1e-4)
    try model.loadAdapter(from: Fixtures.path("architectures/\(name)/\(method)"), named: "a")
    #expect(largestDifference(model.losses(ids), try expected("nll.\(method)")) < 1e-4)
    try model.mergeAdapters(["a": 1])
    #expect(largestDifference(model.losses(ids), try expected("merged.\(method)")) < 1e-4)
    try model.unmergeAdapters()
    let folder = try Fixtures.temporaryFolder()
    try model.saveAdapter("a", to: folder)
    try model.detach("a")
    #expect(model.losses(ids) == base)
    try model.loadAdapter(from: folder, named: "b")
    #expect(largestDifference(model.losses(ids), try expected("nll.\(method)")) < 1e-4)
  }
}
