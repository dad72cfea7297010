import ArgumentParser
import LoRAKit

/// What a training is measured on that it does not learn from, when, and when that ends it.
struct EvaluationOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Keep a share of the data, as 5%, or a number of its examples, as 200, from training, and measure on "
        + "them. The hash of an example's text decides, whatever its place; examples that begin alike (with one "
        + "prompt) stay together.", valueName: "share"))
  var validation: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Another seed keeps other examples; --seed does not change them. (default: 0)",
      valueName: "number"))
  var validationSeed: UInt64?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Measure on --eval-data or --validation every so many steps, and at the end; --log has the numbers too.",
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
    if validationSeed != nil, validation == nil {
      throw ValidationError("--validation-seed makes no sense without --validation")
    }
    _ = try split()
    if patience != nil, evalEvery == nil {
      throw ValidationError("--patience makes no sense without --eval-every")
    }
  }

  /// What is kept from training.
  func split() throws -> DataSplit? {
    guard let validation else { return nil }
    do {
      return try DataSplit(validation, seed: validationSeed ?? 0)
    } catch {
      guard case .invalidOption(_, let value, let expected) = error else { throw error }
      throw ValidationError("--validation is \(value); expected \(expected)")
    }
  }

  /// Throws if nothing can be measured.
  func check(hasData: Bool) throws(CommandError) {
    guard evalEvery != nil, !hasData else { return }
    throw CommandError(
      "--eval-every: there is nothing to measure on; give --eval-data, or --validation 5%")
  }
}
