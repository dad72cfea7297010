import Foundation
import LoRAKit
import LoRATesting
import OwnLayer
import Testing

/// A model of this package's own modules: names, files, training, adapters, merging.
@Suite struct ModelTests {
  let data = SpiralData(count: 120, turn: 1 / 3, seed: 5)

  func model(seed: UInt64 = 0) -> SpiralClassifier {
    SpiralClassifier(size: 16, depth: 2, seed: seed)
  }

  func logits(_ model: SpiralClassifier) -> Tensor {
    withoutGradients { model(Variable(data.batch(of: Array(0..<40)).points)).value }
  }

  /// Two epochs: enough to move every number, not to learn the task.
  @discardableResult
  func train(
    _ model: SpiralClassifier, _ target: TrainingTarget, epochs: Int = 2
  ) throws -> TrainingResult {
    let options = TrainingOptions(
      duration: .epochs(epochs), batchSize: 40, learningRate: 1e-2, seed: 3)
    let trainer = try Trainer(model, training: target, on: data, options: options) { batch, scale in
      model.loss(of: batch, scale: scale)
    }
    return try trainer.run()
  }

  /// The means of the first and of the last three losses.
  func ends(of losses: [Double]) -> (first: Double, last: Double) {
    (losses.prefix(3).reduce(0, +) / 3, losses.suffix(3).reduce(0, +) / 3)
  }

  @Test func parametersHaveTheNamesOfTheChildren() {
    #expect(
      model().namedParameters().map(\.path).filter { !$0.hasPrefix("blocks.1") } == [
        "input.weight", "input.bias", "blocks.0.norm.weight", "blocks.0.up.weight",
        "blocks.0.up.bias", "blocks.0.mix.blocks", "blocks.0.mix.bias", "head.weight", "head.bias",
      ])
    #expect(
      model().linearLayers().map(\.path)
        == ["input", "blocks.0.up", "blocks.0.mix", "blocks.1.up", "blocks.1.mix", "head"])
  }

  @Test func aFileRestoresAModelBitForBit() throws {
    try withTemporaryFolder { folder in
      let (saved, other) = (model(seed: 1), model(seed: 2))
      try saved.saveParameters(to: folder + "/model.safetensors")
      #expect(logits(saved) != logits(other))
      try other.loadParameters(from: folder + "/model.safetensors")
      #expect(logits(saved) == logits(other))
      let shallow = SpiralClassifier(size: 16, depth: 1)
      #expect(throws: FormatError.self) {
        try shallow.loadParameters(from: folder + "/model.safetensors")
      }
    }
  }

  @Test func fullTrainingLearns() throws {
    let model = model()
    let result = try train(model, .full, epochs: 30)
    #expect(result.trainedParameterCount == model.parameterCount)
    let (first, last) = ends(of: result.losses)
    #expect(last < 0.7 * first)
  }

  @Test func injectionLeavesTheHeadOutAndChangesNothing() throws {
    let model = model()
    let base = logits(model)
    let report = try model.inject(LoRA(rank: 2, alpha: 4), named: "turned")
    #expect(
      report.layers == ["input", "blocks.0.up", "blocks.0.mix", "blocks.1.up", "blocks.1.mix"])
    #expect(logits(model) == base)
  }

  @Test func anAdapterLearnsWhileTheBaseKeepsItsBits() throws {
    let model = model()
    let base = logits(model)
    try model.inject(LoRA(rank: 4, alpha: 8), named: "turned")
    try model.inject(RowScaling(), named: "scaled")
    let before = model.namedParameters().map(\.parameter.value)
    for name in ["turned", "scaled"] {
      let result = try train(model, .adapter(name), epochs: 20)
      let (first, last) = ends(of: result.losses)
      #expect(last < first)
    }
    #expect(model.namedParameters().map(\.parameter.value) == before)
    #expect(try model.withAdapters(["turned": 1]) { logits(model) } != base)
    #expect(try model.withAdapters([:]) { logits(model) } == base)
    try model.detach("turned")
    try model.detach("scaled")
    #expect(logits(model) == base)
  }

  @Test func mergingComputesTheSameAndUnmergingRestoresTheBits() throws {
    let model = model()
    let base = logits(model)
    try model.inject(LoRA(rank: 4, alpha: 8), named: "turned")
    try model.inject(RowScaling(), named: "scaled")
    try train(model, .adapter("turned"))
    try train(model, .adapter("scaled"))
    let mix: AdapterSelection = ["turned": 0.7, "scaled": 0.5]
    let unmerged = try model.withAdapters(mix) { logits(model) }

    try model.mergeAdapters(mix)
    let comparison = compare(logits(model), to: unmerged)
    #expect(comparison.isWithin(relative: 1e-4), "\(comparison)")
    #expect(unmerged != base)
    try model.unmergeAdapters()
    #expect(try model.withAdapters(mix) { logits(model) } == unmerged)
    try model.disableAdapters()
    #expect(logits(model) == base)
  }

  @Test func aPEFTDirectoryHoldsTheAdapterOfTheOwnLayers() throws {
    try withTemporaryFolder { folder in
      let (model, other) = (model(), model())
      for method in ["lora", "half"] {
        if method == "lora" {
          try model.inject(LoRA(rank: 4, alpha: 8), named: method)
        } else {
          try model.inject(HalfLoRA(rank: 4, alpha: 8), named: method)
        }
        try train(model, .adapter(method))
        try model.saveAdapter(method, to: "\(folder)/\(method)")
        try other.loadAdapter(from: "\(folder)/\(method)", named: method)
        #expect(
          try model.withAdapters([method: 1]) { logits(model) }
            == other.withAdapters([method: 1]) { logits(other) })
      }
    }
  }

  /// What is not low-rank has no PEFT file: the factors are written under their names.
  @Test func anAdapterThatIsNotLowRankSurvivesAFile() throws {
    try withTemporaryFolder { folder in
      let (model, other) = (model(), model())
      try model.inject(RowScaling(), named: "scaled")
      try train(model, .adapter("scaled"))
      try model.saveScales(of: "scaled", to: folder + "/scales.safetensors")
      try other.inject(RowScaling(), named: "scaled")
      try other.loadScales(of: "scaled", from: folder + "/scales.safetensors")
      #expect(logits(model) == logits(other))
      #expect(throws: AdapterError.self) { try model.saveAdapter("scaled", to: folder + "/x") }
    }
  }

  @Test func theSameSeedGivesTheSameBitsAtEveryNumberOfThreads() throws {
    func trained() throws -> [Tensor] {
      let model = model()
      try model.inject(LoRA(rank: 4, alpha: 8, dropout: 0.1), named: "turned")
      try train(model, .adapter("turned"))
      return model.adapterParameters(named: "turned").map(\.parameter.value)
    }
    let threads = Threads.count
    defer { Threads.count = threads }
    Threads.count = 1
    let single = try trained()
    Threads.count = 2
    #expect(try trained() == single)
  }
}

/// Runs `body` with a folder of its own, which is gone afterwards.
func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}
