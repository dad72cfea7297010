public import ArgumentParser
public import LoRAKit

extension LongExamples: ExpressibleByArgument {}

/// How data become examples.
struct ExampleOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most positions in an example, one less than its tokens. (default: 512, or the model's limit if "
        + "lower; token sequences may be as long as that limit)",
      valueName: "tokens"))
  var sequenceLength: Int?
  @Option(
    help: ArgumentHelp(
      "What to do with a longer example: refuse it (error), cut it (truncate; a prompt loses its "
        + "beginning), leave it out (skip) or split it. (default: split texts, truncate prompts with "
        + "completions, refuse token sequences)",
      valueName: "choice"))
  var longRows: LongExamples?
  @OptionGroup var records: RecordOptions

  func validate() throws {
    try demand("--sequence-length", sequenceLength, .atLeast(1))
  }

  /// The most tokens of an example of a task whose examples are whole texts, special tokens included.
  func longest(for model: any TokenModel) throws -> Int {
    let limit = model.maximumPositions
    if let sequenceLength, sequenceLength > limit { throw tooLong(sequenceLength, limit) }
    return sequenceLength ?? min(512, limit)
  }

  private func tooLong(_ length: Int, _ limit: Int) -> CommandError {
    CommandError(
      "--sequence-length \(length): the model's limit is \(limit) positions; give at most that")
  }

  /// A reader of data for `pretrained` under `adapters`, of which one may have a template of its own.
  func reader(
    for pretrained: PretrainedModel, under adapters: [String] = []
  ) throws -> DataReader {
    let limit = pretrained.model.maximumPositions
    if let sequenceLength, sequenceLength > limit {
      throw tooLong(sequenceLength, limit)
    }
    return try records.reader(
      for: pretrained, under: adapters,
      options: DataOptions(
        sequenceLength: sequenceLength ?? min(512, limit), longExamples: longRows))
  }
}

extension DataReader {
  /// Reads the data that `path` names, and says what became of examples that did not fit.
  func readTelling(_ path: String, tensor: String) throws -> TokenDataSet {
    let (data, report) = try read(path, tensor: tensor)
    Self.tell(report, of: data.source)
    return data
  }

  /// Reads the data of several files, keeps some of them from training, and says what became of examples
  /// that did not fit.
  func readTelling(
    _ files: [WeightedFile], split: DataSplit?, tensor: String
  ) throws -> (training: TokenDataSet, validation: TokenDataSet?) {
    let (training, validation, reports) = try read(files, split: split, tensor: tensor)
    for (file, report) in zip(files, reports) { Self.tell(report, of: file.path) }
    return (training, validation)
  }

  private static func tell(_ report: DataReport, of source: String) {
    for error in report.errors { StandardError.line("warning: left out: \(error)") }
    for note in report.notes { StandardError.line("note: \(source): \(note)") }
  }
}
