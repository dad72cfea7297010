import LoRAArchitectures
import LoRAAutograd
import LoRAFormats
import LoRAModels
import LoRATensor
import LoRATesting
import Testing

/// What is GPT-2's own: weights stored transposed, learned positions, checkpoints of the body alone.
@Suite struct GPT2Tests {
  private static let fixtures = Fixtures.models.filter { $0.hasPrefix("gpt2") }

  @Test(arguments: fixtures) func lossesOfTheBaseAgree(name: String) throws {
    let expected = try ExpectedValues(model: name)
    let model = try PretrainedModel(path: Fixtures.path("models/\(name)")).languageModel
    #expect(largestDifference(model.losses(expected.ids), expected.losses) < 2e-5)
  }

  /// Saving gives back every tensor bit for bit, in the layout of checkpoints.
  @Test(arguments: fixtures) func savesWhatItRead(name: String) throws {
    let pretrained = try PretrainedModel(path: Fixtures.path("models/\(name)"))
    let folder = try Fixtures.temporaryFolder()
    try pretrained.model.save(to: folder, type: pretrained.storedType)
    let (old, new) = (
      try ModelDirectory(path: Fixtures.path("models/\(name)")), try ModelDirectory(path: folder)
    )
    for name in old.tensorNames where !name.hasSuffix(".attn.bias") {
      let full = new.tensorNames.contains(name) ? name : "transformer.\(name)"
      // Bytes, because vectors are widened in memory and narrowed again.
      #expect(try new.tensor(named: full) == old.tensor(named: name), "\(name)")
    }
    let again = try PretrainedModel(path: folder)
    #expect(again.configuration == pretrained.configuration)
    let ids = try ExpectedValues(model: name).ids
    #expect(try again.languageModel.losses(ids) == pretrained.languageModel.losses(ids))
  }

  @Test func theLayerIsTheTransposeOfItsStoredWeight() {
    var random = SeededRandom(seed: 1, path: "Conv1D")
    let (stored, x) = (random.normal([3, 5]), random.normal([2, 3]))
    for type in [DType.float32, .bfloat16, .float16] {
      let narrow = stored.converted(to: type)
      let layer = Conv1D(storedWeight: Parameter(narrow, isTrainable: false))
      #expect(layer.inputSize == 3 && layer.outputSize == 5)
      #expect(layer.weight?.value.dtype == type)
      let wide = narrow.converted(to: .float32)
      #expect(layer.denseWeight() == wide.transposed())
      let expected = x.matrixProduct(with: wide)
      #expect(largestDifference(layer(Variable(x)).value, expected) < 1e-6)
    }
  }

  /// A merged model, saved and opened again, computes what it did; a merged embedding is no longer
  /// the head's table, and both are kept.
  @Test func mergedEmbeddingsUntieTheHead() throws {
    let model = try TinyModels.make(.gpt2)
    model.setTrainable(false)
    var random = SeededRandom(seed: 3, path: "adapter")
    let adapter = LoRAAdapter(
      a: Parameter(random.normal([2, TinyModels.vocabularySize])),
      b: Parameter(random.normal([16, 2])), scale: 0.1)
    try model.attach(["transformer.wte": adapter], named: "a")
    let tokens = TinyModels.tokens([2, 9])
    let adapted = model(tokens).value
    try model.mergeAdapters(["a": 1])
    let folder = try Fixtures.temporaryFolder()
    try model.save(to: folder)
    let opened = try PretrainedModel(path: folder)
    #expect(!opened.configuration.tiesWordEmbeddings)
    let reopened = try opened.languageModel
    #expect(largestDifference(reopened(tokens).value, adapted) < 1e-5)
  }

  /// Pieces behind a cache see the positions that follow what it holds.
  @Test func decodingEqualsOnePass() throws {
    let model = try TinyModels.make(.gpt2)
    let tokens = TinyModels.tokens([1, 20])
    withoutGradients {
      let full = model.hiddenStates(tokens, cache: nil).value
      let cache = KeyValueCache(layerCount: model.layerCount, capacity: 20)
      for range in [0..<7, 7..<8, 8..<20] {
        let states = model.hiddenStates(tokens.sliced(axis: 1, range), cache: cache).value
        #expect(largestDifference(states, full.sliced(axis: 1, range)) < 1e-5)
      }
    }
  }
}
