import ArgumentParser
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora reduce`: an adapter of a lower rank.
struct ReduceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reduce",
    abstract: "Lower the rank of an adapter: each layer's nearest approximation of a lower rank.",
    usage: """
      lora reduce --adapter <adapter> (--rank <rank> | --energy <energy>) --output <dir> \
      [--base <model>] [--force] [--json]
      """,
    discussion: """
      With --energy each layer gets the smallest rank that keeps this share of the sum of its \
      squared singular values.

        lora reduce --adapter support --rank 4 --output small
        lora reduce --adapter support --energy 0.99 --output small
      """)

  @Option(
    help: ArgumentHelp("The adapter, of any format: a folder or a file.", valueName: "adapter"))
  var adapter: String
  @OptionGroup var choice: RankOptions
  @OptionGroup var made: MadeAdapterOptions
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var format: OutputOptions

  func validate() throws { try AdapterArgument.demandNoScale(adapter, "--adapter") }

  func run() throws {
    var destinations = Destinations(reading: [adapter, made.base], force: replacement.force)
    try destinations.check(made.output, .adapter(.peft))
    try destinations.confirm()
    let file = try AdapterFile.opened(adapter, base: made.base)
    StandardError.warnings(file.warnings().map { "\(adapter): \($0)" })
    let (reduced, cuts) = try file.description.reduced(to: choice.choice)
    try replacement.writing {
      try reduced.write(madeOf: [file], .reduction, choice.record, to: made.output)
    }
    try report(reduced, cuts)
  }

  private func report(_ reduced: AdapterDescription, _ cuts: [LayerCut]) throws {
    guard format.isJSON else {
      for line in cuts.table { try StandardOutput.line(line) }
      return try StandardOutput.line(
        "\(made.output): \(grouped(reduced.parameterCount)) parameters, "
          + "\(decimal(100 * cuts.energy, 4)) % of the energy kept")
    }
    try StandardOutput.json([
      "output": .string(made.output), "parameters": JSONValue(reduced.parameterCount),
      "energy": .number(cuts.energy), "layers": cuts.json,
    ])
  }
}

/// `--rank N` or `--energy E`.
struct RankOptions: ParsableArguments {
  @Option(
    parsing: .unconditional, help: "The rank of every layer.")
  var rank: Int?
  @Option(
    parsing: .unconditional, help: "The share of each layer's energy to keep, up to 1.")
  var energy: Double?

  func validate() throws {
    guard (rank == nil) != (energy == nil) else {
      throw ValidationError("give either --rank N or --energy SHARE")
    }
    try demand("--rank", rank, .atLeast(1))
    try demand("--energy", energy, .above(0, to: 1))
  }

  /// The choice as an adapter's record has it.
  var record: [AdapterRecord.Entry] {
    [rank.map { .init("rank", Double($0)) } ?? .init("energy", energy ?? 1)]
  }

  var choice: RankChoice { rank.map { .rank($0) } ?? .energy(energy ?? 1) }
}

extension [LayerCut] {
  /// The share of the energy of all layers that is kept.
  var energy: Double {
    let total = reduce(0) { $0 + $1.norm * $1.norm }
    return total > 0 ? reduce(0) { $0 + $1.energy * $1.norm * $1.norm } / total : 1
  }

  /// A line a layer.
  var table: [String] {
    let width = (map(\.path.count).max() ?? 0) + 2
    return map { cut in
      cut.path.padded(to: width) + "rank \(cut.originalRank) -> \(cut.rank)".padded(to: 20)
        + "energy \(decimal(100 * cut.energy, 4)) %, norm \(decimal(cut.norm, 6))"
    }
  }

  var json: JSONValue {
    .array(
      map { cut in
        [
          "path": .string(cut.path), "original_rank": JSONValue(cut.originalRank),
          "rank": JSONValue(cut.rank), "energy": .number(cut.energy), "norm": .number(cut.norm),
        ]
      })
  }
}
