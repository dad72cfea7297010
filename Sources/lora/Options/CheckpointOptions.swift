import ArgumentParser

/// Whether and where a training saves its state, to be resumed.
struct CheckpointOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Save the state of the training in the output folder every so many steps, so that it can be "
        + "resumed however it was stopped.", valueName: "steps"))
  var checkpointEvery: Int?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How many of these states to keep, the last ones. (default: 2)", valueName: "count"))
  var keep: Int?
  @Option(
    help: ArgumentHelp(
      "Go on with the training that was stopped in this output folder, as it was begun; no other "
        + "option but --json goes with it. The result has the same bits as one that was not stopped.",
      valueName: "dir"))
  var resume: String?

  func validate() throws {
    try demand("--checkpoint-every", checkpointEvery, .atLeast(1))
    try demand("--keep", keep, .atLeast(1))
    if keep != nil, checkpointEvery == nil {
      throw ValidationError("--keep makes no sense without --checkpoint-every")
    }
  }
}
