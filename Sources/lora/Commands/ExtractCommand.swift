import ArgumentParser
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora extract`: an adapter from a fine-tuned model and its base.
struct ExtractCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "extract",
    abstract: "Make an adapter of the difference between a fine-tuned model and its base.",
    usage: """
      lora extract --base <dir> --tuned <dir> (--rank <rank> | --energy <energy>) --output <dir> \
      [--others <others>] [--iterations <iterations>] [--force] [--json]
      """,
    discussion: """
      The difference of each linear layer is replaced by its nearest approximation of a low rank; the \
      table says what share of it that captures. Norms, biases and embeddings that differ are an error \
      unless --others says what to do with them.

        lora extract --base MODEL --tuned TUNED --rank 16 --output adapter
        lora extract --base MODEL --tuned TUNED --energy 0.95 --output adapter
      """)

  @Option(help: ArgumentHelp("The base model's Hugging Face directory.", valueName: "dir"))
  var base: String
  @Option(help: ArgumentHelp("The fine-tuned model's Hugging Face directory.", valueName: "dir"))
  var tuned: String
  @OptionGroup var choice: RankOptions
  @Option(help: "What to do with differing parameters that are not the weight of a linear layer.")
  var others: OthersArgument = .refused
  @Option(
    parsing: .unconditional,
    help: """
      Decompose with this many randomized iterations, much faster for large matrices; goes with --rank. \
      4 is a good number. (default: decompose exactly)
      """)
  var iterations: Int?
  @Option(help: ArgumentHelp("The folder to write.", valueName: "dir"))
  var output: String
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var format: OutputOptions

  func validate() throws {
    try demand("--iterations", iterations, .from(0, to: 1000))
    if iterations != nil, choice.rank == nil {
      throw ValidationError("--iterations goes with --rank")
    }
  }

  func run() throws {
    var destinations = Destinations(reading: [base, tuned], force: replacement.force)
    try destinations.check(output, .adapter(.peft))
    try destinations.confirm()
    let (adapter, report) = try AdapterExtraction(
      choice.choice, others: others.value, iterations: iterations
    ).extract(tuned: tuned, base: base)
    var file = try PEFTAdapterFile(writing: adapter.carrying(record(report)))
    file.configuration.baseModelName = base
    file.configuration.taskType = "CAUSAL_LM"
    try replacement.writing { try file.write(to: output) }
    try write(adapter, report)
  }

  /// What the adapter says of its making: of its base by name alone where this library can't open it.
  private func record(_ report: AdapterExtraction.Report) -> AdapterRecord {
    var record = AdapterRecord(
      making: .extraction, software: Version.software,
      base: AdapterRecord.Base(name: AdapterRecord.publicName(ofModel: base)),
      settings: choice.record, results: [.init("energy", report.energy)],
      parents: [AdapterRecord.Parent(name: AdapterRecord.publicName(ofModel: tuned))])
    do {
      record.base = try PretrainedModel(path: base, textOnly: true).recordOfBase
    } catch {
      StandardError.line("warning: the adapter gets no fingerprint of its base: \(error)")
    }
    return record
  }

  private func write(_ adapter: AdapterDescription, _ report: AdapterExtraction.Report) throws {
    if !report.ignored.isEmpty {
      StandardError.line(
        "warning: \(counted(report.ignored.count, "parameter")) that differ are ignored, as "
          + "'\(report.ignored[0])'")
    }
    guard format.isJSON else {
      for line in report.layers.table { try StandardOutput.line(line) }
      for name in report.replaced { try StandardOutput.line("\(name)  replaced whole") }
      return try StandardOutput.line(
        "\(output): \(counted(adapter.layers.count, "layer")), "
          + "\(grouped(adapter.parameterCount)) parameters, "
          + "\(decimal(100 * report.energy, 4)) % of the layers' energy captured")
    }
    try StandardOutput.json([
      "output": .string(output), "parameters": JSONValue(adapter.parameterCount),
      "energy": .number(report.energy), "layers": report.layers.json,
      "replaced": JSONValue(report.replaced), "ignored": JSONValue(report.ignored),
      "unchanged": JSONValue(report.unchangedCount),
    ])
  }
}

/// `--others`.
enum OthersArgument: String, ExpressibleByArgument, CaseIterable, Sendable {
  case refused, replaced, ignored

  var value: AdapterExtraction.Others {
    switch self {
    case .refused: .refused
    case .replaced: .replaced
    case .ignored: .ignored
    }
  }
}
