public import LoRAModels
import LoRATensor

/// Pairs of token sequences that mean the same, batched with padding on the right.
///
/// ```swift
/// let data = try PairDataSet([.init([101, 7, 102], [101, 9, 8, 102]), .init([101, 4, 102], [101, 5, 102])])
/// let trainer = try Trainer(encoder, training: .adapter("support"), on: data)
/// ```
public struct PairDataSet: TrainingData {
  /// Two sequences that mean the same.
  public struct Example: Sendable, Hashable {
    /// The token ids of the one.
    public var first: [Int]
    /// The token ids of the other.
    public var second: [Int]
    /// What the pair is about, by a number: pairs of one number are not told apart. Nil: from every other
    /// pair.
    public var group: Int?

    /// Creates an example.
    public init(_ first: [Int], _ second: [Int], group: Int? = nil) {
      self.first = first
      self.second = second
      self.group = group
    }
  }

  /// A batch: all first sequences, then all second ones.
  public struct Batch: Sendable {
    /// The tokens, not yet checked.
    public let tokens: TokenBatch
    /// What each pair is about.
    public let groups: [Int?]
  }

  /// The examples.
  public let examples: [Example]

  /// Creates a data set. Throws ``TrainingError`` if there is no example, or no two that can be told apart.
  public init(_ examples: [Example], source: String = "the pairs") throws(TrainingError) {
    guard let first = examples.first else { throw .emptyData(source: source) }
    guard examples.dropFirst().contains(where: { $0.group == nil || $0.group != first.group })
    else {
      throw .nothingToTellApart(source: source)
    }
    self.examples = examples
  }

  /// Pairs each sequence with another of its label, the next in an order that the seed shuffles; that of a
  /// label which has no other is left out. Pairs of one label are not told apart.
  ///
  /// Throws ``TrainingError`` if fewer than two labels have two sequences.
  public init(
    sequences: [[Int]], labels: [Int], seed: UInt64 = 0, source: String = "the sequences"
  ) throws(TrainingError) {
    require(
      sequences.count == labels.count, "\(labels.count) labels of \(sequences.count) sequences")
    var members: [Int: [Int]] = [:]
    for (index, label) in labels.enumerated() { members[label, default: []].append(index) }
    var partner: [Int: Int] = [:]
    for (label, indexes) in members where indexes.count > 1 {
      var (indexes, random) = (indexes, SeededRandom(seed: seed, path: "pairs/\(label)"))
      indexes.shuffle(by: &random)
      for (place, index) in indexes.enumerated() {
        partner[index] = indexes[(place + 1) % indexes.count]
      }
    }
    try self.init(
      sequences.indices.compactMap { index in
        partner[index].map { Example(sequences[index], sequences[$0], group: labels[index]) }
      }, source: source)
  }

  /// The number of pairs.
  public var exampleCount: Int { examples.count }

  /// The batch of the pairs at these indexes.
  public func batch(of indexes: [Int]) -> Batch {
    let chosen = indexes.map { examples[$0] }
    return Batch(
      tokens: TokenBatch(sequences: chosen.map(\.first) + chosen.map(\.second)),
      groups: chosen.map(\.group))
  }

  /// The number of tokens of these pairs, without padding.
  public func tokenCount(of indexes: [Int]) -> Int {
    indexes.reduce(0) { $0 + examples[$1].first.count + examples[$1].second.count }
  }

  /// The number of tokens of the longest sequence.
  public var longestSequence: Int {
    examples.reduce(0) { max($0, $1.first.count, $1.second.count) }
  }

  /// A fingerprint of every token and group. Time: one pass over the tokens.
  public var fingerprint: UInt64 {
    var hash = ContentHash()
    for example in examples {
      for numbers in [example.first, example.second, [example.group ?? -1]] {
        hash.combine(UInt64(numbers.count))
        for number in numbers { hash.combine(UInt64(truncatingIfNeeded: number)) }
      }
    }
    return hash.value
  }
}
