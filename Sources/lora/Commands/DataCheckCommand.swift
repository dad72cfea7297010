import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit
import LoRAModels
import LoRATensor

/// `lora data check`: what in data files would spoil a training.
struct DataCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Look through data for duplicates, contradictions, broken text, secrets and more.",
    discussion: """
      Prints what was found, with lines and histograms of lengths; --html writes the same as a page. The \
      exit status is 0 if nothing was found, 2 if something was, 1 for a failure. With --model it also \
      says what does not fit the model's context, chat template and tokenizer. Several files are looked \
      through as one set of data, with what stands in two of them. --fix writes a copy without the \
      examples in question, and beside it FILE.dropped.jsonl, which says of each why; of several files a \
      folder with a copy of each and dropped.jsonl.

        lora data check questions.jsonl --model MODEL --html check.html
        lora data check questions.jsonl --fix clean.jsonl
        lora data check questions.jsonl chats.jsonl --fix clean
      """)

  @Argument(
    help: ArgumentHelp(
      "The data; of several files a weight, which lora train takes, changes nothing here.",
      valueName: "file[:weight]"),
    transform: WeightedFile.init(argument:))
  var files: [WeightedFile]
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
      "Write a copy without the examples in question, in the same format; of several files a folder.",
      valueName: "path"))
  var fix: String?
  @Option(help: ArgumentHelp("Write the report as a page.", valueName: "file.html"))
  var html: String?
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--sequence-length", sequenceLength, .atLeast(1))
    var seen: Set<String> = []
    if let twice = files.first(where: { !seen.insert($0.path).inserted }) {
      throw ValidationError("\(twice.path) is given twice: all in it would be a duplicate")
    }
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
    var destinations = Destinations(
      reading: files.map(\.path) + [model, evalData], force: replacement.force)
    let copies = try fix.map { try CopyPaths(of: files.map(\.path), at: $0) }
    if let fix, let copies {
      if files.count > 1 { try destinations.check(fix, .collection, option: "--fix") }
      for path in copies.paths + [copies.list] {
        try destinations.check(path, .data, option: "--fix")
      }
    }
    if let html { try destinations.check(html, .page, option: "--html") }
    try destinations.confirm()
    let fields = map ?? FieldMap()
    var check = DataCheck(try files.map { try DataFile($0.path, fields: fields) })
    if let fix, files.count == 1 { try demandSameFormat(fix, check.files[0]) }
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
      if let copies {
        copy = try FileSystem.withFolder(of: copies.list) {
          try CleanedCopy(of: report, to: copies.paths, list: copies.list)
        }
      }
    }
    try write(report, copy, listedIn: copies?.list ?? "")
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

  private func write(
    _ report: CheckReport, _ copy: CleanedCopy?, listedIn list: String
  ) throws {
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
            + ": see \(list)")
      }
      return
    }
    var object: JSONObject = [
      "examples": JSONValue(report.exampleCount),
      "notes": .array(report.notes.map { .string($0) }),
      "findings": .array(
        report.findings.map { finding in
          [
            "kind": .string(finding.kind.rawValue),
            "file": .string(report.files[finding.file].path), "line": JSONValue(finding.line),
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
        "list": .string(list),
      ])
    }
    try StandardOutput.json(object)
  }

  private static func object(_ counts: [(kind: Finding.Kind, count: Int)]) -> JSONValue {
    .object(JSONObject(counts.map { ($0.kind.rawValue, JSONValue($0.count)) }))
  }
}

/// Where the cleaned copies of data files lie, and the list of what was left out.
private struct CopyPaths {
  let paths: [String]
  let list: String

  /// The copy of one file is `place`; those of several have their files' names in the folder `place`.
  init(of files: [String], at place: String) throws {
    guard files.count > 1 else {
      (paths, list) = ([place], place + ".dropped.jsonl")
      return
    }
    let names = files.map { $0.split(separator: "/").last.map(String.init) ?? $0 }
    (paths, list) = (
      names.map { FileSystem.join(place, $0) }, FileSystem.join(place, "dropped.jsonl")
    )
    var seen: Set<String> = ["dropped.jsonl"]
    for (name, file) in zip(names, files) where !seen.insert(name).inserted {
      throw CommandError(
        "--fix \(place): the copy of \(file) would be the second '\(name)' there; give the file another "
          + "name")
    }
  }
}
