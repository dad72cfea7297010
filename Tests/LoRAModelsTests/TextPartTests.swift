import LoRAArchitectures
import LoRAFiles
import LoRAModels
import LoRATensor
import TestSupport
import Testing

/// Models that also read images: their text part agrees with transformers and PEFT, and the rest stays
/// as it is (Tests/Reference/text_parts.py).
@Suite struct TextPartTests {
  static let names = [
    "gemma3", "mistral3-newer", "qwen2-vl", "qwen2.5-vl-newer", "mistral3-ministral3", "gemma4",
  ]

  private func path(_ name: String) -> String { Fixtures.path("parts/\(name)") }

  private func expected(_ name: String, _ tensor: String) throws -> Tensor {
    try SafetensorsFile(path: path(name) + "/expected.safetensors").tensor(named: tensor)
  }

  @Test(arguments: names) func isRefusedUnlessAskedFor(name: String) throws {
    #expect {
      _ = try PretrainedModel(path: path(name))
    } throws: { error in
      guard let error = error as? FormatError else { return false }
      return error.kind == .unsupported && error.problem.contains("also reads images")
        && error.problem.contains("tensors belong to other parts")
        && error.remedy.contains("--text-only")
    }
  }

  @Test(arguments: names) func lossesAgree(name: String) throws {
    let ids = try expected(name, "ids")
    let model = try PretrainedModel(path: path(name), textOnly: true).languageModel
    let base = model.losses(ids)
    #expect(largestDifference(base, try expected(name, "nll")) < 2e-5)
    // As transformers 5 names the layers, and as older versions do.
    for folder in ["adapter", "adapter-former"] {
      try model.loadAdapter(from: path(name) + "/\(folder)", named: folder)
      let adapted = model.losses(ids)
      #expect(largestDifference(adapted, try expected(name, "nll_adapted")) < 2e-5, "\(folder)")
      #expect(largestDifference(adapted, base) > 1e-2)
      try model.mergeAdapters([folder: 1])
      #expect(largestDifference(model.losses(ids), adapted) < 1e-4)
      try model.unmergeAdapters()
      try model.detach(folder)
      #expect(model.losses(ids) == base)
    }
  }

  /// Merging changes the text part's weights, and keeps every other bit and name.
  @Test(arguments: names) func otherPartsAreKept(name: String) throws {
    let pretrained = try PretrainedModel(path: path(name), textOnly: true)
    try pretrained.model.loadAdapter(from: path(name) + "/adapter")
    try pretrained.model.mergeAdapters(["default": 1])
    let folder = try Fixtures.temporaryFolder()
    try pretrained.save(to: folder)
    let old = try SafetensorsFile(path: path(name) + "/model.safetensors")
    let new = try SafetensorsFile(path: folder + "/model.safetensors")
    #expect(Set(old.names) == Set(new.names))
    for tensor in old.names {
      let ends = ["_proj.weight", "_projection.weight", "_gate.weight"]
      let isProjection = ends.contains { tensor.hasSuffix($0) } && !tensor.contains("vis")
      #expect(
        (try old.tensor(named: tensor) == new.tensor(named: tensor)) == !isProjection, "\(tensor)")
    }
    let again = try PretrainedModel(path: folder, textOnly: true).languageModel
    let ids = try expected(name, "ids")
    #expect(largestDifference(again.losses(ids), try expected(name, "nll_adapted")) < 1e-4)
  }

  /// An adapter that is written here has the names that PEFT gives the layers of the whole model.
  @Test(arguments: names) func adaptersAreNamedAsInTheWhole(name: String) throws {
    let model = try PretrainedModel(path: path(name), textOnly: true).model
    try model.loadAdapter(from: path(name) + "/adapter-former")
    let folder = try Fixtures.temporaryFolder()
    try model.saveAdapter("default", to: folder)
    let old = try SafetensorsFile(path: path(name) + "/adapter/adapter_model.safetensors")
    let new = try SafetensorsFile(path: folder + "/adapter_model.safetensors")
    #expect(Set(old.names) == Set(new.names))
    for tensor in old.names {
      #expect(try old.tensor(named: tensor) == new.tensor(named: tensor), "\(tensor)")
    }
  }

  @Test func otherTextPartsAreNamed() {
    let text =
      #"{"model_type": "mistral3", "text_config": {"model_type": "mistral4", "vocab_size": 9}}"#
    #expect {
      _ = try ModelConfiguration(parsing: Array(text.utf8))
    } throws: {
      "\($0)".contains("'text_config.model_type': a text part of the architecture 'mistral4'")
    }
  }
}
