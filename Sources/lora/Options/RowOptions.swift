public import ArgumentParser
public import LoRAKit

extension LongRows: ExpressibleByArgument {}

/// How data become rows.
struct RowOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most positions in a row, one less than its tokens. (default: 512, or the model's limit if "
        + "lower; token rows may be as long as that limit)",
      valueName: "tokens"))
  var sequenceLength: Int?
  @Option(
    help: ArgumentHelp(
      "What to do with a longer row: refuse it (error), cut it (truncate; a prompt loses its "
        + "beginning), leave it out (skip) or split it. (default: split texts, truncate prompts with "
        + "completions, refuse token rows)",
      valueName: "choice"))
  var longRows: LongRows?

  func validate() throws {
    try demand("--sequence-length", sequenceLength, .atLeast(1))
  }

  /// A reader of data for `pretrained`.
  func reader(for pretrained: PretrainedModel) throws -> DataReader {
    let limit = pretrained.model.maximumPositions
    if let sequenceLength, sequenceLength > limit {
      throw CommandError(
        "--sequence-length \(sequenceLength): the model's limit is \(limit) positions; give at most "
          + "that")
    }
    return try DataReader(
      for: pretrained.languageModel,
      options: DataOptions(sequenceLength: sequenceLength ?? min(512, limit), longRows: longRows)
    ) { try pretrained.tokenizer() }
  }
}

extension DataReader {
  /// Reads the data that `path` names, and says what became of rows that did not fit.
  func readTelling(_ path: String, tensor: String) throws -> TokenDataSet {
    let (data, report) = try read(path, tensor: tensor)
    for note in report.notes { StandardError.line("note: \(data.source): \(note)") }
    return data
  }
}
