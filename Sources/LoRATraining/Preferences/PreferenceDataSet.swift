public import LoRAModels
public import LoRATensor

/// Prompts with completions that are preferred to others, or that are judged one by one.
///
/// ```swift
/// let pairs = try PreferenceDataSet([
///   .init(prompt: [1, 5, 7], chosen: [9, 2], rejected: [8, 8, 2])
/// ])
/// let judged = try PreferenceDataSet([   // for KTO
///   .init(prompt: [1, 5, 7], chosen: [9, 2]), .init(prompt: [1, 6], rejected: [8, 2]),
/// ])
/// ```
public struct PreferenceDataSet: TrainingData {
  /// A prompt with the completion that was chosen, the one that was rejected, or both.
  public struct Example: Sendable, Hashable {
    /// The token ids of the prompt.
    public var prompt: [Int]
    /// The token ids of the completion that is preferred, or desirable; nil for none.
    public var chosen: [Int]?
    /// The token ids of the completion that is not; nil for none.
    public var rejected: [Int]?

    /// Creates an example.
    public init(prompt: [Int], chosen: [Int]? = nil, rejected: [Int]? = nil) {
      self.prompt = prompt
      self.chosen = chosen
      self.rejected = rejected
    }

    var isPair: Bool { chosen != nil && rejected != nil }
    var completions: [[Int]] { [chosen, rejected].compactMap { $0 } }
    var longestRow: Int { completions.reduce(0) { max($0, prompt.count + $1.count) } }
    var length: Int { completions.reduce(0) { $0 + prompt.count + $1.count } }
  }

  /// A batch: rows of a prompt and a completion, all chosen ones before all rejected ones.
  public struct Batch: Sendable {
    /// The indexes of the examples.
    public let examples: [Int]
    /// The rows.
    public let rows: CompletionRows
    /// How many rows, the first ones, were chosen.
    public let chosenCount: Int
    let data: PreferenceDataSet
  }

  /// Prompts with a completion each, padded on the right.
  public struct CompletionRows: Sendable {
    /// The token ids, int64, `[rows, positions]`, not yet checked.
    public let tokens: Tensor
    /// The next token ids, -100 where padding or, unless asked otherwise, the prompt comes next.
    public let targets: Tensor
    /// The number of targets in each row, of them those of the completion.
    let counts: [(all: Int, completion: Int)]
  }

  /// The examples.
  public let examples: [Example]
  /// Whether every example is a pair; otherwise each has one completion.
  public let arePairs: Bool
  /// The name of the data in errors, such as its file's name.
  public let source: String

  /// Creates a data set, of pairs alone or of single completions alone.
  ///
  /// Throws ``TrainingError`` if there is no example, if one has no completion with something to
  /// predict, or if some are pairs and others are not.
  public init(
    _ examples: [Example], source: String = "the preferences"
  ) throws(TrainingError) {
    guard let first = examples.first else { throw .emptyData(source: source) }
    for (index, example) in examples.enumerated() {
      guard example.isPair == first.isPair else {
        throw .invalidOption(
          name: "the number of completions of example \(index + 1)",
          value: "\(example.completions.count)",
          expected: "\(first.completions.count), as of the first example")
      }
      guard !example.completions.isEmpty,
        example.completions.allSatisfy({ $0.count + example.prompt.count > 1 && !$0.isEmpty })
      else { throw .noTargets(example: index) }
    }
    self.examples = examples
    arePairs = first.isPair
    self.source = source
  }

  /// The number of examples.
  public var exampleCount: Int { examples.count }

  /// The batch of the examples at these indexes.
  public func batch(of indexes: [Int]) -> Batch {
    let chosen = indexes.compactMap { index in
      examples[index].chosen.map { (examples[index].prompt, $0) }
    }
    let rejected = indexes.compactMap { index in
      examples[index].rejected.map { (examples[index].prompt, $0) }
    }
    return Batch(
      examples: indexes, rows: Self.rows(chosen + rejected), chosenCount: chosen.count, data: self)
  }

