public import LoRAModels
import LoRATensor
public import LoRAText

/// The losses of single examples, and the texts of those that are highest.
public struct ExampleLosses: Sendable, Hashable {
  /// An example that was measured.
  public struct Example: Sendable, Hashable {
    /// Where it stands, such as "line 7".
    public var place: String
    /// The mean loss of its targets.
    public var loss: Double
    /// The number of its targets.
    public var targetCount: Int

    /// Creates an example.
    public init(place: String, loss: Double, targetCount: Int) {
      self.place = place
      self.loss = loss
      self.targetCount = targetCount
    }
  }

  /// A part of an example's text: a token, or the end of a character that several tokens make.
  public struct Piece: Sendable, Hashable {
    /// The text, with special tokens.
    public var text: String
    /// The loss; nil where the part is not learned.
    public var loss: Float?

    /// Creates a part.
    public init(text: String, loss: Float? = nil) {
      self.text = text
      self.loss = loss
    }
  }

  /// The text of an example, as the model sees it.
  public struct MarkedText: Sendable, Hashable {
    /// The example.
    public var example: Example
    /// Its text, or the part of it that is shown.
    public var pieces: [Piece]
    /// The number of tokens before that part.
    public var leftOutBefore: Int
    /// The number of tokens behind it.
    public var leftOutAfter: Int

    /// Creates a text.
    public init(
      example: Example, pieces: [Piece], leftOutBefore: Int = 0, leftOutAfter: Int = 0
    ) {
      self.example = example
      self.pieces = pieces
      self.leftOutBefore = leftOutBefore
      self.leftOutAfter = leftOutAfter
    }
  }

  /// The number of examples of the data.
  public var exampleCount: Int
  /// The examples that were measured, in the data's order.
  public var examples: [Example]
  /// The texts of those with the highest losses, the highest first.
  public var worst: [MarkedText]

  /// Creates what a program has measured itself.
  public init(exampleCount: Int, examples: [Example], worst: [MarkedText] = []) {
    self.exampleCount = exampleCount
    self.examples = examples
    self.worst = worst
  }

  /// The mean loss of the measured targets; 0 without any.
  public var loss: Double {
    let count = examples.reduce(0) { $0 + $1.targetCount }
    let sum = examples.reduce(0) { $0 + $1.loss * Double($1.targetCount) }
    return count == 0 ? 0 : sum / Double(count)
  }
}

extension LanguageModel {
  /// The losses of some examples of `data`, evenly spread over it, with the adapters that apply here.
  ///
  /// ```swift
  /// let losses = try model.exampleLosses(of: data, tokenizer: tokenizer, mostTokens: 20_000)
  /// losses.worst.first?.example.place   // "line 7"
  /// ```
  ///
  /// Costs a forward pass of what is measured: about a third of a training step over it.
  ///
  /// - Parameters:
  ///   - data: the examples.
  ///   - tokenizer: the model's tokenizer; nil shows ids.
  ///   - mostExamples: the most examples to measure.
  ///   - mostTokens: the most tokens to measure in all; one example is measured in any case.
  ///   - worst: the number of texts to keep.
  ///   - shownTokens: the most tokens of such a text.
  /// - Throws: ``TrainingError`` for examples that the model can't read, and `CancellationError`.
  public func exampleLosses(
    of data: TokenDataSet, tokenizer: (any Tokenizer)?, mostExamples: Int = 100,
    mostTokens: Int = .max, worst: Int = 8, shownTokens: Int = 400
  ) throws -> ExampleLosses {
    let all = (0..<data.exampleCount)
    var count = min(max(1, mostExamples), all.count)
    func chosen(_ count: Int) -> [Int] { (0..<count).map { $0 * all.count / count } }
    while count > 1, data.tokenCount(of: chosen(count)) > mostTokens { count = count * 3 / 4 }
    // Neighbours of one length share a batch.
    let indexes = chosen(count).sorted {
      (data.tokenCount(of: [$0]), $0) < (data.tokenCount(of: [$1]), $1)
    }
    let scores = try score(
      try TokenDataSet(examples: indexes.map { data[$0] }, source: data.source), keepsLosses: true)
    let measured = zip(indexes, scores).sorted { $0.0 < $1.0 }
    func example(_ index: Int, _ score: ExampleScore) -> ExampleLosses.Example {
      .init(place: data.place(of: index), loss: score.nll, targetCount: score.tokens)
    }
    let highest = measured.sorted { ($0.1.nll, $1.0) > ($1.1.nll, $0.0) }.prefix(max(0, worst))
    return ExampleLosses(
      exampleCount: all.count, examples: measured.map { example($0, $1) },
      worst: highest.map { index, score in
        .init(
          example(index, score), data[index], losses: score.losses, tokenizer: tokenizer,
          limit: max(1, shownTokens))
      })
  }
}

extension ExampleLosses.MarkedText {
  /// The text of `tokens`; `losses` are those of its targets in order.
  init(
    _ example: ExampleLosses.Example, _ tokens: TrainingExample, losses: [Float],
    tokenizer: (any Tokenizer)?, limit: Int
  ) {
    let sequence = tokens.sequence
    var next = 0
    var tokenLosses: [Float?] = [nil]
    for target in tokens.targets {
      tokenLosses.append(target >= 0 && next < losses.count ? losses[next] : nil)
      if target >= 0 { next += 1 }
    }
    var decoder = tokenizer?.streamingDecoder(skipSpecialTokens: false)
    var all = zip(sequence, tokenLosses).map { id, loss in
      ExampleLosses.Piece(text: decoder?.append(id) ?? "\(id) ", loss: loss)
    }
    if let rest = decoder?.finish(), !rest.isEmpty, !all.isEmpty { all[all.count - 1].text += rest }
    // What is learned, with a bit of what precedes it.
    let first = all.firstIndex { $0.loss != nil } ?? 0
    let start = all.count <= limit ? 0 : min(max(0, first - limit / 4), all.count - limit)
    let end = min(all.count, start + limit)
    self.init(
      example: example, pieces: Array(all[start..<end]), leftOutBefore: start,
      leftOutAfter: all.count - end)
  }
}
