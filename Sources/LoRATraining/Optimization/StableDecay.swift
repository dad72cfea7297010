#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How ``LearningRateSchedule/stable`` rises and decays: the arguments of `get_wsd_schedule` in Hugging
/// Face transformers.
///
/// ```swift
/// var options = TrainingOptions(schedule: .stable, warmupSteps: 50)
/// options.stableDecay = StableDecay(steps: 200, decay: .root, least: 0.1)
/// ```
///
/// Source: Hu et al., *MiniCPM: unveiling the potential of small language models*, 2024; for the decay by
/// 1 - sqrt(t) Hägele et al., *Scaling laws and compute-optimal training beyond fixed training
/// durations*, 2024.
public struct StableDecay: Sendable, Hashable, Codable {
  /// The form of a rise or a decay.
  public enum Form: String, Sendable, Hashable, Codable, CaseIterable {
    /// A straight line.
    case linear
    /// Half a wave of a cosine; of a decay as many as ``StableDecay/cycles`` says.
    case cosine
    /// `1 - sqrt(t)` as a decay, `1 - sqrt(1 - t)` as a rise.
    case root = "1-sqrt"
  }

  /// The number of steps of the decay, the last of the run; nil: a tenth of the run.
  public var steps: Int?
  /// The form of the warm-up.
  public var warmup: Form
  /// The form of the decay.
  public var decay: Form
  /// The factor that the warm-up begins with and the decay ends with, from 0 to 1.
  public var least: Double
  /// The number of waves of a decay of the form ``Form/cosine``; 0.5 ends at the lowest point.
  public var cycles: Double

  /// Creates the option. Values are checked when it is used.
  public init(
    steps: Int? = nil, warmup: Form = .linear, decay: Form = .cosine, least: Double = 0,
    cycles: Double = 0.5
  ) {
    self.steps = steps
    self.warmup = warmup
    self.decay = decay
    self.least = least
    self.cycles = cycles
  }

  /// The number of steps of the decay in a run of `total` steps.
  func stepCount(of total: Int) -> Int { steps ?? max(1, total / 10) }

  /// The factor on the learning rate after `step` steps of a run of `total`.
  func factor(step: Int, warmup count: Int, total: Int) -> Double {
    func above(_ factor: Double) -> Double { max(0, factor * (1 - least) + least) }
    if step < count {
      let progress = Double(step) / Double(max(1, count))
      switch warmup {
      case .linear: return above(progress)
      case .cosine: return above(0.5 * (1 - cos(Double.pi * progress)))
      case .root: return above(1 - (1 - progress).squareRoot())
      }
    }
    let decaySteps = stepCount(of: total)
    let start = total - decaySteps
    if step < start { return 1 }
    guard step < total else { return least }
    let progress = Double(step - start) / Double(max(1, decaySteps))
    switch decay {
    case .linear: return above(1 - progress)
    case .cosine: return above(0.5 * (1 + cos(Double.pi * cycles * 2 * progress)))
    case .root: return above(1 - progress.squareRoot())
    }
  }

  /// Throws ``TrainingError/invalidOption(name:value:expected:)`` for the first value out of range.
  func check() throws(TrainingError) {
    if let steps {
      guard steps >= 0 else {
        throw .invalidOption(
          name: "the number of decay steps", value: "\(steps)", expected: "at least 0")
      }
    }
    try demand((0...1).contains(least), "the least factor of the schedule", least, "0 to 1")
    try demand(
      cycles >= 0 && cycles.isFinite, "the number of waves of the decay", cycles,
      "a finite number, at least 0")
  }

  private enum CodingKeys: String, CodingKey { case steps, warmup, decay, least, cycles }

  /// Decodes the option; absent keys have their defaults.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    steps = try values.decodeIfPresent(Int.self, forKey: .steps)
    try values.read(&warmup, .warmup)
    try values.read(&decay, .decay)
    try values.read(&least, .least)
    try values.read(&cycles, .cycles)
  }
}