  /// Rows of prompts and completions; with the first `learnedPrompts` of them the prompt counts too.
  static func rows(
    _ parts: [(prompt: [Int], completion: [Int])], learnedPrompts: Int = 0
  ) -> CompletionRows {
    let longest = parts.reduce(0) { max($0, $1.prompt.count + $1.completion.count - 1) }
    var (tokens, targets) = ([Int64](), [Int64]())
    var counts: [(all: Int, completion: Int)] = []
    for (index, part) in parts.enumerated() {
      let ids = (part.prompt + part.completion).map { Int64($0) }
      let given = index < learnedPrompts ? 0 : max(0, part.prompt.count - 1)
      let padding = longest - (ids.count - 1)
      tokens += ids.dropLast() + repeatElement(0, count: padding)
      targets += repeatElement(Int64(TrainingExample.ignored), count: given)
      targets += ids.dropFirst(given + 1)
      targets += repeatElement(Int64(TrainingExample.ignored), count: padding)
      let completion = min(part.completion.count, ids.count - 1)
      counts.append((ids.count - 1 - given, completion))
    }
    let shape: Shape = [parts.count, longest]
    return CompletionRows(
      tokens: Tensor(tokens, shape: shape), targets: Tensor(targets, shape: shape), counts: counts)
  }

  /// The prompts of these examples with the completion of the one before each, the first with the
  /// last's; of a single example with that of its neighbour in the data.
  func mismatched(_ indexes: [Int]) -> CompletionRows {
    let others =
      indexes.count > 1
      ? indexes.suffix(1) + indexes.dropLast()
      : indexes.map { ($0 + 1) % examples.count }
    return Self.rows(
      zip(indexes, others).map { (examples[$0].prompt, examples[$1].completions.first ?? []) })
  }

  /// The number of tokens of these examples, prompts counted with each completion.
  public func tokenCount(of indexes: [Int]) -> Int {
    indexes.reduce(0) { $0 + examples[$1].length }
  }

  /// The number of positions of the longest row.
  public var longestRow: Int {
    examples.reduce(0) { longest, example in
      example.completions.reduce(longest) { max($0, example.prompt.count + $1.count - 1) }
    }
  }

  /// A fingerprint of every token. Time: one pass over them.
  public var fingerprint: UInt64 {
    var hash = ContentHash()
    for example in examples {
      for numbers in [example.prompt, example.chosen ?? [-1], example.rejected ?? [-1]] {
        hash.combine(UInt64(numbers.count))
        for number in numbers { hash.combine(UInt64(truncatingIfNeeded: number)) }
      }
    }
    return hash.value
  }

  /// Throws ``TrainingError`` for an example that is too long for `model` or has ids outside of its
  /// vocabulary, or that `loss` does not learn from. Trainer and evaluation call it.
  public func check(for model: any LanguageModel, loss: PreferenceLoss) throws(TrainingError) {
    guard arePairs == loss.wantsPairs else {
      throw .invalidOption(
        name: "the loss of \(source)", value: loss.form.rawValue,
        expected: arePairs
          ? "dpo, ipo or orpo: there are pairs of completions"
          : "kto: there are single completions, desirable or not")
    }
    let (limit, vocabulary) = (model.maximumPositions, model.vocabularySize)
    for (index, example) in examples.enumerated() {
      for completion in example.completions {
        let ids = example.prompt + completion
        if ids.count - 1 > limit {
          throw .exampleTooLong(example: index, length: ids.count - 1, limit: limit)
        }
        if let position = ids.firstIndex(where: { $0 < 0 || $0 >= vocabulary }) {
          throw .tokenOutOfVocabulary(
            id: ids[position], example: index, position: position, vocabulary: vocabulary)
        }
      }
    }
  }
}
