import LoRAModels
import LoRATensor
import Testing

/// Agreement with transformers and PEFT on tiny models; see Tests/Reference/models.py.
@Suite struct ConformanceTests {
  @Test(arguments: Fixtures.models) func lossesOfEveryTokenAgree(name: String) throws {
    let expected = try ExpectedValues(model: name)
    let model = try PretrainedModel(path: Fixtures.path("models/\(name)")).languageModel
    let base = model.losses(expected.ids)
    #expect(largestDifference(base, expected.losses) < 2e-5)

    try model.loadAdapter(from: Fixtures.path("models/\(name)/adapter"))
    let adapted = model.losses(expected.ids)
    #expect(largestDifference(adapted, expected.adaptedLosses) < 2e-5)
    #expect(largestDifference(adapted, base) > 1e-2, "the adapter has an effect")

    try model.mergeAdapters(["default": 1])
    #expect(
      largestDifference(model.losses(expected.ids), expected.adaptedLosses) < mergedTolerance(name))
    try model.unmergeAdapters()
    #expect(model.losses(expected.ids) == adapted)
    try model.disableAdapters()
    #expect(model.losses(expected.ids) == base)
    try model.detach("default")
    #expect(model.losses(expected.ids) == base)
  }

  /// A merged weight is rounded to the type of the base.
  private func mergedTolerance(_ name: String) -> Float {
    name.contains("bfloat16") || name.contains("mxfp4")
      ? 0.3 : name.contains("float16") ? 0.05 : 1e-4
  }

  @Test(arguments: Fixtures.models) func greedyGenerationsAgree(name: String) async throws {
    let expected = try ExpectedValues(model: name)
    let pretrained = try PretrainedModel(path: Fixtures.path("models/\(name)"))
    let model = try pretrained.languageModel
    let options = GenerationOptions(maximumTokens: 20)
    #expect(try model.generate(after: expected.prompt, options: options) == expected.generated)
    try model.loadAdapter(from: Fixtures.path("models/\(name)/adapter"), named: "tuned")
    #expect(
      try model.generate(after: expected.prompt, options: options, adapters: ["tuned": 1])
        == expected.adaptedGenerated)
    #expect(
      try model.generate(after: expected.prompt, options: options, adapters: [:])
        == expected.generated)

    var stopping = options
    stopping.stopTokens = pretrained.stopTokens
    var streamed: [Int] = []
    for try await token in try model.tokens(
      after: expected.prompt, options: stopping, adapters: [:])
    {
      streamed.append(token)
    }
    #expect(streamed == Array(expected.stopped.dropLast()))
    #expect(pretrained.stopTokens.contains(expected.stopped.last ?? -1))
  }
}
