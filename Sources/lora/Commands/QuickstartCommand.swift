import ArgumentParser
import LoRAFormats
import LoRAKit
import LoRAWorld

/// Shows on the built-in base what LoRA is: two adapters are trained, switched, mixed, merged and
/// taken off again, and the base is what it was.
struct QuickstartCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quickstart",
    abstract: "Train two adapters on the built-in base and show what they do, in about a minute.",
    discussion: """
      Needs no download. The adapters are written as PEFT directories. Those of an earlier tour are \
      replaced, other results only with --force.

        lora quickstart --output my-first-adapters
      """)

  @Option(help: ArgumentHelp("The folder for the two adapters.", valueName: "dir"))
  var output = "lora-quickstart"
  @OptionGroup var replacement: ReplacementOptions

  func run() throws {
    // Tried before time is spent on training what could not be written.
    try checkOutput()
    let clock = ContinuousClock()
    let start = clock.now
    let base = try BuiltInBase.open()
    let examiner = try Examiner(model: base.languageModel, tokenizer: try base.tokenizer())
    let tour = QuickstartTour(base: base, examiner: examiner, output: output)
    try tour.meetTheBase()
    try tour.teach(.products)
    try tour.teach(.polite)
    try tour.switchAndMix()
    try tour.turnTheStrength()
    try tour.mergeAndTakeOff()
    let lora = CommandLine.arguments.first ?? "lora"
    let seconds = (clock.now - start) / .seconds(1)
    try StandardOutput.line()
    try StandardOutput.line("Done in \(decimal(seconds, 0)) s. The adapters lie in '\(output)':")
    try StandardOutput.text(
      """
        \(lora) inspect '\(output)/products'
        \(lora) generate --model '\(BuiltInBase.path)' --adapter '\(output)/products' \\
          --prompt $'Q: I bought a Clara. How long is its warranty?\\nA:'
      """)
  }

  /// Adapters of an earlier tour may be replaced, others not.
  private func checkOutput() throws {
    var folder = Destinations(reading: [], force: false)
    try folder.check(output, .collection)
    for lesson in [Lesson.products, .polite] {
      let path = "\(output)/\(lesson.name)"
      let earlier = try? PEFTAdapterConfiguration(path: path + "/adapter_config.json")
      var adapter = Destinations(
        reading: [],
        force: replacement.force || earlier?.baseModelName == QuickstartTour.baseName)
      try adapter.check(path, .adapter(.peft))
      try adapter.confirm()
    }
  }
}
