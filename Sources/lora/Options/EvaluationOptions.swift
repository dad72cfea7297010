import ArgumentParser

/// When a training is measured on data that it does not learn from, and when that ends it.
struct EvaluationOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Measure on the --eval-data every so many steps, and at the end; --log has the numbers too.",
      valueName: "steps"))
  var evalEvery: Int?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "End the training when so many measurements in a row were not better than the best one. What is "
        + "saved is then what was best, and not the last.", valueName: "count"))
  var patience: Int?

  func validate() throws {
    try demand("--eval-every", evalEvery, .atLeast(1))
    try demand("--patience", patience, .atLeast(1))
    if patience != nil, evalEvery == nil {
      throw ValidationError("--patience makes no sense without --eval-every")
    }
  }

  /// Throws if nothing can be measured.
  func check(hasData: Bool) throws(CommandError) {
    guard evalEvery != nil, !hasData else { return }
    throw CommandError("--eval-every: there is nothing to measure on; give --eval-data")
  }
}
