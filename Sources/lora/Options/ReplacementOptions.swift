import ArgumentParser
import LoRAFiles

/// Whether an existing result is replaced.
struct ReplacementOptions: ParsableArguments {
  @Flag(help: "Replace an existing result of the same kind.")
  var force = false

  /// Calls `body`, which writes results: what others have put in their places since these were checked
  /// is replaced with `--force` only.
  func writing<R>(_ body: () throws -> R) throws -> R {
    try ExistingResult.$policy.withValue(force ? .replaced : .kept) { try body() }
  }
}
