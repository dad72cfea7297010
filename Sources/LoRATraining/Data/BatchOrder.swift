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
  /// The length of each example where batches are made of examples of similar length; nil: they are not.
  let lengths: [Int]?

  /// The number of batches among which examples are exchanged to bring similar lengths together.
  static let windowSize = 64

  /// Creates an order. Traps if a number is below 1, or if there is not a length for each example.
  package init(
    exampleCount: Int, batchSize: Int, accumulation: Int = 1, seed: UInt64?, lengths: [Int]? = nil
  ) {
    require(
      exampleCount > 0 && batchSize > 0 && accumulation > 0,
      "\(exampleCount) examples in batches of \(batchSize), \(accumulation) a step")
    self.exampleCount = exampleCount
    self.batchSize = batchSize
    self.accumulation = accumulation
    self.seed = seed
    self.lengths = lengths
    require(
      lengths.map { $0.count == exampleCount } ?? true,
      "\(lengths?.count ?? 0) lengths of \(exampleCount) examples")
  }

  /// The number of batches per epoch.
  package var batchesPerEpoch: Int { (exampleCount - 1) / batchSize + 1 }

  /// The number of steps per epoch.
  package var stepsPerEpoch: Int { (batchesPerEpoch - 1) / accumulation + 1 }

  /// The example indexes of `epoch`, from 0, in the order in which they are seen.
  ///
  /// Fisher and Yates' shuffle of the generator named `epoch/<epoch>` under the seed. With lengths, the
  /// examples of every 64 batches are then sorted by length, and all full batches are shuffled once more.
  ///
  /// Of each 64 batches of B examples the lengths of neighbours rise, so that all their padding together
  /// is at most B times the difference between the longest and the shortest of their examples: on
  /// average no example has more than a 64th of that.
  package func examples(ofEpoch epoch: Int) -> [Int] {
    var examples = Array(0..<exampleCount)
    guard let seed else { return examples }
    var random = SeededRandom(seed: seed, path: "epoch/\(epoch)")
    examples.shuffle(by: &random)
    guard let lengths else { return examples }
    var batches: [[Int]] = []
    // Batches may be asked to be as large as numbers go.
    let window = min(batchSize, exampleCount).multipliedReportingOverflow(by: Self.windowSize)
    let size = window.overflow ? exampleCount : window.partialValue
    for start in stride(from: 0, to: exampleCount, by: size) {
      let sorted = examples[start..<start + min(size, exampleCount - start)].enumerated()
        .sorted { (lengths[$0.element], $0.offset) < (lengths[$1.element], $1.offset) }
        .map(\.element)
      for first in stride(from: 0, to: sorted.count, by: min(batchSize, exampleCount)) {
        batches.append(Array(sorted[first..<first + min(batchSize, sorted.count - first)]))
      }
    }
    // A batch that is not full ends the epoch.
    let rest = batches.last.map { $0.count < batchSize } ?? false ? batches.popLast() : nil
    batches.shuffle(by: &random)
    return batches.flatMap { $0 } + (rest ?? [])
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

extension Array {
  mutating func shuffle(by random: inout SeededRandom) {
    for last in stride(from: count - 1, to: 0, by: -1) {
      let other = random.next().multipliedFullWidth(by: UInt64(last + 1)).high
      swapAt(last, Int(other))
    }
  }
}
