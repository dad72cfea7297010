import LoRAFiles
import LoRAFormats
import LoRAKit
import LoRAModels

/// What `lora tune` measures a candidate by: the task's own measure, or answers to the held-out questions.
struct TuningJudge<Task: TrainingTask>: Sendable {
  let task: Task
  let metric: TuningMetric
  private let answers: Answers?

  /// What is asked, read once.
  private struct Answers: Sendable {
    let metric: EvaluationMetric
    let model: any PretrainedLanguageModel
    let tokenizer: any Tokenizer
    let questions: [Question]
    let options: GenerationOptions
  }

  /// A judge by `metric`; nil: by what the task measures.
  init(_ task: Task, metric: EvaluationMetric?, input: TaskInput, maxTokens: Int?) throws {
    self.task = task
    guard let metric, metric != .perplexity, !(task is ClassificationTask) else {
      answers = nil
      guard let measurement = try Self.measurement(of: task, [:]) else { throw Self.nothing }
      self.metric = measurement.metric
      return
    }
    self.metric = TuningMetric(metric.name)
    guard task.pretrained.model is any PretrainedLanguageModel else {
      throw CommandError("--metric \(metric): it judges the answers of a language model")
    }
    let records = input.examples.records
    let tokenizer = try task.pretrained.tokenizer()
    var options = DataOptions()
    records.apply(to: &options)
    let format = Result { try records.template.format(of: task.pretrained, adapters: []) }
    let reader = QuestionReader(tokenizer: tokenizer, options: options) { try format.get() }
    var questions: [Question]
    if let file = input.evalData {
      questions = try reader.read(file)
    } else {
      let all = try input.data.flatMap { try reader.read($0.path) }
      questions = try input.split?.divide(all, source: input.data.names).validation ?? all
    }
    if metric == .label {
      let labels = Set(questions.map(\.expected)).sorted()
      for index in questions.indices { questions[index].choices = labels }
    }
    if metric == .choice, !questions.allSatisfy({ $0.choices != nil }) {
      throw CommandError(
        "\(input.data.names): --metric choice needs records with \"choices\" and an \"answer\"")
    }
    // No candidate needs long to say what is expected; one that has not learned to stop would.
    let longest = questions.map { tokenizer.encode($0.expected, addSpecialTokens: false).count }
      .max()
    let stopTokens =
      (try? format.get()).map { task.pretrained.stopTokens(with: $0) }
      ?? task.pretrained.stopTokens(with: tokenizer)
    answers = Answers(
      metric: metric, model: try task.pretrained.languageModel, tokenizer: tokenizer,
      questions: questions,
      options: GenerationOptions(
        maximumTokens: maxTokens ?? 8 + (longest ?? 0) * 5 / 4, stopTokens: stopTokens))
  }

  private static var nothing: CommandError {
    CommandError("there is nothing to measure on; give --eval-data")
  }

  private static func measurement(
    of task: Task, _ selection: AdapterSelection
  ) throws -> TaskMeasurement? {
    try task.pretrained.model.withAdapters(selection) { try task.evaluate(training: .lora) }
  }

  /// The score of the model with the adapter `name`; nil: without.
  func score(_ name: String?) throws -> TuningScore {
    let selection: AdapterSelection = name.map { AdapterSelection($0) } ?? [:]
    guard let own = try Self.measurement(of: task, selection) else { throw Self.nothing }
    guard let answers else { return own.score }
    let scores: [Double]
    if answers.metric == .choice || answers.metric == .label {
      let chosen = try answers.model.withAdapters(selection) {
        try answers.model.likeliestChoices(of: answers.questions, tokenizer: answers.tokenizer)
      }
      scores = zip(answers.questions, chosen).map { $0.choices?[$1] == $0.expected ? 1 : 0 }
    } else {
      let texts = try answers.model.answers(
        to: answers.questions, under: [selection], tokenizer: answers.tokenizer,
        options: answers.options)
      scores = try answers.metric.scores(of: texts[0], to: answers.questions)
    }
    return TuningScore(
      value: scores.reduce(0, +) / Double(scores.count), loss: own.score.loss, examples: scores)
  }
}

extension TaskMeasurement {
  /// The number that tells best which of two models is better, and whether it is to be high: what counts
  /// right answers before a loss.
  private var best: (value: Value?, isHigh: Bool) {
    for key in ["f1", "accuracy", "recall_at_1"] {
      if let value = values.first(where: { $0.key == key }) { return (value, true) }
    }
    return (values.first, false)
  }

  /// The same as a score of a search.
  fileprivate var score: TuningScore {
    let (value, isHigh) = best
    let number = value?.number ?? .nan
    return TuningScore(
      value: isHigh ? number : -number,
      loss: values.first { ["loss", "nll"].contains($0.key) }?.number)
  }

  /// What the score's value is.
  var metric: TuningMetric {
    let (value, isHigh) = best
    return TuningMetric(value?.name ?? "loss", isLoss: !isHigh)
  }
}
