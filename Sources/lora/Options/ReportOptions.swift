import ArgumentParser
import LoRAKit

/// What shows how a training went.
struct ReportOptions: ParsableArguments {
  @Flag(
    help: ArgumentHelp(
      "Write no report. A training ends with a page, report.html in the output folder: curves, losses of "
        + "single examples, data, settings and machine."))
  var noReport = false
  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "A prompt that the model continues before the training, at each evaluation or every --sample-every "
        + "steps, and at the end; the continuations are in the report and the log. May be repeated.",
      valueName: "text"))
  var samplePrompt: [String] = []
  @Option(
    help: ArgumentHelp(
      "A file of such prompts: records with prompt or messages (.jsonl, .json), or lines (.txt).",
      valueName: "file"))
  var samples: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Continue the prompts every so many steps. (default: as --eval-every)", valueName: "steps"))
  var sampleEvery: Int?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The most tokens of a continuation.", valueName: "tokens"))
  var sampleTokens = 64

  /// The first option of prompts that is given; nil if none is.
  var givenSamples: String? {
    if !samplePrompt.isEmpty { return "--sample-prompt" }
    return samples == nil ? nil : "--samples"
  }

  func validate() throws {
    try demand("--sample-every", sampleEvery, .atLeast(1))
    try demand("--sample-tokens", sampleTokens, .atLeast(1))
    if sampleEvery != nil, givenSamples == nil {
      throw ValidationError("--sample-every makes no sense without --sample-prompt or --samples")
    }
  }

  /// Adds what is given to `prompts`.
  func add(to prompts: inout SamplePrompts, fields: FieldMap) throws {
    for text in samplePrompt { try prompts.add(text) }
    if let samples { try prompts.add(contentsOf: samples, fields: fields) }
    if let index = prompts.prompts.firstIndex(where: \.ids.isEmpty) {
      throw CommandError(
        "prompt \(index + 1) of the samples has no token, and this model's tokenizer puts none before "
          + "it; give a text to continue")
    }
  }
}
