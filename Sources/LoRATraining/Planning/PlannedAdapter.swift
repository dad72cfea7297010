/// An adapter that could be trained, and what it would take.
public struct PlannedAdapter: Sendable, Hashable {
  /// The layers that it is on.
  public let targets: PlannedTargets
  /// Its rank.
  public let rank: Int
  /// The number of values that are trained, those of a fresh head included.
  public let trainedCount: Int
  /// The memory at the peak, in batches as they are recommended.
  public let memory: TrainingMemory
  /// Whether that is within the limit.
  public let fits: Bool
  /// The seconds of all steps; nil until ``TrainingPlan/time(_:)`` knows how fast the machine is.
  public internal(set) var seconds: Double?

  /// How many learned tokens it has room for: two for each value.
  ///
  /// A value stores about two bits, and a token of an answer holds about one (Schulman et al., *LoRA without
  /// regret*, 2025). What is more than that is learned less and less well.
  public var tokenCapacity: Int { 2 * trainedCount }
}

/// Settings to begin a training with.
public struct PlannedSettings: Sendable, Hashable {
  /// A setting and why it has its value.
  public struct Reason: Sendable, Hashable {
    /// The setting, such as "rank".
    public let setting: String
    /// Why, in a sentence.
    public let text: String
  }

  /// The layers that the adapter is on.
  public internal(set) var targets: PlannedTargets
  /// Its rank.
  public internal(set) var rank: Int
  /// What it is scaled by, times the rank.
  public var alpha: Int { 2 * rank }
  /// The learning rate.
  public internal(set) var learningRate = 1e-3
  /// The number of passes over the data.
  public internal(set) var epochs = 1
  /// The number of steps, where there is no time for a whole pass; nil otherwise.
  public internal(set) var steps: Int?
  /// The number of examples in a batch.
  public internal(set) var batchSize: Int
  /// The number of batches in a step.
  public internal(set) var accumulation = 1
  /// The most positions of an example, where they are to be shorter than they are; nil otherwise.
  public internal(set) var sequenceLength: Int?
  /// Whether blocks are computed a second time instead of being kept.
  public internal(set) var isCheckpointed = false
  /// Whether float32 weights are narrowed to bfloat16.
  public internal(set) var usesBFloat16 = false
  /// Why they are so.
  public internal(set) var reasons: [Reason] = []
  /// What was given up for the limits.
  public internal(set) var concessions: [String] = []

  mutating func explain(_ setting: String, _ text: String) {
    reasons.removeAll { $0.setting == setting }
    reasons.append(Reason(setting: setting, text: text))
  }
}
