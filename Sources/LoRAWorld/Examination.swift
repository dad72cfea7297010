public import LoRAKit

/// How many of a set of questions a model answers as it should.
public struct Examination: Sendable, Hashable {
  /// The number of questions.
  public var questions = 0
  /// The number of right answers.
  public var right = 0
  /// Both for each topic.
  public var topics: [Topic: (questions: Int, right: Int)] { byTopic.mapValues { ($0[0], $0[1]) } }
  private var byTopic: [Topic: [Int]] = [:]

  /// The share of right answers, 0 to 1; 0 without questions.
  public var share: Double { questions == 0 ? 0 : Double(right) / Double(questions) }

  mutating func count(_ topic: Topic, isRight: Bool) {
    questions += 1
    right += isRight ? 1 : 0
    byTopic[topic, default: [0, 0]][0] += 1
    byTopic[topic, default: [0, 0]][1] += isRight ? 1 : 0
  }
}

/// The built-in base with its tokenizer: asks it questions of its world and marks the answers.
public struct Examiner: Sendable {
  /// The model under examination.
  public let model: any LanguageModel
  let tokenizer: any Tokenizer
  let endOfText: Int

  /// Prepares to examine `model`. Traps if the tokenizer lacks the world's end of text.
  public init(model: any LanguageModel, tokenizer: any Tokenizer) {
    guard let endOfText = tokenizer.id(of: BytePairTrainer.endOfText) else {
      preconditionFailure("the tokenizer has no '\(BytePairTrainer.endOfText)'")
    }
    self.model = model
    self.tokenizer = tokenizer
    self.endOfText = endOfText
  }

  /// The tokens of an exchange's prompt. Documents follow an end of text, so that is how one begins.
  func prompt(_ exchange: Exchange) -> [Int] { 
    [endOfText] + tokenizer.encode(exchange.prompt, addSpecialTokens: false)
  }

  /// An exchange to train on: the loss is on the answer and the end of text behind it.
  func example(_ exchange: Exchange) -> TrainingExample {
    let prompt = prompt(exchange)
    let answer = tokenizer.encode(" " + exchange.answer, addSpecialTokens: false) + [endOfText]
    return TrainingExample(row: prompt + answer, promptLength: prompt.count)
  }

  /// Exchanges to train on.
  public func dataSet(_ exchanges: [Exchange]) throws -> TokenDataSet {
    var data = try TokenDataSet(examples: exchanges.map(example))
    data.paddingToken = endOfText
    return data
  }

  /// The model's greedy answer.
  public func answer(_ exchange: Exchange, adapters: AdapterSelection = [:]) throws -> String {
    let options = GenerationOptions(maximumTokens: 96, stopTokens: [endOfText])
    let tokens = try model.generate(
      after: prompt(exchange), options: options, adapters: adapters)
    return AnswerChecker.trimmed(tokenizer.decode(tokens))
  }

  /// Counts the questions whose greedy answer is exactly the expected one, its end included.
  ///
  /// The greedy answer is the expected one if and only if every token of it is the most likely one
  /// after those before it; so one pass over question and answer together decides, many rows at
  /// once, instead of generating token by token.
  public func exactMatches(
    _ exchanges: [Exchange], adapters: AdapterSelection = [:]
  ) throws -> Examination {
    var result = Examination()
    // Rows of similar length together, so that little is computed for padding.
    let examples = exchanges.map { ($0, example($0)) }
      .sorted { $0.1.tokens.count < $1.1.tokens.count }
    try model.withAdapters(adapters) {
      for start in stride(from: 0, to: examples.count, by: 32) {
        let part = examples[start..<min(examples.count, start + 32)]
        let data = try TokenDataSet(examples: part.map(\.1))
        let batch = data.batch(of: Array(0..<part.count))
        let chosen = model.greedyTokens(tokens: batch.tokens, targets: batch.targets)
        for (row, (exchange, _)) in part.enumerated() {
          let wanted = batch.targets[row: row].scalars(as: Int64.self)
          let found = chosen[row: row].scalars(as: Int64.self)
          result.count(
            exchange.topic, isRight: zip(wanted, found).allSatisfy { $0 < 0 || $0 == $1 })
        }
      }
    }
    return result
  }

  /// Counts the questions whose generated answer comes to the right conclusion, in whatever style.
  public func rightConclusions(
    _ exchanges: [Exchange], adapters: AdapterSelection = [:]
  ) throws -> Examination {
    try examine(exchanges, adapters) { AnswerChecker.concludes($0, for: $1) }
  }

  /// Counts the questions whose generated answer passes every rule of the polite tone.
  public func politeAnswers(
    _ exchanges: [Exchange], adapters: AdapterSelection = [:]
  ) throws -> Examination {
    try examine(exchanges, adapters) { PoliteTone.check(answer: $0, for: $1).passes }
  }

  private func examine(
    _ exchanges: [Exchange], _ adapters: AdapterSelection, _ isRight: (String, Exchange) -> Bool
  ) throws -> Examination {
    var result = Examination()
    for exchange in exchanges {
      let answer = try answer(exchange, adapters: adapters)
      result.count(exchange.topic, isRight: isRight(answer, exchange))
    }
    return result
  }
}
