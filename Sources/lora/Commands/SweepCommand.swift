import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora sweep`: the loss over a grid of strengths.
struct SweepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Measure the loss over a grid of strengths of one or two adapters.",
    usage: """
      lora sweep --model <path> --adapter <adapter> [--adapter <adapter>] --data <file[#name]> \
      [--from <from>] [--to <to>] [--steps <steps>] [--plot <file.svg>] [--batch <batch>] \
      [--sequence-length <tokens>] [--long-rows <choice>] [--map <meaning=field,...>] \
      [--loss-on <part>] [--use-template <choice>] [--chat-template <file.jinja>] [--template-date <date>] [--system <text>] \
      [--invalid-records <choice>] [--dtype <dtype>] [--text-only] \
      [--allow-no-effect] [--allow-other-base] \
      [--force] [--json]
      """,
    discussion: """
      Prints the mean negative log-likelihood (natural logarithm) at every strength, or with two \
      adapters at every pair of strengths, and the best of them; --plot draws the same. --data takes \
      what that of lora train takes; of a .safetensors file without #name it reads the tensor 'eval', or \
      'train' if there is no such tensor.

        lora sweep --model MODEL --adapter a --data ids.safetensors --plot sweep.svg
        lora sweep --model MODEL --adapter a --adapter b --data eval.jsonl --to 1
      """)

  @OptionGroup var model: ModelOptions
  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp(
      "An adapter of any format: a folder or a file, without a scale. Give one or two.",
      valueName: "adapter"),
    transform: AdapterArgument.init)
  var adapters: [AdapterArgument] = []
  @OptionGroup var accepting: AcceptanceOptions
  @Option(help: ArgumentHelp("What to measure the loss on.", valueName: "file[#name]"))
  var data: String
  @Option(parsing: .unconditional, help: "The lowest strength.")
  var from = 0.0
  @Option(parsing: .unconditional, help: "The highest strength.")
  var to = 1.5
  @Option(
    parsing: .unconditional, help: "The number of strengths that each adapter takes.")
  var steps = 7
  @Option(
    parsing: .unconditional, help: "The number of examples in a batch.")
  var batch = 8
  @OptionGroup var examples: ExampleOptions
  @Option(help: ArgumentHelp("Draw the sweep into this SVG file.", valueName: "file.svg"))
  var plot: String?
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (1...2).contains(adapters.count) else {
      throw ValidationError("give one or two --adapter")
    }
    guard adapters.allSatisfy({ $0.strength == 1 }) else {
      throw ValidationError("--adapter takes no scale here: strengths are what is swept")
    }
    guard from < to, from.isFinite, to.isFinite else {
      throw ValidationError("--from must be below --to")
    }
    try demand("--steps", steps, .from(2, to: 1000))
    try demand("--batch", batch, .atLeast(1))
    if let plot, !plot.isEmpty, !plot.lowercased().hasSuffix(".svg") {
      throw ValidationError("--plot is '\(plot)'; it writes SVG: give a file ending in .svg")
    }
  }

  func run() throws {
    var destinations = Destinations(
      reading: [model.path, data] + adapters.map(\.path), force: replacement.force)
    if let plot { try destinations.check(plot, .plot, option: "--plot") }
    try destinations.confirm()
    let pretrained = try model.load()
    let base = try pretrained.languageModel
    let names = names
    for (argument, name) in zip(adapters, names) {
      do {
        let warnings = try base.loadAdapter(
          try AdapterFile.opened(argument.path, toAttachTo: model.path),
          named: name, allowsNoEffect: accepting.allowNoEffect,
          allowsOtherBase: accepting.allowOtherBase, enabled: false)
        StandardError.warnings(warnings.map { "\(argument.path): \($0)" })
      } catch let error as AdapterError {
        throw CommandError(argument.path, error)
      }
    }
    let reader = try examples.reader(for: pretrained, under: adapters.map(\.path))
      .readTelling(data, tensor: try defaultTensor())
    var progress = Progress()
    let sweep = try ProductPrecision.withValue(model.dtype.precision(otherwise: .float32)) {
      try base.sweepStrengths(
        of: names, over: try StrengthSweep.grid(from: from, to: to, steps: steps), on: reader,
        batchSize: batch, progress: { progress.report($0, of: $1, ["evaluations"]) })
    }
    progress.finish()
    try report(sweep)
    if let plot {
      let title = "Loss by strength on \(Self.lastComponent(data))"
      try replacement.writing {
        try FileSystem.withFolder(of: plot) {
          try AtomicFile.write(Array(sweep.svg(title: title).utf8), to: plot)
        }
      }
    }
  }

  /// `eval` where the data file has such a tensor, otherwise `train`.
  private func defaultTensor() throws -> String {
    guard let mark = data.lastIndex(of: "#"), !FileSystem.exists(data) else {
      return try TokenSequences.ifPresent("eval", in: data) == nil ? "train" : "eval"
    }
    return String(data[data.index(after: mark)...])
  }

  /// The adapters' folders, as short as tells them apart.
  private var names: [String] {
    let short = adapters.map { Self.lastComponent($0.path) }
    if Set(short).count == short.count { return short }
    let paths = adapters.map(\.path)
    return Set(paths).count == paths.count
      ? paths : paths.enumerated().map { "\($1) (\($0 + 1))" }
  }

  private static func lastComponent(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }
}
