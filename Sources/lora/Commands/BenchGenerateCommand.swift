import ArgumentParser
import LoRAJSON
import LoRAKit

/// `lora bench generate`: the speed of reading a prompt and of generating.
struct BenchGenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Measure greedy generation after a prompt of random tokens.",
    discussion: """
      Prefill reads the prompt and computes its last position's logits; decode makes one token \
      after another. The second of two runs is reported.

        lora bench generate --model MODEL --prompt-tokens 256 --max-tokens 48 --json
      """)

  @Option(help: ArgumentHelp("The model's Hugging Face directory.", valueName: "dir"))
  var model: String
  @Option(
    parsing: .unconditional, help: ArgumentHelp("The length of the prompt.", valueName: "tokens"))
  var promptTokens = 256
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The number of tokens to generate.", valueName: "tokens"))
  var maxTokens = 48
  @Option(help: "The type of the weights in memory; auto: as they are stored.")
  var dtype: WeightType = .auto
  @Option(
    parsing: .unconditional,
    help: "Attach a fresh adapter of this rank to all linear layers; 0: none.")
  var rank = 0
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--prompt-tokens", promptTokens, .atLeast(1))
    try demand("--max-tokens", maxTokens, .atLeast(1))
    try demand("--rank", rank, .atLeast(0))
  }

  func run() throws {
    let model = try PretrainedModel(path: model, type: dtype.type).languageModel
    try BenchCommand.checkPositions(promptTokens, maxTokens, of: model)
    if rank > 0 { StandardError.warnings(try model.inject(LoRA(rank: rank)).warnings) }
    let prompt = BenchCommand.randomIDs(
      promptTokens, for: model, sourceLength: promptTokens - 1, path: "bench/prompt")
    var (prefill, decode) = (0.0, 0.0)
    let clock = ContinuousClock()
    let precision = dtype.precision(otherwise: .ofWeights)
    for _ in 0..<2 {
      let session = try GenerationSession(
        model, prompt: prompt, options: GenerationOptions(maximumTokens: maxTokens + 1))
      try ProductPrecision.withValue(precision) {
        prefill = try clock.measure { _ = try session.next() }.seconds / Double(promptTokens)
        decode =
          try clock.measure { while try session.next() != nil {} }.seconds / Double(maxTokens)
      }
    }
    let memory = Machine.peakResidentBytes
    guard output.isJSON else {
      return try StandardOutput.line(
        "prefill \(decimal(1 / prefill, 1)) tokens/s, decode \(decimal(1 / decode, 2)) tokens/s, "
          + "peak memory \(grouped(memory >> 20)) MiB, \(Threads.count) threads, "
          + Machine.kernels)
    }
    try StandardOutput.json([
      "prefill_tokens_per_second": .number(1 / prefill),
      "decode_tokens_per_second": .number(1 / decode), "peak_rss_bytes": JSONValue(memory),
      "threads": JSONValue(Threads.count), "kernels": .string(Machine.kernels),
    ])
  }
}
