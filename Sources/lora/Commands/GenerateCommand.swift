import ArgumentParser
import LoRAJSON
import LoRAKit

/// `lora generate`: text that continues a prompt.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Continue a prompt, greedily or sampled.",
    discussion: """
      Prints the continuation as it is computed; it ends at one of the model's stop tokens, at \
      --max-tokens, or at the model's last position. The same seed gives the same text.

        lora generate --model MODEL --prompt 'Once upon a time' --max-tokens 64
        lora generate --model MODEL --adapter polite:0.5 --prompt 'Hello'
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapters: AdapterOptions
  @Option(parsing: .unconditional, help: "The text to continue.")
  var prompt: String
  @Option(
    parsing: .unconditional, help: "The most tokens to generate.")
  var maxTokens = 128
  @Option(
    parsing: .unconditional,
    help: "0: always the likeliest token; above 0: sample from logits divided by it.")
  var temperature: Float = 0
  @Option(
    parsing: .unconditional, help: "Sample from this many of the likeliest tokens; 0: from all.")
  var topK = 0
  @Option(
    parsing: .unconditional,
    help: "Sample from the likeliest tokens that together have this probability; 1: from all.")
  var topP: Float = 1
  @Option(
    parsing: .unconditional, help: "The seed of sampling. (default: 0)", transform: parsedSeed)
  var seed: UInt64 = 0
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--max-tokens", maxTokens, .atLeast(0))
    try demand("--temperature", temperature, .atLeast(0))
    try demand("--top-k", topK, .atLeast(0))
    try demand("--top-p", topP, .above(0, to: 1))
  }

  func run() throws {
    let pretrained = try model.load()
    let base = try pretrained.languageModel
    try adapters.attach(to: base, from: model.path)
    let tokenizer = try pretrained.tokenizer()
    let ids = tokenizer.encodePrompt(prompt)
    guard !ids.isEmpty else {
      throw CommandError(
        "--prompt '\(prompt)': it has no token, and this model's tokenizer puts none before it; give a "
          + "text to continue")
    }
    let session = try GenerationSession(
      base, prompt: ids,
      options: GenerationOptions(
        maximumTokens: maxTokens, temperature: temperature, topK: topK, topP: topP, seed: seed,
        stopTokens: pretrained.stopTokens(with: tokenizer)))

    var decoder = tokenizer.streamingDecoder(after: ids)
    var tokens: [Int] = []
    var text = ""
    func emit(_ piece: String) throws {
      text += piece
      if !output.isJSON, !piece.isEmpty { try StandardOutput.generated(piece) }
    }
    let precision = model.dtype.precision(otherwise: .float32)
    while let token = try ProductPrecision.withValue(precision, { try session.next() }) {
      tokens.append(token)
      try emit(decoder.append(token))
    }
    try emit(decoder.finish())
    guard output.isJSON else { return try StandardOutput.line() }
    let isFull =
      tokens.count >= maxTokens || ids.count + tokens.count > base.maximumPositions
    try StandardOutput.json([
      "text": .string(text), "tokens": JSONValue(tokens), "prompt_tokens": JSONValue(ids.count),
      "stopped": .string(isFull ? "length" : "stop_token"),
    ])
  }
}
