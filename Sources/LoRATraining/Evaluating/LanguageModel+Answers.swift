public import LoRAModels
import LoRATensor
public import LoRAText

extension LanguageModel {
  /// The answers to `questions` under each of `candidates`, text by text: `answers[candidate][question]`.
  ///
  /// All candidates answer a question in one batch, so that the base's weights are read once for them.
  ///
  /// - Parameters:
  ///   - questions: the questions, each with a prompt of one token at least.
  ///   - candidates: the adapters of each candidate; `[:]` for the base.
  ///   - tokenizer: the model's tokenizer.
  ///   - options: how tokens are chosen.
  ///   - batchSize: how many texts advance together.
  ///   - progress: called with the number of answers done and the total number.
  /// - Throws: `SequenceError` for a prompt that is too long, `AdapterError` for an unknown adapter.
  public func answers(
    to questions: [Question], under candidates: [AdapterSelection], tokenizer: any Tokenizer,
    options: GenerationOptions, batchSize: Int = 16,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> [[String]] {
    var answers = candidates.map { _ in [String](repeating: "", count: questions.count) }
    let requests = questions.indices.flatMap { question in
      candidates.indices.map { (question: question, candidate: $0) }
    }
    for start in stride(from: 0, to: requests.count, by: max(1, batchSize)) {
      try Task.checkCancellation()
      let part = requests[start..<min(requests.count, start + max(1, batchSize))]
      let tokens = try generate(
        part.map {
          GenerationRequest(
            prompt: questions[$0.question].prompt, options: options,
            adapters: candidates[$0.candidate])
        })
      for (request, ids) in zip(part, tokens) {
        answers[request.candidate][request.question] = tokenizer.decode(
          ids, after: questions[request.question].prompt)
      }
      progress(part.endIndex, requests.count)
    }
    return answers
  }

  /// For each question the choice that is likeliest by its mean log-probability a token, with the adapters
  /// that apply here.
  ///
  /// Source: the length-normalized accuracy (`acc_norm`) of EleutherAI's lm-evaluation-harness, by tokens
  /// instead of bytes.
  public func likeliestChoices(
    of questions: [Question], tokenizer: any Tokenizer, batchSize: Int = 8
  ) throws -> [Int] {
    var examples: [TrainingExample] = []
    var owners: [(question: Int, choice: Int)] = []
    for (index, question) in questions.enumerated() {
      for (number, choice) in (question.choices ?? []).enumerated() {
        examples.append(
          TrainingExample(
            sequence: question.prompt + tokenizer.continuation(choice),
            promptLength: question.prompt.count))
        owners.append((index, number))
      }
    }
    let scores = try score(try TokenDataSet(examples: examples), batchSize: batchSize)
    var best = questions.map { _ in (choice: 0, nll: Double.infinity) }
    for (owner, score) in zip(owners, scores) where score.nll < best[owner.question].nll {
      best[owner.question] = (owner.choice, score.nll)
    }
    return best.map(\.choice)
  }
}

extension LanguageModel {
  /// For each question the answer among `labels` that is likeliest, its end included, with the adapters that
  /// apply here: the number of the label.
  ///
  /// The end tells a label apart from one that begins with it, as a model learns it. Cost: a forward pass over
  /// each question for each label.
  ///
  /// - Parameters:
  ///   - labels: the answers to choose from, as they stand behind a prompt.
  ///   - questions: the questions.
  ///   - tokenizer: the model's tokenizer.
  ///   - batchSize: how many texts are computed together.
  ///   - progress: called with the number of questions done.
  public func likeliestLabels(
    _ labels: [String], of questions: [Question], tokenizer: any Tokenizer, batchSize: Int = 8,
    progress: (_ done: Int) -> Void = { _ in }
  ) throws -> [Int] {
    let endings = labels.map { tokenizer.continuation($0) }
    var best: [Int] = []
    for question in questions {
      try Task.checkCancellation()
      let examples = endings.map {
        TrainingExample(
          sequence: question.prompt + $0 + question.end, promptLength: question.prompt.count)
      }
      let scores = try score(try TokenDataSet(examples: examples), batchSize: batchSize)
      best.append(scores.indices.min { scores[$0].sum < scores[$1].sum } ?? 0)
      progress(best.count)
    }
    return best
  }
}

extension Tokenizer {
  /// The ids of a text behind another: SentencePiece puts a space before a text, and not within it.
  fileprivate func continuation(_ text: String) -> [Int] {
    let lineBreak = encode("\n", addSpecialTokens: false)
    let all = encode("\n" + text, addSpecialTokens: false)
    return all.starts(with: lineBreak)
      ? Array(all.dropFirst(lineBreak.count)) : encode(text, addSpecialTokens: false)
  }
}
