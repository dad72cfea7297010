import LoRAFiles
import LoRAJSON
public import LoRAModels
public import LoRAText
public import LoRATraining

/// Looks through data files for what spoils a training: duplicates, contradictions, broken text, wrong
/// roles, secrets, and more.
///
/// ```swift
/// var check = DataCheck(try DataFile("chats.jsonl"))
/// check.evaluation = try DataFile("chats-eval.jsonl")
/// let report = try check.run()
/// report.findings.first   // line 12: duplicate, "the same as line 7"
/// ```
///
/// Several files are one set of data: what stands in two of them is found too. Each is read once, record by
/// record. What has to be compared across them goes to temporary files without names, so that memory stays at
/// some hundred megabytes for any file. The rules prefer silence to
/// false alarms; each kind of finding says in ``Finding/Kind`` what it is.
public struct DataCheck {
  /// What of a model is needed to judge data for it.
  public struct Model {
    let tokenizer: any Tokenizer
    let format: ChatFormat?
    let positions: Int

    /// Creates a model of its parts.
    ///
    /// - Parameters:
    ///   - tokenizer: the tokenizer.
    ///   - format: how it writes conversations; nil if it has no chat template.
    ///   - positions: the most positions of an example.
    public init(tokenizer: any Tokenizer, format: ChatFormat?, positions: Int) {
      (self.tokenizer, self.format, self.positions) = (tokenizer, format, positions)
    }
  }

  /// The files, in which examples are numbered through.
  public let files: [DataFile]
  /// The evaluation set, of which nothing should be in the files; nil for none.
  public var evaluation: DataFile?
  /// The model that is to learn from them; nil: nothing that depends on one is looked at.
  public var model: Model?
  /// Further detectors.
  public var detectors: [any DataDetector] = []

  /// Creates a check of a file.
  public init(_ file: DataFile, evaluation: DataFile? = nil, model: Model? = nil) {
    self.init([file], evaluation: evaluation, model: model)
  }

  /// Creates a check of several files, which are learned from together.
  public init(_ files: [DataFile], evaluation: DataFile? = nil, model: Model? = nil) {
    (self.files, self.evaluation, self.model) = (files, evaluation, model)
  }

  /// Looks through the files.
  ///
  /// - Parameter progress: called now and then with the number of examples read.
  /// - Throws: `FormatError` if a file can't be read at all, or for an evaluation set with a line that is
  ///   no record; `FileError` where temporary files find no room.
  public func run(progress: (Int) -> Void = { _ in }) throws -> CheckReport {
    let files = files.map { $0.recognizingFields() }
    var log = FindingLog()
    var lengths = Lengths()
    var detectors: [any DataDetector] = [
      EmptyParts(), RoleOrder(), RepeatedPhrases(), BrokenEncoding(), Secrets(), PersonalData(),
      MixedLanguages(), LabelBalance(), Boilerplate(), PreferenceOrder(),
      Duplicates(evaluationName: evaluation?.path ?? ""),
    ]
    detectors += self.detectors
    var fit = model.map {
      ModelFit(tokenizer: $0.tokenizer, format: $0.format, limit: $0.positions)
    }
    var count = 0
    for (place, file) in files.enumerated() {
      log.begin(file: file.path, at: count)
      try file.forEachValue { result, value, line in
        defer { count += 1 }
        if count % 1000 == 999 { progress(count + 1) }
        var example: CheckedExample
        do throws(FormatError) {
          example = try CheckedExample(result, value: value, line: line, number: count, in: file)
        } catch {
          return log.add(Self.finding(error, line: line, example: count))
        }
        example.file = place
        lengths.add(example)
        for index in detectors.indices { try detectors[index].examine(example, &log) }
        try fit?.examine(example, &log)
      }
    }
    try fit?.examineWaiting(&log)
    try readEvaluation(&detectors)
    for index in detectors.indices { try detectors[index].finish(&log) }
    fit?.finish(&log)
    return CheckReport(
      files: files, exampleCount: count, log: log, questionLengths: lengths.questions,
      answerLengths: lengths.answers, rejectedLengths: lengths.rejected, textLengths: lengths.texts,
      tokenLengths: fit?.histogram,
      positions: model?.positions)
  }

  private func readEvaluation(_ detectors: inout [any DataDetector]) throws {
    guard let evaluation = evaluation?.recognizingFields() else { return }
    var count = 0
    try evaluation.forEachValue { result, value, line in
      let example = try CheckedExample(
        result, value: value, line: line, number: count, in: evaluation)
      count += 1
      for index in detectors.indices { try detectors[index].examineEvaluation(example) }
    }
  }

  /// A line that is no record. Half of a pair of escapes is a broken text, whatever its line is.
  private static func finding(_ error: FormatError, line: Int, example: Int) -> Finding {
    let isSurrogate = error.problem.contains("surrogate")
    let place = error.subject == "line \(line)" ? "" : error.subject + ": "
    return Finding(
      isSurrogate ? .encoding : .malformed, line: line, example: example,
      detail: place + error.problem)
  }

  private struct Lengths {
    var (questions, answers, texts) = (Histogram(), Histogram(), Histogram())
    var rejected = Histogram()

    mutating func add(_ example: CheckedExample) {
      if let (place, answer) = example.lastAnswer {
        answers.add(answer.words.characterCount)
        questions.add(example.turns[..<place].reduce(0) { $0 + $1.words.characterCount })
        if let last = example.turns.last, last.role == "rejected" {
          rejected.add(last.words.characterCount)
        }
      } else {
        texts.add(example.turns.reduce(0) { $0 + $1.words.characterCount })
      }
    }
  }
}
