import LoRATensor

/// Dropout belongs to a training step: outside of one, adapters drop nothing.
public enum Dropout {
  @TaskLocal static var step: (seed: UInt64, step: UInt64)?

  /// Runs `body` with dropout on. Draws depend on the seed, the step and the adapter's
  /// stream alone, so a recomputation within `body` draws the same.
  public static func during<R>(
    step: UInt64, seed: UInt64, _ body: () throws -> R
  ) rethrows -> R {
    try $step.withValue((seed, step), operation: body)
  }

  /// Runs `body` with dropout off, as within a step what is compared with.
  package static func suspended<R>(_ body: () throws -> R) rethrows -> R {
    try $step.withValue(nil, operation: body)
  }

  /// The generator of an adapter's draws in the step that runs now; nil outside of training.
  static func random(stream: UInt64) -> SeededRandom? {
    guard let step else { return nil }
    return SeededRandom(seed: step.seed, stream: stream, block: step.step << 40)
  }
}
