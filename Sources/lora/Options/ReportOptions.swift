import ArgumentParser
import LoRAFiles
import LoRAKit

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

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

  @Option(
    help: ArgumentHelp(
      "Write an event file for TensorBoard into this folder: losses, measurements, learning rates, norms of "
        + "gradients, speeds and samples.", valueName: "dir"))
  var tensorboard: String?

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

  /// Checks that TensorBoard's folder may be written; files of another training are replaced with `force` alone.
  func check(_ destinations: inout Destinations, force: Bool) throws {
    guard let tensorboard else { return }
    try destinations.check(tensorboard, .collection, option: "--tensorboard")
    guard force || !FileSystem.names(in: tensorboard).contains(where: TensorBoardLog.owns) else {
      throw CommandError(
        "\(tensorboard): it holds the event files of a training already; give another --tensorboard, or "
          + "--force to replace them")
    }
  }

  /// Begins TensorBoard's file, if there is to be one: of a run that goes on after `step` beside the earlier
  /// ones, of a new one in their place.
  func board(continuing step: Int?) throws -> TensorBoardLog? {
    guard let tensorboard else { return nil }
    if step == nil {
      for name in FileSystem.names(in: tensorboard) where TensorBoardLog.owns(name) {
        unlink(FileSystem.join(tensorboard, name))
      }
    }
    return try TensorBoardLog(folder: tensorboard, continuingAfter: step ?? 0)
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
