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

  /// Creates an examination of no questions.
  public init() {}

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
    guard let endOfText = tokenizer.id(of: World.endOfText) else {
      misuse("the tokenizer has no '\(World.endOfText)'")
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
    return TrainingExample(sequence: prompt + answer, promptLength: prompt.count)
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
  /// - Parameter adapters: what applies; nil for what is enabled on the model or merged into it.
  public func exactMatches(
    _ exchanges: [Exchange], adapters: AdapterSelection? = [:]
  ) throws -> Examination {
    marked(exchanges, try answersExactly(exchanges, adapters: adapters))
  }

  /// Counts the questions whose greedy answer comes to the right conclusion, in whatever style.
  ///
  /// An answer that is the expected one in the polite tone to the letter does: only the others are
  /// generated and judged.
  public func rightConclusions(
    _ exchanges: [Exchange], adapters: AdapterSelection = [:]
  ) throws -> Examination {
    let polite = try answersExactly(exchanges.map(PoliteTone.polite), adapters: adapters)
    return marked(
      exchanges,
      try exchanges.indices.map { index in
        if polite[index] { return true }
        let answer = try answer(exchanges[index], adapters: adapters)
        return AnswerChecker.concludes(answer, for: exchanges[index])
      })
  }

  /// Counts the questions whose generated answer passes every rule of the polite tone.
  public func politeAnswers(
    _ exchanges: [Exchange], adapters: AdapterSelection = [:]
  ) throws -> Examination {
    marked(
      exchanges,
      try exchanges.map { exchange in
        PoliteTone.check(answer: try answer(exchange, adapters: adapters), for: exchange).passes
      })
  }

  /// Whether the greedy answer to each question is exactly the expected one, its end included.
  ///
  /// It is if and only if every token of the expected answer is the most likely one after those
  /// before it; so one pass over question and answer together decides, many examples at once, instead
  /// of generating token by token.
  private func answersExactly(
    _ exchanges: [Exchange], adapters: AdapterSelection?
  ) throws -> [Bool] {
    var isRight = Array(repeating: false, count: exchanges.count)
    // Examples of similar length together, so that little is computed for padding.
    let examples = exchanges.map(example)
    let order = examples.indices.sorted { examples[$0].tokens.count < examples[$1].tokens.count }
    try within(adapters) {
      for start in stride(from: 0, to: order.count, by: 32) {
        let part = order[start..<min(order.count, start + 32)]
        let batch = try TokenDataSet(examples: part.map { examples[$0] })
          .batch(of: Array(0..<part.count))
        let chosen = model.greedyTokens(tokens: batch.tokens, targets: batch.targets)
        for (item, index) in part.enumerated() {
          let wanted = batch.targets[row: item].scalars(as: Int64.self)
          let found = chosen[row: item].scalars(as: Int64.self)
          isRight[index] = zip(wanted, found).allSatisfy { $0 < 0 || $0 == $1 }
        }
      }
    }
    return isRight
  }

  private func marked(_ exchanges: [Exchange], _ isRight: [Bool]) -> Examination {
    var result = Examination()
    for (exchange, isRight) in zip(exchanges, isRight) {
      result.count(exchange.topic, isRight: isRight)
    }
    return result
  }

  /// The logits of every position of the exchanges' texts as one number: equal numbers mean equal
  /// bits (FNV-1a, 64 bits), which is how "the base answers as before" is proved.
  public func fingerprint(
    _ exchanges: [Exchange], adapters: AdapterSelection? = nil
  ) throws -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ exchange: Exchange) {
      let tokens = example(exchange).tokens
      let logits = withoutGradients { model(Tensor(tokens, shape: [1, tokens.count])).value }
      logits.withUnsafeBytes { bytes in
        for word in bytes.bindMemory(to: UInt32.self) {
          hash = (hash ^ UInt64(word)) &* 0x100_0000_01b3
        }
      }
    }
    try within(adapters) { exchanges.forEach(add) }
    return hash
  }

  private func within(_ adapters: AdapterSelection?, _ body: () throws -> Void) throws {
    guard let adapters else { return try body() }
    try model.withAdapters(adapters, body)
  }
}
