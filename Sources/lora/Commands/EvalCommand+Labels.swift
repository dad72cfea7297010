import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit

// `--metric label`: classifiers, and language models by the likelihood of labels.

extension EvalCommand {
  /// The most labels that a language model chooses from.
  private static let mostLabels = 1000
  /// How many confusions are listed.
  private static let confusionCount = 20

  /// What classifiers find, the base's own head first if it has one; nil where neither the model nor an
  /// adapter is one. Each adapter brings its own head, so each gets a model of its own, one after the other.
  func classifierScores() throws -> (scores: [CandidateScores], reports: [LabelReport])? {
    guard let base = try PretrainedModel.configuration(at: model.path),
      !base.architecture.classifierKinds.isEmpty
    else { return nil }
    var heads: [AdapterFile?] = []
    for candidate in candidates {
      let files = try candidate.parts.map {
        try AdapterFile.opened($0.path, toAttachTo: model.path, isTold: false)
      }
      heads.append(try files.first { try $0.classifier(on: base) != nil })
    }
    guard base.classifier != nil || heads.contains(where: { $0 != nil }) else { return nil }
    if shots > 0 || control != nil {
      throw CommandError(
        "--metric label: a classifier is asked nothing: leave out --shots and --control")
    }
    let texts = try LabelledText.read(data, fields: records.fields)
    var (scores, reports) = ([CandidateScores](), [LabelReport]())
    func measure(_ name: String, head: AdapterFile?, _ candidate: Candidate?) throws {
      let pretrained =
        try head.map { try PretrainedModel(path: model.path, headOf: $0, type: model.dtype.type) }
        ?? PretrainedModel(path: model.path, type: model.dtype.type)
      let classifier = try pretrained.sequenceClassifier
      let table = try Candidates(
        candidate.map { [$0] } ?? [], on: classifier, from: model.path,
        accepting: accepting)
      let report = try ProductPrecision.withValue(model.dtype.precision(otherwise: .float32)) {
        try classifier.withAdapters(table.all[table.all.count - 1].selection) {
          try labels(of: texts, pretrained, classifier)
        }
      }
      scores.append(CandidateScores(name: name, scores: report.scores))
      reports.append(report)
    }
    if base.classifier != nil { try measure("base", head: nil, nil) }
    for (candidate, head) in zip(candidates, heads) {
      guard head != nil || base.classifier != nil else {
        throw CommandError(
          "\(candidate.name): it brings no classification head, and the model has none; leave it out"
        )
      }
      try measure(candidate.name, head: base.classifier == nil ? head : nil, candidate)
    }
    return (scores, reports)
  }

  /// What a classifier finds of texts with labels.
  private func labels(
    of texts: [LabelledText], _ pretrained: PretrainedModel,
    _ classifier: any PretrainedSequenceClassifier
  ) throws -> LabelReport {
    let names = LabelSet(names: classifier.labels, isMultiLabel: classifier.isMultiLabel)
    let expected = try texts.map { try names.numbers(of: $0, file: data) }
    let (tokenizer, longest) = (try pretrained.tokenizer(), pretrained.model.maximumPositions)
    let encodings = try texts.map {
      try tokenizer.encode(
        $0.text, pairedWith: $0.second, limit: longest, file: data, line: $0.line)
    }
    let types = encodings.map(\.encoding.types)
    var progress = Progress()
    let found = try classifier.classify(
      encodings.map(\.encoding.ids), types: types.contains { $0.contains { $0 != 0 } } ? types : nil
    ) { progress.report($0, of: texts.count, ["texts"]) }
    progress.finish()
    return LabelReport(
      expected: expected.map { $0.map { names.names[$0] } },
      found: found.map { $0.labels.map { names.names[$0] } })
  }

  /// What a language model finds likeliest of all answers that the data have.
  func labelReports(
    of base: any PretrainedLanguageModel, _ pretrained: PretrainedModel, _ table: Candidates,
    _ paths: [String]
  ) throws -> [LabelReport] {
    let tokenizer = try pretrained.tokenizer()
    let questions = try questions(pretrained, tokenizer, paths)
    let labels = Array(Set(questions.map(\.expected))).sorted()
    guard labels.count > 1 else {
      throw CommandError(
        "\(data): all of its examples have the label '\(labels.first ?? "")'; there is nothing to choose from"
      )
    }
    guard labels.count <= Self.mostLabels, labels.count * 2 <= questions.count + 2 else {
      throw CommandError(
        "\(data): its \(questions.count) examples have \(labels.count) different answers, which are no "
          + "labels; give --metric exact or f1")
    }
    var progress = Progress()
    defer { progress.finish() }
    return try table.all.enumerated().map { index, candidate in
      let found = try base.withAdapters(candidate.selection) {
        try base.likeliestLabels(labels, of: questions, tokenizer: tokenizer) { done in
          progress.report(
            index * questions.count + done, of: table.all.count * questions.count, ["texts"])
        }
      }
      return LabelReport(
        expected: questions.map { [Self.trimmed($0.expected)] },
        found: found.map { [Self.trimmed(labels[$0])] })
    }
  }

  /// A label without the space before it that completions begin with.
  private static func trimmed(_ label: String) -> String {
    String(label.drop(while: \.isWhitespace))
  }

  /// Adds what was found of labels to a candidate's JSON.
  static func add(_ report: LabelReport, to object: inout JSONObject) {
    object["macro_f1"] = .number(report.macroF1)
    object["labels"] = .array(
      report.labels.map { label in
        [
          "label": .string(label.name), "support": JSONValue(label.support),
          "precision": .number(label.precision), "recall": .number(label.recall),
          "f1": .number(label.f1),
        ]
      })
    object["confusions"] = .array(
      report.confusions.prefix(confusionCount).map { confusion in
        [
          "expected": .string(confusion.expected), "found": .string(confusion.found),
          "count": JSONValue(confusion.count),
        ]
      })
  }
}
