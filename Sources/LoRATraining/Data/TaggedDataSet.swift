import LoRAAutograd
public import LoRAModels
public import LoRATensor
public import LoRAText

/// Token sequences with a label for each token, batched with padding on the right.
///
/// ```swift
/// let data = try TaggedDataSet([
///   .init(tokens: [101, 8282, 1110, 102], labels: [-100, 1, 0, -100]),
/// ])
/// let trainer = try Trainer(tagger, training: .adapter("names"), on: data)
/// ```
public struct TaggedDataSet: TrainingData {
  /// A token sequence and its labels.
  public struct Example: Sendable, Hashable {
    /// The token ids.
    public var tokens: [Int]
    /// The index of each token's label; -100 for a token that has none, as special tokens and the
    /// tokens of a word behind its first.
    public var labels: [Int]

    /// Creates an example.
    public init(tokens: [Int], labels: [Int]) {
      self.tokens = tokens
      self.labels = labels
    }
  }

  /// A batch of tokens and labels.
  public struct Batch: Sendable {
    /// The tokens, not yet checked.
    public let tokens: TokenBatch
    /// The index of each token's label, int64, `[batch, positions]`; -100, which is ignored, without one.
    public let labels: Tensor
  }

  /// The examples.
  public let examples: [Example]

  /// What stands in the place of a label that there is not.
  static let ignored = Int(ignoredTarget)

  /// Creates a data set. Throws ``TrainingError`` if there is no example, or one with other numbers of
  /// tokens and labels or without any label.
  public init(_ examples: [Example], source: String = "the examples") throws(TrainingError) {
    guard !examples.isEmpty else { throw .emptyData(source: source) }
    for (index, example) in examples.enumerated() {
      guard example.tokens.count == example.labels.count else {
        throw .unequalLengths(
          example: index, tokens: example.tokens.count, targets: example.labels.count)
      }
      guard example.labels.contains(where: { $0 != Self.ignored }) else {
        throw .noTargets(example: index)
      }
    }
    self.examples = examples
  }

  /// The number of examples.
  public var exampleCount: Int { examples.count }

  /// The batch of the examples at these indexes, padded on the right to the longest.
  public func batch(of indexes: [Int]) -> Batch {
    let chosen = indexes.map { examples[$0] }
    let tokens = TokenBatch(sequences: chosen.map(\.tokens))
    let width = tokens.tokens.shape[1]
    let labels = chosen.flatMap { example in
      example.labels.map(Int64.init)
        + repeatElement(ignoredTarget, count: width - example.labels.count)
    }
    return Batch(tokens: tokens, labels: Tensor(labels, shape: [chosen.count, width]))
  }

  /// The number of labelled tokens of these examples.
  public func targetCount(of indexes: [Int]) -> Int {
    indexes.reduce(0) { $0 + examples[$1].labels.count { $0 != Self.ignored } }
  }

  /// The number of tokens of these examples, without padding.
  public func tokenCount(of indexes: [Int]) -> Int {
    indexes.reduce(0) { $0 + examples[$1].tokens.count }
  }

  /// The number of tokens of the longest example.
  public var longestExample: Int { examples.reduce(0) { max($0, $1.tokens.count) } }

  /// A fingerprint of every token and label. Time: one pass over the tokens.
  public var fingerprint: UInt64 {
    var hash = ContentHash()
    for example in examples {
      hash.combine(UInt64(example.tokens.count))
      for number in example.tokens + example.labels {
        hash.combine(UInt64(truncatingIfNeeded: number))
      }
    }
    return hash.value
  }

  /// Throws ``TrainingError`` for a label that `model` does not have, and `SequenceError` for tokens that it
  /// can't read. Trainer and evaluation call it.
  public func check(for model: any TokenClassifier) throws {
    let count = model.labels.count
    for (index, example) in examples.enumerated() {
      let wrong = example.labels.first { $0 != Self.ignored && !(0..<count).contains($0) }
      if let wrong {
        throw TrainingError.labelOutOfRange(label: wrong, example: index, labels: count)
      }
    }
    try model.validate(examples.map(\.tokens))
  }
}

extension TaggedDataSet {
  /// A data set of texts in words, inside the tokenizer's template, and what became of those that are too
  /// long, a sentence each. A word's label is that of its first token.
  ///
  /// ```swift
  /// let texts = try TaggedText.read("names.jsonl")
  /// let labels = try LabelSet(of: texts, file: "names.jsonl")
  /// let (data, notes) = try TaggedDataSet.encoding(
  ///   texts, labels: labels, tokenizer: tokenizer, longest: 128)
  /// ```
  ///
  /// - Parameters:
  ///   - texts: the examples, each with its tags.
  ///   - labels: what the tags are.
  ///   - tokenizer: the model's tokenizer.
  ///   - longest: the most tokens of an example, special ones included.
  ///   - longExamples: what to do with a longer one. Cut, it loses its end; it can't be split.
  ///   - source: the name of the data in errors, such as its file's name.
  ///
  /// Throws `FormatError` for an example without words or tags, with a tag that is not among `labels`, or
  /// whose words have no tokens, and ``TrainingError``.
  public static func encoding(
    _ texts: [TaggedText], labels: LabelSet, tokenizer: any Tokenizer, longest: Int,
    longExamples: LongExamples = .truncate, source: String = "the texts"
  ) throws -> (data: TaggedDataSet, notes: [String]) {
    var long = try LongExampleTally(longExamples, limit: longest, source: source)
    let encoder = WordEncoder(tokenizer)
    var examples: [Example] = []
    examples.reserveCapacity(texts.count)
    var lost = 0
    for text in texts {
      let (words, tags) = try text.tagged(source)
      let numbers = try labels.numbers(of: tags, file: source, line: text.line)
      let encoding = try encoder.encode(words, limit: longest, file: source, line: text.line)
      if encoding.isCut, try !long.keeps(line: text.line) { continue }
      var targets = Array(repeating: ignored, count: encoding.ids.count)
      for (start, number) in zip(encoding.starts, numbers) {
        if let start { targets[start] = number } else { lost += 1 }
      }
      guard encoding.starts.contains(where: { $0 != nil }) else {
        throw LabelledText.error(
          source, text.line, "the tokenizer makes no token of any of its words",
          "leave the record out")
      }
      examples.append(Example(tokens: encoding.ids, labels: targets))
    }
    var notes = long.notes
    if lost > 0 {
      notes.append(
        "\(lost) word\(lost == 1 ? " has" : "s have") no token, as what was cut off, and "
          + "\(lost == 1 ? "is" : "are") not learned")
    }
    return (try TaggedDataSet(examples, source: source), notes)
  }
}
