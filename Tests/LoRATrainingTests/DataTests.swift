import LoRAModels
import LoRATensor
import LoRATraining
import Testing

/// Batches and their order.
@Suite struct DataTests {
  @Test func sequencesPredictTheirNextTokens() throws {
    let data = try TokenDataSet(sequences: [[1, 5, 7, 2], [1, 6, 2]])
    #expect(data.examples[1] == TrainingExample(tokens: [1, 6], targets: [6, 2]))
    #expect(data.targetCount == 5 && data.longestExample == 3)
    let batch = data.batch(of: [1, 0])
    #expect(batch.tokens == Tensor([1, 6, 0, 1, 5, 7] as [Int64], shape: [2, 3]))
    #expect(batch.targets == Tensor([6, 2, -100, 5, 7, 2] as [Int64], shape: [2, 3]))
    #expect(data.batch(of: [1]).tokens.shape == [1, 2], "padded to the longest of the batch")
    #expect(data.targetCount(of: [1]) == 2 && data.tokenCount(of: [1, 0]) == 5)
  }

  @Test func paddingToAMultiple() throws {
    var data = try TokenDataSet(sequences: [[1, 5, 7, 2]])
    data.paddingMultiple = 8
    data.paddingToken = 9
    #expect(data.batch(of: [0]).tokens.scalars(as: Int64.self) == [1, 5, 7, 9, 9, 9, 9, 9])
    #expect(data.batch(of: [0]).targets.scalars(as: Int64.self).filter { $0 >= 0 } == [5, 7, 2])
  }

  @Test func promptsDoNotCount() {
    let example = TrainingExample(sequence: [1, 4, 5, 6, 2], promptLength: 3)
    #expect(example.tokens == [1, 4, 5, 6] && example.targets == [-100, -100, 6, 2])
    #expect(example.targetCount == 2)
    #expect(TrainingExample(sequence: [1, 2], promptLength: 9).targetCount == 0)
    #expect(TrainingExample(sequence: [1, 2], promptLength: 0).targetCount == 1)
    #expect(TrainingExample(sequence: [], promptLength: 0).tokens.isEmpty)
  }

  @Test func tensorsOfSequences() throws {
    let wide = try TokenDataSet(sequences: Tensor([1, 2, 3, 4, 5, 6] as [Int32], shape: [2, 3]))
    #expect(wide.examples.map(\.tokens) == [[1, 2], [4, 5]])
    #expect(throws: TrainingError.self) {
      try TokenDataSet(sequences: Tensor([1, 2], shape: [1, 2]))
    }
    #expect(throws: TrainingError.self) { try TokenDataSet(sequences: Tensor([1, 2] as [Int64])) }
  }

  @Test func emptyDataIsAnError() {
    #expect(throws: TrainingError.emptyData(source: "a.json")) {
      try TokenDataSet(sequences: [], source: "a.json")
    }
    #expect(throws: TrainingError.noTargets(example: 1)) {
      try TokenDataSet(sequences: [[1, 2], [1]])
    }
    #expect(throws: TrainingError.noTargets(example: 0)) {
      try TokenDataSet(examples: [TrainingExample(sequence: [1, 2, 3], promptLength: 3)])
    }
    #expect(throws: TrainingError.unequalLengths(example: 0, tokens: 2, targets: 1)) {
      try TokenDataSet(examples: [TrainingExample(tokens: [1, 2], targets: [2])])
    }
  }

  @Test func everyExampleIsSeenOnceAnEpoch() {
    let order = BatchOrder(exampleCount: 23, batchSize: 4, accumulation: 2, seed: 7)
    #expect(order.batchesPerEpoch == 6 && order.stepsPerEpoch == 3)
    let epochs = (0..<4).map { order.examples(ofEpoch: $0) }
    for examples in epochs {
      #expect(examples.sorted() == Array(0..<23))
      let steps = (0..<3).map { order.batches(ofStep: $0, in: examples) }
      #expect(steps.flatMap { $0 }.flatMap { $0 } == examples)
      #expect(steps.map { $0.map(\.count) } == [[4, 4], [4, 4], [4, 3]])
    }
    #expect(Set(epochs).count == 4, "each epoch in its own order")
    #expect(order.examples(ofEpoch: 2) == epochs[2])
    let other = BatchOrder(exampleCount: 23, batchSize: 4, seed: 8)
    #expect(other.examples(ofEpoch: 0) != epochs[0])
    let plain = BatchOrder(exampleCount: 23, batchSize: 4, seed: nil)
    #expect(plain.examples(ofEpoch: 3) == Array(0..<23))
  }

  /// Similar lengths meet, every example is seen once, and all padding of 64 batches together is at most
  /// a batch times the difference between their longest and their shortest example.
  @Test func batchesByLength() {
    var random = SeededRandom(seed: 3, path: "lengths")
    let lengths = (0..<3001).map { _ in Int(random.next() % 57) + 3 }
    func padding(_ order: BatchOrder, _ epoch: Int) -> Int {
      let examples = order.examples(ofEpoch: epoch)
      return (0..<order.stepsPerEpoch).reduce(0) { sum, step in
        sum
          + order.batches(ofStep: step, in: examples).reduce(0) { sum, batch in
            let longest = batch.map { lengths[$0] }.max() ?? 0
            return sum + batch.reduce(0) { $0 + longest - lengths[$1] }
          }
      }
    }
    let plain = BatchOrder(exampleCount: 3001, batchSize: 16, seed: 5)
    let order = BatchOrder(exampleCount: 3001, batchSize: 16, seed: 5, lengths: lengths)
    let epochs = (0..<3).map { order.examples(ofEpoch: $0) }
    for (epoch, examples) in epochs.enumerated() {
      #expect(examples.sorted() == Array(0..<3001))
      // 188 batches are three windows.
      #expect(padding(order, epoch) <= 3 * 16 * 56)
      #expect(padding(plain, epoch) > 20 * padding(order, epoch))
      #expect(order.batches(ofStep: 187, in: examples).map(\.count) == [9])
    }
    #expect(Set(epochs).count == 3 && order.examples(ofEpoch: 1) == epochs[1])
    // Batches come in random order: long ones are not all at one end.
    let means = (0..<187).map { step in
      order.batches(ofStep: step, in: epochs[0])[0].reduce(0) { $0 + lengths[$1] } / 16
    }
    let (first, last) = (means.prefix(93).reduce(0, +) / 93, means.suffix(93).reduce(0, +) / 93)
    #expect(abs(first - last) < 8)
    // A batch of everything, and one larger than that.
    for size in [3001, .max] {
      let whole = BatchOrder(exampleCount: 3001, batchSize: size, seed: 1, lengths: lengths)
      #expect(whole.stepsPerEpoch == 1)
      #expect(whole.examples(ofEpoch: 0).sorted() == Array(0..<3001))
    }
  }

  @Test func shufflesAreUniform() {
    // Each example at each place: 4 examples, 4,000 epochs, expected 1,000 with a deviation of 27.
    let order = BatchOrder(exampleCount: 4, batchSize: 1, seed: 0)
    var counts = Array(repeating: Array(repeating: 0, count: 4), count: 4)
    for epoch in 0..<4000 {
      for (place, example) in order.examples(ofEpoch: epoch).enumerated() {
        counts[place][example] += 1
      }
    }
    #expect(counts.allSatisfy { $0.allSatisfy { abs($0 - 1000) < 150 } })
  }
}
