import ArgumentParser
import LoRAKit

/// How tokens are chosen, and when a text ends.
struct SamplingOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: "The most tokens to generate.")
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
    parsing: .unconditional,
    help: "Sample from tokens at least this share as likely as the likeliest; 0: from all.")
  var minP: Float = 0
  @Option(
    parsing: .unconditional,
    help: "Sample from the most typical tokens that together have this probability; 1: from all.")
  var typicalP: Float = 1
  @Option(
    parsing: .unconditional,
    help: "Divide logits of tokens that the text has by it (multiply negative ones); 1: don't.")
  var repetitionPenalty: Float = 1
  @Option(
    parsing: .unconditional,
    help: "Subtract it from a token's logit for each time that the output has it.")
  var frequencyPenalty: Float = 0
  @Option(
    parsing: .unconditional, help: "Subtract it from the logit of every token that the output has.")
  var presencePenalty: Float = 0
  @Option(
    parsing: .unconditionalSingleValue,
    help: .init("Add a number to a token's logit; repeats.", valueName: "id:number"),
    transform: LogitBias.init)
  var logitBias: [LogitBias] = []
  @Option(
    parsing: .unconditionalSingleValue,
    help: "A text that ends the output, and is no part of it; repeats.")
  var stop: [String] = []
  @Option(
    parsing: .unconditional,
    help: "With --json: each token's log-probability, and those of so many of the likeliest.")
  var logprobs: Int?
  @Option(
    parsing: .unconditional,
    help: "Guess so many tokens from earlier text: the same output, sooner where it repeats.")
  var guesses = 0
  @Option(
    parsing: .unconditional, help: "The seed of sampling. (default: 0)", transform: parsedSeed)
  var seed: UInt64 = 0

  func validate() throws {
    try demand("--max-tokens", maxTokens, .atLeast(0))
    try demand("--temperature", temperature, .atLeast(0))
    try demand("--top-k", topK, .atLeast(0))
    try demand("--top-p", topP, .above(0, to: 1))
    try demand("--min-p", minP, .from(0, to: 1))
    try demand("--typical-p", typicalP, .above(0, to: 1))
    try demand("--repetition-penalty", repetitionPenalty, .above(0))
    try demand("--frequency-penalty", frequencyPenalty, .any)
    try demand("--presence-penalty", presencePenalty, .any)
    try demand("--logprobs", logprobs, .atLeast(0))
    try demand("--guesses", guesses, .atLeast(0))
    guard !stop.contains("") else {
      throw ValidationError("--stop is an empty text; leave it out, or give what ends the output")
    }
  }

  /// The options of a generation that also ends at `stopTokens`.
  func options(stopTokens: Set<Int>) -> GenerationOptions {
    var options = GenerationOptions(
      maximumTokens: maxTokens, temperature: temperature, topK: topK, topP: topP, seed: seed,
      stopTokens: stopTokens)
    options.minP = minP
    options.typicalP = typicalP
    options.repetitionPenalty = repetitionPenalty
    options.frequencyPenalty = frequencyPenalty
    options.presencePenalty = presencePenalty
    options.logitBias = Dictionary(
      logitBias.map { ($0.token, $0.bias) }, uniquingKeysWith: { $0 + $1 })
    options.logProbabilities = logprobs
    options.guesses = guesses
    return options
  }
}

/// A token and what is added to its logit: `ID:NUMBER`.
struct LogitBias {
  let token: Int
  let bias: Float

  init(_ argument: String) throws(ValidationError) {
    let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let token = Int(parts[0]), token >= 0, let bias = Float(parts[1]),
      bias.isFinite
    else {
      throw ValidationError("'\(argument)' must be a token's id and a number, as 50256:-100")
    }
    self.token = token
    self.bias = bias
  }
}
