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
  @Option(help: "The most tokens to generate.")
  var maxTokens = 128
  @Option(help: "0 takes the likeliest token; above, logits are divided by it and sampled.")
  var temperature: Float = 0
  @Option(help: "Sample among this many of the likeliest tokens; 0: all.")
  var topK = 0
  @Option(help: "Sample among the likeliest tokens that have this probability together; 1: all.")
  var topP: Float = 1
  @Option(help: "What the draws depend on.")
  var seed: UInt64 = 0
  @OptionGroup var output: OutputOptions

  func run() throws {
    let pretrained = try model.load()
    try adapters.attach(to: pretrained.model, from: model.path)
    let tokenizer = try pretrained.tokenizer()
    let ids = tokenizer.encode(prompt)
    let session = try GenerationSession(
      pretrained.model, prompt: ids,
      options: GenerationOptions(
        maximumTokens: maxTokens, temperature: temperature, topK: topK, topP: topP, seed: seed,
        stopTokens: pretrained.stopTokens))

    // The prompt goes through the decoder first: whether a token begins with a space depends on
    // what is before it.
    var decoder = tokenizer.streamingDecoder(skipSpecialTokens: true)
    for id in ids { _ = decoder.append(id) }
    var tokens: [Int] = []
    var text = ""
    func emit(_ piece: String) throws {
      text += piece
      if !output.isJSON, !piece.isEmpty { try StandardOutput.write(piece) }
    }
    let precision = model.dtype.precision(otherwise: .float32)
    while let token = ProductPrecision.withValue(precision, { session.next() }) {
      tokens.append(token)
      try emit(decoder.append(token))
    }
    try emit(decoder.finish())
    guard output.isJSON else { return try StandardOutput.write("\n") }
    let isFull =
      tokens.count >= maxTokens || ids.count + tokens.count > pretrained.model.maximumPositions
    try StandardOutput.json([
      "text": .string(text), "tokens": JSONValue(tokens), "prompt_tokens": JSONValue(ids.count),
      "stopped": .string(isFull ? "length" : "stop_token"),
    ])
  }
}
