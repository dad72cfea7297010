import LoRATensor

/// The order in which the examples of a data set are seen: a function of the seed alone.
///
/// Every epoch sees every example once; its last batch may be smaller. A step takes `accumulation`
/// batches of one epoch, or the batches that are left at its end.
package struct BatchOrder: Sendable, Hashable {
  /// The number of examples.
  package let exampleCount: Int
  /// The number of examples per batch.
  package let batchSize: Int
  /// The number of batches per step.
  package let accumulation: Int
  /// The seed of shuffling; nil keeps the data's own order in every epoch.
  package let seed: UInt64?

  /// Creates an order. Traps if a number is below 1.
  package init(exampleCount: Int, batchSize: Int, accumulation: Int = 1, seed: UInt64?) {
    require(
      exampleCount > 0 && batchSize > 0 && accumulation > 0,
      "\(exampleCount) examples in batches of \(batchSize), \(accumulation) a step")
    self.exampleCount = exampleCount
    self.batchSize = batchSize
    self.accumulation = accumulation
    self.seed = seed
  }

  /// The number of batches per epoch.
  package var batchesPerEpoch: Int { (exampleCount - 1) / batchSize + 1 }

  /// The number of steps per epoch.
  package var stepsPerEpoch: Int { (batchesPerEpoch - 1) / accumulation + 1 }

  /// The example indexes of `epoch`, from 0, in the order in which they are seen.
  ///
  /// Fisher and Yates' shuffle of the generator named `epoch/<epoch>` under the seed.
  package func examples(ofEpoch epoch: Int) -> [Int] {
    var examples = Array(0..<exampleCount)
    guard let seed else { return examples }
    var random = SeededRandom(seed: seed, path: "epoch/\(epoch)")
    for last in stride(from: exampleCount - 1, to: 0, by: -1) {
      let other = random.next().multipliedFullWidth(by: UInt64(last + 1)).high
      examples.swapAt(last, Int(other))
    }
    return examples
  }

  /// The batches of a step of an epoch with the order `examples`, as indexes of examples.
  package func batches(ofStep step: Int, in examples: [Int]) -> [[Int]] {
    let first = step * accumulation
    // Written so that no sum overflows: a batch may be asked to be as large as numbers go.
    return (first..<first + min(accumulation, batchesPerEpoch - first)).map { batch in
      let start = batch * batchSize
      return Array(examples[start..<start + min(batchSize, exampleCount - start)])
    }
  }
}
