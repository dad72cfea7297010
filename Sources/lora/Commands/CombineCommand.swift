import ArgumentParser
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora combine`: one adapter of several.
struct CombineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "combine",
    abstract: "Make one adapter of several, each with a weight.",
    usage: """
      lora combine --adapter <adapter[:weight]> ... --output <dir> [--type <type>] [--rank <rank>] \
      [--density <density>] [--majority-sign <majority-sign>] [--seed <seed>] \
      [--replacements <replacements>] [--base <model>] [--force] [--json]
      """,
    discussion: """
      The types are those of PEFT's add_weighted_adapter. cat is the exact sum of the adapters; its \
      rank is the sum of theirs. svd is the nearest adapter to that sum of a given rank. The others are \
      approximations: linear adds the factors, which needs equal ranks and brings in cross terms \
      between the adapters; ties, dare-linear, dare-ties and magnitude-prune drop part of the numbers \
      and need --density.

        lora combine --adapter support:0.7 --adapter polite:-0.2 --type cat --output c
        lora combine --adapter a --adapter b --type ties-svd --density 0.5 --output ab
      """)

  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp(
      "An adapter of any format, and after a colon its weight (1 without). Repeat the option for each.",
      valueName: "adapter[:weight]"),
    transform: AdapterArgument.init)
  var adapters: [AdapterArgument] = []
  @Option(help: "How to combine them.")
  var type: CombinationArgument = .init(method: .svd)
  @Option(
    parsing: .unconditional,
    help:
      "The rank of the result, for types that end in svd. (default: the largest of the adapters')")
  var rank: Int?
  @Option(
    parsing: .unconditional,
    help: "The share of the numbers to keep, up to 1, for types that drop some.")
  var density: Double?
  @Option(
    help: "How ties elects signs: by the sum of the numbers (total) or by their count (frequency).")
  var majoritySign: MajoritySignArgument = .total
  @Option(
    parsing: .unconditional, help: "The seed of dare's random choices. (default: 0)",
    transform: parsedSeed)
  var seed: UInt64 = 0
  @Option(
    help: """
      What to do with modules and token vectors that an adapter replaces whole, to which no weight \
      applies.
      """)
  var replacements: ReplacementsArgument = .refused
  @OptionGroup var made: MadeAdapterOptions
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var format: OutputOptions

  func validate() throws {
    if adapters.isEmpty { throw ValidationError("give at least one --adapter") }
    try demand("--rank", rank, .atLeast(1))
    try demand("--density", density, .atLeast(0))
  }

  func run() throws {
    var destinations = Destinations(
      reading: [made.base] + adapters.map(\.path), force: replacement.force)
    try destinations.check(made.output, .adapter(.peft))
    try destinations.confirm()
    let method = type.method
    let files = try adapters.map { try AdapterFile.opened($0.path, base: made.base) }
    for (argument, file) in zip(adapters, files) {
      StandardError.warnings(file.warnings().map { "\(argument.path): \($0)" })
    }
    let parts = zip(adapters, files).map { argument, file in
      AdapterCombination.Part(
        file.description, weight: Double(argument.strength), name: argument.path)
    }
    let combination = AdapterCombination(
      method, rank: rank, density: density, majoritySign: majoritySign.value, seed: seed,
      replacements: replacements.value)
    warn(method)
    var result = try combination.combine(parts)
    result.metadata["combination"] = method.rawValue
    if result.hasNoEffect {
      StandardError.line("warning: the combination has no effect: every product is zero")
    }
    try replacement.writing {
      try result.write(
        madeOf: files, .combination, settings, weights: adapters.map(\.strength), to: made.output)
    }
    try report(result)
  }

  /// What the record says of the combination: options that the type has no use for are left out.
  private var settings: [AdapterRecord.Entry] {
    var entries = [AdapterRecord.Entry("type", .text(type.text))]
    if let rank, type.method.decomposes { entries.append(.init("rank", Double(rank))) }
    if let density, type.method.prunes { entries.append(.init("density", density)) }
    if type.text.hasPrefix("dare") { entries.append(.init("seed", .text("\(seed)"))) }
    return entries
  }

  private func warn(_ method: AdapterCombination.Method) {
    if adapters.count == 1 {
      if method != .linear, method != .cat {
        StandardError.line(
          "warning: one adapter alone is only scaled, as in PEFT; lora reduce lowers its rank")
      }
      return
    }
    if method == .linear {
      StandardError.line(
        "warning: linear adds factors, whose product has cross terms between the adapters; "
          + "cat is their sum")
    }
    if !method.decomposes, rank != nil {
      StandardError.line("warning: --rank is not for \(type.text): it has no choice of a rank")
    }
    if !method.prunes, density != nil {
      StandardError.line("warning: --density is not for \(type.text): it keeps all numbers")
    }
  }

  private func report(_ result: AdapterDescription) throws {
    let type = adapters.count == 1 ? CombinationArgument(method: .linear) : type
    let ranks = result.layers.compactMap(\.lowRank?.rank)
    let largest = ranks.max() ?? 0
    guard format.isJSON else {
      let rank = ranks.min() == largest ? "rank \(largest)" : "ranks up to \(largest)"
      return try StandardOutput.line(
        "\(made.output): \(counted(adapters.count, "adapter")) by \(type.text), "
          + "\(counted(result.layers.count, "layer")) of \(rank), "
          + "\(grouped(result.parameterCount)) parameters")
    }
    try StandardOutput.json([
      "output": .string(made.output), "type": .string(type.text),
      "adapters": .array(
        adapters.map { ["path": .string($0.path), "weight": .number(Double($0.strength))] }),
      "layers": JSONValue(result.layers.count), "rank": JSONValue(largest),
      "parameters": JSONValue(result.parameterCount),
    ])
  }
}

/// A way of combining as `--type` names it: PEFT's names, with hyphens or underscores.
struct CombinationArgument: ExpressibleByArgument, Sendable {
  let method: AdapterCombination.Method

  init(method: AdapterCombination.Method) { self.method = method }

  init?(argument: String) {
    guard
      let method = AdapterCombination.Method(rawValue: argument.replacing("-", with: "_"))
    else { return nil }
    self.method = method
  }

  /// With hyphens, as options are written.
  var text: String { method.rawValue.replacing("_", with: "-") }
  var defaultValueDescription: String { text }
  static var allValueStrings: [String] {
    AdapterCombination.Method.allCases.map { CombinationArgument(method: $0).text }
  }
}

/// `--majority-sign`.
enum MajoritySignArgument: String, ExpressibleByArgument, CaseIterable, Sendable {
  case total, frequency

  var value: AdapterCombination.MajoritySign { self == .total ? .total : .frequency }
}

/// `--replacements`.
enum ReplacementsArgument: String, ExpressibleByArgument, CaseIterable, Sendable {
  case refused, kept, dropped

  var value: AdapterCombination.Replacements {
    switch self {
    case .refused: .refused
    case .kept: .kept
    case .dropped: .dropped
    }
  }
}
