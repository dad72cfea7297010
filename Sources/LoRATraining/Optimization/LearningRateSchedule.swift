#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A learning rate schedule: a factor on the learning rate for each step.
///
/// Every schedule begins with a warm-up, in which the factor rises linearly from 0; the first step
/// of a warm-up therefore changes nothing. The values are those of `get_scheduler` in Hugging Face
/// transformers (`constant_with_warmup`, `linear`, `cosine`, `warmup_stable_decay`).
///
/// ```swift
/// LearningRateSchedule.linear.factor(step: 2, warmup: 4, total: 100)   // 0.5
/// LearningRateSchedule.linear.factor(step: 52, warmup: 4, total: 100)  // 0.5
/// ```
public enum LearningRateSchedule: String, Sendable, Hashable, Codable, CaseIterable {
  /// Constant at 1 after the warm-up.
  case constant
  /// Linear decay from 1 to 0 at the end of the run.
  case linear
  /// Cosine decay from 1 to 0 at the end of the run (half a wave).
  case cosine
  /// Constant at 1 until the last steps, which decay as ``StableDecay`` says. What comes before the decay
  /// depends on no end: a run can be resumed there to be longer.
  case stable = "wsd"

  /// The factor on the learning rate.
  ///
  /// - Parameters:
  ///   - step: the number of optimizer steps already made, from 0.
  ///   - warmup: the number of steps of the warm-up.
  ///   - total: the number of steps of the run.
  ///   - decay: what ``stable`` ends with.
  public func factor(
    step: Int, warmup: Int = 0, total: Int, decay: StableDecay = StableDecay()
  ) -> Double {
    if self == .stable { return decay.factor(step: step, warmup: warmup, total: total) }
    if step < warmup { return Double(step) / Double(max(1, warmup)) }
    let rest = Double(max(1, total - warmup))
    switch self {
    case .constant, .stable: return 1
    case .linear: return max(0, Double(total - step) / rest)
    case .cosine: return max(0, 0.5 * (1 + cos(Double.pi * Double(step - warmup) / rest)))
    }
  }
  /// Whether the first `step` steps are the same in a run of any length down to `total`.
  func isOpen(before step: Int, total: Int, decay: StableDecay) -> Bool {
    switch self {
    case .constant: step <= total
    case .stable: step <= total - decay.stepCount(of: total)
    case .linear, .cosine: false
    }
  }
}
