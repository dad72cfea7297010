import LoRAAutograd
public import LoRAModels
public import LoRATensor

/// Labelled token sequences, batched with padding on the right.
///
/// ```swift
/// let data = try LabelledDataSet([
///   .init(tokens: [101, 2307, 102], label: 1), .init(tokens: [101, 6659, 999, 102], label: 0),
/// ])
/// let trainer = try Trainer(classifier, training: .adapter("mood"), on: data)
/// ```
public struct LabelledDataSet: TrainingData {
  /// A token sequence and its label, or its labels for a model that gives a sequence several.
  public struct Example: Sendable, Hashable {
    /// The token ids.
    public var tokens: [Int]
    /// The token types; nil if all are 0.
    public var types: [Int]?
    /// The indexes of the labels: one, but for a model that gives a sequence several.
    public var labels: [Int]

    /// Creates an example with one label.
    public init(tokens: [Int], types: [Int]? = nil, label: Int) {
      self.init(tokens: tokens, types: types, labels: [label])
    }

    /// Creates an example with any number of labels.
    public init(tokens: [Int], types: [Int]? = nil, labels: [Int]) {
      self.tokens = tokens
      self.types = types
      self.labels = labels
    }
  }

  /// A batch of tokens and labels.
  public struct Batch: Sendable {
    /// The tokens, not yet checked.
    public let tokens: TokenBatch
    /// The index of each sequence's first label, int64, `[batch]`; -100, which is ignored, without one.
    public let labels: Tensor
    /// The indexes of each sequence's labels.
    public let labelSets: [[Int]]
  }

  /// The examples.
  public let examples: [Example]

  /// Creates a data set. Throws ``TrainingError`` if there is no example, or if an example has
  /// different numbers of tokens and types.
  public init(
    _ examples: [Example], source: String = "the examples"
  ) throws(TrainingError) {
    guard !examples.isEmpty else { throw .emptyData(source: source) }
    for (index, example) in examples.enumerated() {
      if let types = example.types, types.count != example.tokens.count {
        throw .invalidOption(
          name: "the number of types of example \(index + 1)", value: "\(types.count)",
          expected: "\(example.tokens.count), one a token")
      }
    }
    self.examples = examples
  }

  /// The number of examples.
  public var exampleCount: Int { examples.count }

  /// The batch of the examples at these indexes, padded on the right to the longest.
  public func batch(of indexes: [Int]) -> Batch {
    let chosen = indexes.map { examples[$0] }
    let types: [[Int]]? =
      chosen.contains { $0.types != nil }
      ? chosen.map { $0.types ?? Array(repeating: 0, count: $0.tokens.count) } : nil
    return Batch(
      tokens: TokenBatch(sequences: chosen.map(\.tokens), types: types),
      labels: Tensor(
        chosen.map { $0.labels.first.map(Int64.init) ?? ignoredTarget }, shape: [chosen.count]),
      labelSets: chosen.map(\.labels))
  }

  /// The number of tokens of these examples, without padding.
  public func tokenCount(of indexes: [Int]) -> Int {
    indexes.reduce(0) { $0 + examples[$1].tokens.count }
  }

  /// The number of tokens of the longest example.
  public var longestExample: Int { examples.reduce(0) { max($0, $1.tokens.count) } }

  /// A fingerprint of every token, type and label. Time: one pass over the tokens.
  public var fingerprint: UInt64 {
    var hash = ContentHash()
    func combine(_ numbers: [Int]) {
      hash.combine(UInt64(numbers.count))
      for number in numbers { hash.combine(UInt64(truncatingIfNeeded: number)) }
    }
    for example in examples {
      combine(example.tokens)
      combine(example.types ?? [])
      combine(example.labels)
    }
    return hash.value
  }

  /// Throws ``TrainingError`` for a label that `model` does not have, or for none or several of a model
  /// that gives a sequence one, and `SequenceError` for tokens or types that it can't read. Trainer and
  /// evaluation call it.
  public func check(for model: any SequenceClassifier) throws {
    let count = model.labels.count
    for (index, example) in examples.enumerated() {
      if let label = example.labels.first(where: { !(0..<count).contains($0) }) {
        throw TrainingError.labelOutOfRange(label: label, example: index, labels: count)
      }
      guard model.isMultiLabel || example.labels.count == 1 else {
        throw TrainingError.invalidOption(
          name: "the number of labels of example \(index + 1)", value: "\(example.labels.count)",
          expected: "1: the model gives a sequence one label")
      }
    }
    try model.validate(examples.map(\.tokens))
    let types = max(1, model.typeCount)
    for (index, example) in examples.enumerated() {
      guard let place = example.types?.firstIndex(where: { !(0..<types).contains($0) }) else {
        continue
      }
      throw SequenceError.typeOutOfRange(
        sequence: index, position: place, type: example.types?[place] ?? 0,
        typeCount: model.typeCount)
    }
  }
}
