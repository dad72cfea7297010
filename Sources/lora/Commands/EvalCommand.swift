import ArgumentParser
import LoRAFiles
import LoRAJSON
import LoRAKit

/// `lora eval`: the base and adapters side by side, on questions with expected answers.
struct EvalCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Compare adapters with the base on questions whose answers are known.",
    discussion: """
      The base and each --adapter answer the questions of the file; a mix is written as \
      support:0.7+polite:0.4. Behind each score stand the interval that holds it with 95 % probability and \
      how it differs from the base (paired bootstrap). With --control it says what the base lost on other \
      texts.

      Metrics: exact, contains and f1 compare the answer with the expected one; choice takes the likeliest \
      of a record's "choices"; label is what a classifier gives a text or, of a language model, the \
      likeliest of the data's labels, with macro F1 and, in --json, F1 by label and confusions; perplexity needs no answer to be generated; command:PROGRAM gives each \
      {"prompt", "expected", "answer"} as a line to a program, which answers each with a number, true or \
      false, or {"score": ...}.

        lora eval --model MODEL --adapter support --data questions.jsonl --metric f1
        lora eval --model MODEL --adapter a --adapter a:0.5 --data questions.jsonl
        lora eval --model MODEL --data questions.jsonl --shots 1 --metric contains
        lora eval --model ENCODER --adapter intents --data tags.jsonl --metric label
      """)

  @OptionGroup var model: ModelOptions
  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp(
      "A candidate: an adapter, or several with '+' between them, each with a strength behind a colon. "
        + "Repeat the option to compare several.", valueName: "adapter[:scale][+...]"),
    transform: Candidate.init)
  var candidates: [Candidate] = []
  @OptionGroup var accepting: AcceptanceOptions
  @Option(help: ArgumentHelp("The questions.", valueName: "file"))
  var data: String
  @Option(
    help: ArgumentHelp("What is measured: \(EvaluationMetric.names).", valueName: "metric"))
  var metric: EvaluationMetric = .answers(.exact)
  @Option(
    parsing: .unconditional,
    help: "Put this many of the first questions, answered, before each of the others.")
  var shots = 0
  @Option(
    help: ArgumentHelp(
      "Other texts, as lora train reads them, to see what the base lost.", valueName: "file"))
  var control: String?
  @Option(parsing: .unconditional, help: "The most tokens of an answer.")
  var maxTokens = 128
  @Option(
    parsing: .unconditionalSingleValue,
    help: "A string that ends an answer and is no part of it; repeats.")
  var stop: [String] = []
  @Option(
    help: ArgumentHelp(
      "Write each answer to this file, one JSON object a line.", valueName: "file.jsonl"))
  var answers: String?
  @OptionGroup(title: "Data") var records: RecordOptions
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--shots", shots, .atLeast(0))
    try demand("--max-tokens", maxTokens, .atLeast(1))
    if metric != .perplexity, control == nil,
      records.lossOn != .answers || records.invalidRecords != .stop
    {
      throw ValidationError(
        "--loss-on and --invalid-records are for --metric perplexity and --control; leave them out")
    }
    if metric == .label, answers != nil || !stop.isEmpty {
      throw ValidationError("--metric label generates no answers: leave out --answers and --stop")
    }
    if metric == .perplexity, shots > 0 || answers != nil || !stop.isEmpty {
      throw ValidationError(
        "--metric perplexity generates no answers: leave out --shots, --answers and --stop")
    }
  }

  func run() throws {
    var destinations = Destinations(reading: [model.path, data, control], force: replacement.force)
    if let answers { try destinations.check(answers, .answers, option: "--answers") }
    if metric == .label, let scores = try classifierScores() {
      return try report(scores.scores, nil, labels: scores.reports)
    }
    let pretrained = try model.load()
    let base = try pretrained.languageModel
    let table = try Candidates(
      candidates, on: base, from: model.path, accepting: accepting)
    let paths = candidates.flatMap { $0.parts.map(\.path) }
    try destinations.confirm()
    let precision = model.dtype.precision(otherwise: .float32)
    var labels: [LabelReport]?
    let scores = try ProductPrecision.withValue(precision) {
      switch metric {
      case .perplexity: return try perplexities(of: base, pretrained, table, paths)
      case .label:
        let found = try labelReports(of: base, pretrained, table, paths)
        labels = found
        return zip(table.all, found).map { CandidateScores(name: $0.name, scores: $1.scores) }
      default: return try answerScores(of: base, pretrained, table, paths)
      }
    }
    let lost = try ProductPrecision.withValue(precision) {
      try control.map { try losses(on: $0, of: base, pretrained, table, paths) }
    }
    try report(scores, lost, labels: labels)
  }

  // MARK: - Measuring

  private func answerScores(
    of base: any PretrainedLanguageModel, _ pretrained: PretrainedModel, _ table: Candidates,
    _ paths: [String]
  ) throws -> [CandidateScores] {
    let tokenizer = try pretrained.tokenizer()
    let questions = try questions(pretrained, tokenizer, paths)
    let file = try DataFile(data, fields: records.fields).recognizingFields()
    if let recognition = file.recognition { StandardError.line("note: \(data): \(recognition)") }
    if metric == .choice {
      guard questions.allSatisfy({ $0.choices != nil }) else {
        throw CommandError(
          "\(data): --metric choice needs records with \"choices\" and an \"answer\"")
      }
      return try table.all.map { candidate in
        let chosen = try base.withAdapters(candidate.selection) {
          try base.likeliestChoices(of: questions, tokenizer: tokenizer)
        }
        return CandidateScores(
          name: candidate.name,
          scores: zip(questions, chosen).map { $0.choices?[$1] == $0.expected ? 1 : 0 })
      }
    }
    let stopTokens =
      (try? records.template.format(of: pretrained, adapters: paths)).map {
        pretrained.stopTokens(with: $0)
      } ?? pretrained.stopTokens(with: tokenizer)
    var progress = Progress()
    let texts = try base.answers(
      to: questions, under: table.all.map(\.selection), tokenizer: tokenizer,
      options: GenerationOptions(maximumTokens: maxTokens, stopTokens: stopTokens)
    ) { progress.report($0, of: $1, ["answers"]) }
    .map { $0.map { $0.ended(by: stop) } }
    progress.finish()
    let scores = try zip(table.all, texts).map { candidate, texts in
      CandidateScores(
        name: candidate.name, scores: try metric.scores(of: texts, to: questions))
    }
    try write(texts, questions, scores)
    return scores
  }

  /// The questions of the file, in the words of training.
  func questions(
    _ pretrained: PretrainedModel, _ tokenizer: any Tokenizer, _ paths: [String]
  ) throws -> [Question] {
    var options = DataOptions()
    records.apply(to: &options)
    let reader = QuestionReader(tokenizer: tokenizer, options: options) {
      try records.template.format(of: pretrained, adapters: paths)
    }
    return try reader.read(data, shots: shots)
  }

  private func perplexities(
    of base: any PretrainedLanguageModel, _ pretrained: PretrainedModel, _ table: Candidates,
    _ paths: [String]
  ) throws -> [CandidateScores] {
    let set = try examples(of: data, of: base, pretrained, paths)
    return try table.all.map { candidate in
      let scores = try base.withAdapters(candidate.selection) { try base.score(set) }
      return CandidateScores(name: candidate.name, scores: scores.map(\.nll))
    }
  }

  /// The mean loss of each candidate on other texts.
  private func losses(
    on path: String, of base: any PretrainedLanguageModel, _ pretrained: PretrainedModel,
    _ table: Candidates, _ paths: [String]
  ) throws -> [Double] {
    let set = try examples(of: path, of: base, pretrained, paths)
    return try table.all.map { candidate in
      try base.withAdapters(candidate.selection) { try base.evaluate(on: set).nll }
    }
  }

  private func examples(
    of path: String, of base: any PretrainedLanguageModel, _ pretrained: PretrainedModel,
    _ paths: [String]
  ) throws -> TokenDataSet {
    try records.reader(
      for: pretrained, under: paths,
      options: DataOptions(sequenceLength: base.maximumPositions)
    ).readTelling(path, tensor: "eval")
  }

  private func write(
    _ texts: [[String]], _ questions: [Question], _ scores: [CandidateScores]
  ) throws {
    guard let answers else { return }
    let lines = try LineFile(path: answers, beginningWith: [])
    for (index, question) in questions.enumerated() {
      var line: JSONObject = [
        "line": JSONValue(question.line), "prompt": .string(question.text),
        "expected": .string(question.expected),
      ]
      line["answers"] = .array(
        zip(scores, texts).map { candidate, texts in
          [
            "candidate": .string(candidate.name), "answer": .string(texts[index]),
            "score": .number(candidate.scores[index]),
          ]
        })
      try lines.append(line)
    }
  }

  // MARK: - Reporting

  private func report(
    _ scores: [CandidateScores], _ lost: [Double]?, labels: [LabelReport]?
  ) throws {
    let bootstrap = PairedBootstrap()
    let base = scores[0]
    let isLoss = metric == .perplexity
    var rows: [[String]] = []
    var objects: [JSONValue] = []
    for (index, candidate) in scores.enumerated() {
      let interval = bootstrap.interval(ofMean: candidate.scores)
      let comparison =
        index == 0 ? nil : candidate.compared(with: base, lowerIsBetter: isLoss, by: bootstrap)
      var object: JSONObject = [
        "name": .string(candidate.name), "score": .number(candidate.mean),
        "interval": [.number(interval.lowerBound), .number(interval.upperBound)],
      ]
      if let comparison {
        object["difference"] = .number(comparison.difference)
        object["difference_interval"] = [
          .number(comparison.interval.lowerBound), .number(comparison.interval.upperBound),
        ]
        object["verdict"] = .string(comparison.verdict.rawValue)
      }
      if let labels { Self.add(labels[index], to: &object) }
      if let lost { object["control_nll"] = .number(lost[index]) }
      object["scores"] = .array(candidate.scores.map { .number($0) })
      objects.append(.object(object))
      rows.append(
        [
          candidate.name, decimal(candidate.mean, 4),
        ] + (labels.map { [decimal($0[index].macroF1, 4)] } ?? []) + [
          "\(decimal(interval.lowerBound, 4)) to \(decimal(interval.upperBound, 4))",
          comparison.map { Self.words(for: $0) } ?? "",
        ] + (lost.map { [decimal($0[index], 4)] } ?? []))
    }
    if output.isJSON {
      return try StandardOutput.json([
        "metric": .string(metric.name), "examples": JSONValue(base.scores.count),
        "candidates": .array(objects),
      ])
    }
    let title = isLoss ? "NLL" : labels == nil ? metric.name : "accuracy"
    let header =
      ["", title] + (labels == nil ? [] : ["macro F1"])
      + ["95 % interval", "beside \(base.name == "base" ? "the base" : base.name)"]
      + (lost == nil ? [] : ["control NLL"])
    try StandardOutput.lines(InspectCommand.Report.table(rows, header: header))
    try StandardOutput.line(counted(base.scores.count, "example"))
  }

  private static func words(for comparison: CandidateScores.Comparison) -> String {
    let sign = comparison.difference < 0 ? "" : "+"
    let verdict =
      switch comparison.verdict {
      case .better: "better"
      case .worse: "worse"
      case .unclear: "not clear"
      }
    return "\(sign)\(decimal(comparison.difference, 4)), \(verdict)"
  }
}

extension String {
  /// The text up to the first of `strings`.
  fileprivate func ended(by strings: [String]) -> String {
    strings.compactMap { stop in
      stop.isEmpty ? nil : firstRange(of: stop).map { self[..<$0.lowerBound] }
    }.min { $0.count < $1.count }.map(String.init) ?? self
  }
}
