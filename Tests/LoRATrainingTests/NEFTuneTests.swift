import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATraining
import Testing

/// The noise on embeddings while training, by its formula.
@Suite struct NEFTuneTests {
  private func noise(
    examples: [Int], lengths: [Int], positions: Int, alpha: Double = 5, seed: UInt64 = 1,
    step: UInt64 = 2, rows: Int? = nil
  ) -> Tensor {
    let ids = Tensor.zeros([rows ?? examples.count, positions], dtype: .int64)
    return EmbeddingNoise(
      alpha: alpha, seed: seed, step: step, examples: examples, lengths: lengths
    )
    .noise(for: TokenBatch(ids), size: 48)
  }

  @Test func isUniformWithinAlphaOverTheRootOfLengthTimesSize() {
    let lengths = [40, 10]
    let values = noise(examples: [3, 7], lengths: lengths, positions: 40)
    #expect(values.shape == [2, 40, 48])
    for (row, length) in lengths.enumerated() {
      let bound = 5 / Double(length * 48).squareRoot()
      let all = values[row: row].scalars().map { Double($0) }
      let drawn = all.prefix(length * 48)
      #expect(all.dropFirst(length * 48).allSatisfy { $0 == 0 }, "padding has none")
      #expect(drawn.allSatisfy { abs($0) <= bound })
      let most = drawn.map(abs).max() ?? 0
      #expect(most > 0.97 * bound)
      let (count, mean) = (Double(drawn.count), drawn.reduce(0, +) / Double(drawn.count))
      let variance = drawn.reduce(0) { $0 + $1 * $1 } / count
      #expect(abs(mean) < 4 * bound / (3 * count).squareRoot())
      #expect(abs(variance / (bound * bound / 3) - 1) < 0.1)
    }
  }

  @Test func dependsOnSeedStepAndExampleAlone() {
    let pair = noise(examples: [3, 7], lengths: [20, 10], positions: 20)
    let alone = noise(examples: [7], lengths: [10], positions: 10)
    #expect(pair[row: 1].sliced(axis: 0, 0..<10) == alone[row: 0])
    let turned = noise(examples: [7, 3], lengths: [10, 20], positions: 20)
    #expect(turned[row: 0] == pair[row: 1] && turned[row: 1] == pair[row: 0])
    #expect(noise(examples: [7], lengths: [10], positions: 10, seed: 2) != alone)
    #expect(noise(examples: [7], lengths: [10], positions: 10, step: 3) != alone)
    // Two rows an example: all first ones, then all second ones.
    let rows = noise(examples: [7], lengths: [], positions: 10, rows: 2)
    #expect(rows[row: 0] == alone[row: 0] && rows[row: 1] != alone[row: 0])
  }

  private func trained(
    alpha: Double, batchSize: Int = 4, accumulation: Int = 1, seed: UInt64 = 3
  ) throws -> (values: [Tensor], losses: [Double], evaluation: Double) {
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    try model.inject(LoRA(rank: 4, alpha: 8), named: "a", seed: 3)
    var options = TrainingOptions(
      duration: .epochs(2), batchSize: batchSize, accumulation: accumulation, learningRate: 1e-2,
      seed: seed)
    options.neftuneAlpha = alpha
    let data = try TokenDataSet(
      sequences: patternSequences(11, length: 20, vocabulary: 64, seed: 0).enumerated().map {
        Array($1.prefix(8 + $0))
      })
    let before = try model.withAdapters([:]) { try model.evaluate(on: data).nll }
    let result = try Trainer(model, training: .adapter("a"), on: data, options: options).run()
    return (model.adapterValues("a"), result.losses, before)
  }

  @Test func isDrawnBySeedInTrainingAlone() throws {
    let (plain, noisy, again) = (
      try trained(alpha: 0), try trained(alpha: 5), try trained(alpha: 5)
    )
    #expect(noisy.values == again.values && noisy.losses == again.losses)
    #expect(noisy.losses != plain.losses)
    #expect(abs(noisy.losses[0] - plain.losses[0]) < 1, "it is noise, not ruin")
    #expect(noisy.evaluation == plain.evaluation, "evaluation has none")
  }

  @Test func severalBatchesAStepAreALargeOne() throws {
    let large = try trained(alpha: 5)
    let parts = try trained(alpha: 5, batchSize: 2, accumulation: 2)
    for (a, b) in zip(large.losses, parts.losses) { #expect(abs(a - b) < 1e-5) }
    for (a, b) in zip(large.values, parts.values) { #expect(largestDifference(a, b) < 1e-5) }
  }

  @Test func aNegativeAlphaIsAnError() {
    var options = TrainingOptions()
    options.neftuneAlpha = -1
    #expect(throws: TrainingError.self) { try options.check() }
  }
}
