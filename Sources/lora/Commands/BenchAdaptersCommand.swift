import ArgumentParser
import LoRAJSON
import LoRAKit

/// `lora bench adapters`: what adapters of their own cost the sequences of a batch.
struct BenchAdaptersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapters",
    abstract:
      "Compare a batch whose sequences have adapters of their own with one adapter for all.",
    discussion: """
      Prefill reads a prompt for every sequence in one pass; decode makes a token for every sequence in one \
      pass. Both ways are measured in turn, several times; medians and their ratio are printed.

        lora bench adapters --model MODEL --rows 16 --adapters 16 --rank 16 --json
      """)

  @Option(help: ArgumentHelp("The model's Hugging Face directory.", valueName: "dir"))
  var model: String
  @Option(
    parsing: .unconditional, help: "The number of sequences in the batch.")
  var rows = 16
  @Option(
    parsing: .unconditional, help: "The number of adapters that the sequences take in turn.")
  var adapters = 16
  @Option(
    parsing: .unconditional, help: "The rank of each adapter.")
  var rank = 16
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The length of each sequence's prompt.", valueName: "tokens"))
  var promptTokens = 64
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The number of tokens to generate for each sequence.", valueName: "tokens"))
  var maxTokens = 8
  @Option(
    parsing: .unconditional, help: "How often each way is measured.")
  var repeats = 3
  @Option(help: "The type of the weights in memory; auto: as they are stored.")
  var dtype: WeightType = .auto
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--rows", rows, .atLeast(1))
    try demand("--adapters", adapters, .atLeast(1))
    try demand("--rank", rank, .atLeast(1))
    try demand("--prompt-tokens", promptTokens, .atLeast(1))
    try demand("--max-tokens", maxTokens, .atLeast(1))
    try demand("--repeats", repeats, .atLeast(1))
  }

  func run() throws {
    let model = try PretrainedModel(path: model, type: dtype.type).languageModel
    guard model.targetStart == nil else {
      throw CommandError(
        "\(self.model): an encoder-decoder's requests begin one by one; lora bench generate and lora bench "
          + "train measure it")
    }
    try BenchCommand.checkPositions(promptTokens, maxTokens, of: model)
    // Keys and values of every position.
    try BenchCommand.checkSize(
      "--rows, --prompt-tokens and --max-tokens", rows, promptTokens + maxTokens, model.layerCount,
      bytes: 8 * model.configuration.keyValueHeadCount * model.configuration.headSize)
    for index in 0..<adapters {
      let report = try model.inject(LoRA(rank: rank), named: "\(index)", seed: UInt64(index))
      if index == 0 {
        try BenchCommand.checkSize("--adapters", adapters, report.parameterCount, bytes: 4)
      }
    }
    try model.disableAdapters()
    let shared = Array(repeating: AdapterSelection("0"), count: rows)
    let own = (0..<rows).map { AdapterSelection("\($0 % adapters)") }
    var (one, many) = ([Times](), [Times]())
    _ = try measure(model, own)
    for _ in 0..<repeats {
      one.append(try measure(model, shared))
      many.append(try measure(model, own))
    }
    let prefill = (Self.median(one.map(\.prefill)), Self.median(many.map(\.prefill)))
    let decode = (Self.median(one.map(\.decode)), Self.median(many.map(\.decode)))
    guard output.isJSON else {
      func line(_ name: String, _ times: (Double, Double)) throws {
        try StandardOutput.line(
          "\(name): \(decimal(times.0 * 1000, 1)) ms with one adapter for all, "
            + "\(decimal(times.1 * 1000, 1)) ms with \(adapters), "
            + "ratio \(decimal(times.1 / times.0, 3))")
      }
      try line("prefill of \(rows) x \(promptTokens) tokens", prefill)
      return try line("decoding \(rows) tokens", decode)
    }
    try StandardOutput.json([
      "prefill_seconds": ["one": .number(prefill.0), "own": .number(prefill.1)],
      "decode_seconds": ["one": .number(decode.0), "own": .number(decode.1)],
      "prefill_ratio": .number(prefill.1 / prefill.0),
      "decode_ratio": .number(decode.1 / decode.0),
      "threads": JSONValue(Threads.count), "kernels": .string(Machine.kernels),
    ])
  }

  /// Seconds a pass.
  private struct Times {
    let prefill: Double
    let decode: Double
  }

  private func measure(
    _ model: any PretrainedLanguageModel, _ choices: [AdapterSelection]
  ) throws -> Times {
    let cache = KeyValueCache(
      layerCount: model.layerCount, capacity: promptTokens + maxTokens, sequenceCount: rows)
    let ids = BenchCommand.randomIDs(
      rows * (promptTokens + maxTokens), for: model, sourceLength: 0, path: "bench/rows")
    let prompt = Tensor(Array(ids.prefix(rows * promptTokens)), shape: [rows, promptTokens])
    let clock = ContinuousClock()
    return try ProductPrecision.withValue(dtype.precision(otherwise: .ofWeights)) {
      try withoutGradients {
        try model.withAdapters(perItem: choices) {
          let prefill = clock.measure { last(model, model.hiddenStates(prompt, cache: cache)) }
          var decode: [Double] = []
          for step in 0..<maxTokens {
            let start = rows * (promptTokens + step)
            let tokens = Tensor(Array(ids[start..<start + rows]), shape: [rows, 1])
            decode.append(
              clock.measure { last(model, model.hiddenStates(tokens, cache: cache)) }.seconds)
          }
          return Times(prefill: prefill.seconds, decode: Self.median(decode))
        }
      }
    }
  }

  /// Computes the logits of each sequence's last position.
  private func last(_ model: any PretrainedLanguageModel, _ hidden: Variable) {
    let positions = hidden.shape[1]
    _ = model.head(hidden.sliced(axis: 1, positions - 1..<positions))
  }

  private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
