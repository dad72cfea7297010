import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit
import LoRAModels
import LoRATensor

/// `lora data check`: what in a data file would spoil a training.
struct DataCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Look through data for duplicates, contradictions, broken text, secrets and more.",
    discussion: """
      Prints what was found, with lines and histograms of lengths; --html writes the same as a page. The \
      exit status is 0 if nothing was found, 2 if something was, 1 for a failure. With --model it also \
      says what does not fit the model's context, chat template and tokenizer. --fix writes a copy without \
      the examples in question, and beside it FILE.dropped.jsonl, which says of each why.

        lora data check questions.jsonl --model MODEL --html check.html
        lora data check questions.jsonl --fix clean.jsonl
      """)

  @Argument(help: ArgumentHelp("The data.", valueName: "file"))
  var file: String
  @Option(
    help: ArgumentHelp(
      "The model that is to learn from them: a Hugging Face directory or a GGUF file.",
      valueName: "path"))
  var model: String?
  @Option(
    help: ArgumentHelp("Data for evaluation, which should not be among them.", valueName: "file"))
  var evalData: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Which fields hold what, where they have other names: prompt=question,completion=answer.",
      valueName: "meaning=field,..."),
    transform: parsedFields)
  var map: FieldMap?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most positions in an example. (default: the model's limit)", valueName: "tokens"))
  var sequenceLength: Int?
  @OptionGroup var template: ChatTemplateOption
  @Option(
    help: ArgumentHelp(
      "Write a copy without the examples in question, in the same format.", valueName: "file"))
  var fix: String?
  @Option(help: ArgumentHelp("Write the report as a page.", valueName: "file.html"))
  var html: String?
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--sequence-length", sequenceLength, .atLeast(1))
    guard sequenceLength == nil || model != nil else {
      throw ValidationError("--sequence-length counts tokens: give --model too")
    }
    guard template.chatTemplate == nil || model != nil else {
      throw ValidationError("--chat-template writes for a model: give --model too")
    }
    if let html, !html.isEmpty, !html.lowercased().hasSuffix(".html") {
      throw ValidationError("--html is '\(html)'; it writes HTML: give a file ending in .html")
    }
  }

  func run() throws {
    var destinations = Destinations(reading: [file, model, evalData], force: replacement.force)
    let list = fix.map { $0 + ".dropped.jsonl" }
    if let fix, let list {
      try destinations.check(fix, .data, option: "--fix")
      try destinations.check(list, .data, option: "--fix")
    }
    if let html { try destinations.check(html, .page, option: "--html") }
    try destinations.confirm()
    let fields = map ?? FieldMap()
    var check = DataCheck(try DataFile(file, fields: fields))
    if let fix { try demandSameFormat(fix, check.file) }
    check.evaluation = try evalData.map { try DataFile($0, fields: fields) }
    check.model = try model.map(checkModel)
    let report = try check.run { count in
      if Terminal.isLive { StandardError.redraw(counted(count, "example")) }
    }
    StandardError.endBar()
    var copy: CleanedCopy?
    try replacement.writing {
      if let html {
        try FileSystem.withFolder(of: html) {
          try AtomicFile.write(Array(report.html().utf8), to: html)
        }
      }
      if let fix, let list {
        copy = try FileSystem.withFolder(of: fix) {
          try CleanedCopy(of: report, to: fix, list: list)
        }
      }
    }
    try write(report, copy)
    if report.findingCount > 0 { throw ExitCode(2) }
  }

  /// The parts of the model that judge data.
  private func checkModel(_ path: String) throws -> DataCheck.Model {
    let pretrained = try PretrainedModel(path: path)
    let limit = pretrained.model.maximumPositions
    if let sequenceLength, sequenceLength > limit {
      throw CommandError(
        "--sequence-length \(sequenceLength): the model's limit is \(limit) positions; give at most that"
      )
    }
    return DataCheck.Model(
      tokenizer: try pretrained.tokenizer(), format: try chatFormat(of: pretrained),
      positions: sequenceLength ?? limit)
  }

  /// How the model writes conversations; nil if it has no template. One that is given must be good.
  private func chatFormat(of pretrained: PretrainedModel) throws -> ChatFormat? {
    guard template.chatTemplate == nil else { return try template.format(of: pretrained) }
    return try? template.format(of: pretrained)
  }

  /// A copy with another ending would be read as another format.
  private func demandSameFormat(_ copy: String, _ file: DataFile) throws {
    guard file.isNamed, let ending = Self.ending(file.path), let given = Self.ending(copy) else {
      return
    }
    guard ending == given else {
      throw CommandError(
        "--fix \(copy): the copy has the format of \(file.path); give a name that ends in .\(ending)"
      )
    }
  }

  private static func ending(_ path: String) -> String? {
    let name = path.split(separator: "/").last ?? ""
    guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return nil }
    return name[name.index(after: dot)...].lowercased()
  }

  // MARK: - Output

  private func write(_ report: CheckReport, _ copy: CleanedCopy?) throws {
    guard output.isJSON else {
      try StandardOutput.lines(
        report.lines(
          columns: Terminal.columns(of: 1), blocks: Terminal.hasNarrowBlocks))
      if let copy, let fix {
        try StandardOutput.line()
        try StandardOutput.line(
          "\(fix): \(counted(copy.keptCount, "example")); left out \(copy.droppedCount)"
            + (copy.counts.isEmpty
              ? ""
              : ", for "
                + copy.counts.map { "\($0.kind.rawValue) \($0.count)" }.joined(separator: ", "))
            + ": see \(fix).dropped.jsonl")
      }
      return
    }
    var object: JSONObject = [
      "examples": JSONValue(report.exampleCount),
      "notes": .array(report.notes.map { .string($0) }),
      "findings": .array(
        report.findings.map { finding in
          [
            "kind": .string(finding.kind.rawValue), "line": JSONValue(finding.line),
            "detail": .string(finding.detail),
          ]
        }),
      "counts": Self.object(report.counts),
      "lengths": .array(
        report.lengths.map { title, histogram in
          [
            "of": .string(title), "least": JSONValue(histogram.least),
            "median": JSONValue(histogram.quantile(0.5)),
            "p95": JSONValue(histogram.quantile(0.95)),
            "greatest": JSONValue(histogram.greatest),
          ]
        }),
    ]
    if let copy, let fix {
      object["fix"] = .object([
        "path": .string(fix), "kept": JSONValue(copy.keptCount),
        "dropped": JSONValue(copy.droppedCount), "reasons": Self.object(copy.counts),
        "list": .string(fix + ".dropped.jsonl"),
      ])
    }
    try StandardOutput.json(object)
  }

  private static func object(_ counts: [(kind: Finding.Kind, count: Int)]) -> JSONValue {
    .object(JSONObject(counts.map { ($0.kind.rawValue, JSONValue($0.count)) }))
  }
}
