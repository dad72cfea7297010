public import LoRATensor

/// The settings of a training run: duration, learning rate, batches, order of the examples.
///
/// Options stored by older versions decode: missing keys have their defaults.
public struct TrainingOptions: Sendable, Hashable, Codable {
  /// The duration of a run.
  public enum Duration: Sendable, Hashable, Codable {
    /// This many optimizer steps, over as many epochs as that takes.
    case steps(Int)
    /// This many passes over the data.
    case epochs(Int)
  }

  /// The duration of the run.
  public var duration: Duration
  /// The batch size: the number of examples per batch.
  public var batchSize: Int
  /// The number of batches whose gradients accumulate in one step: the same as one large batch,
  /// with less memory.
  public var accumulation: Int
  /// The peak learning rate, before the schedule's factor.
  public var learningRate: Double
  /// The learning rate schedule.
  public var schedule: LearningRateSchedule
  /// How the schedule ``LearningRateSchedule/stable`` rises and decays.
  public var stableDecay = StableDecay()
  /// The number of warm-up steps, in which the learning rate rises.
  public var warmupSteps: Int
  /// The weight decay.
  public var weightDecay: Double
  /// AdamW's exponential decay rate of the first moment (the mean of the gradients).
  public var beta1: Double
  /// AdamW's exponential decay rate of the second moment (the mean of the squared gradients).
  public var beta2: Double
  /// The term that AdamW adds to the denominator for numerical stability.
  public var epsilon: Double
  /// The norm that gradients are clipped to; 0 turns clipping off.
  public var clipNorm: Float
  /// The seed of shuffling and dropout.
  public var seed: UInt64
  /// Whether to shuffle the examples in every epoch.
  public var shuffles: Bool
  /// Whether batches are made of examples of similar length, which leaves little padding: a batch's
  /// examples come from 64 batches' worth of shuffled ones, and batches are shuffled. Changes which
  /// examples meet in a batch; needs ``shuffles``.
  public var groupsByLength = false
  /// The precision of matrix products. With bfloat16 a CPU with instructions for it trains up to
  /// twice as fast, with losses that agree to about three digits.
  public var precision: ProductPrecision
  /// NEFTune: the noise on the vectors of tokens while training, uniform within `alpha / sqrt(L d)`
  /// for a sequence of L tokens, without padding, and vectors of size d; 0 for none. The draws depend on
  /// the seed, the step and the example.
  ///
  /// Source: Jain et al., *NEFTune: noisy embeddings improve instruction finetuning*, 2023, where 5 to
  /// 15 is tried.
  public var neftuneAlpha = 0.0
  /// LoRA+: a higher learning rate for B than for A; nil trains both at the same rate.
  public var loraPlus: LoRAPlus?
  /// Whether activations are kept or recomputed. Changes memory and time, but no result.
  public var checkpointing: Checkpointing = .automatic
  /// The memory, in bytes, that automatic checkpointing and ``Trainer/checkMemory()`` count on; nil
  /// for the memory that the machine has available.
  public var memoryLimit: Int?

  /// Creates options. Values are checked when they are used.
  public init(
    duration: Duration = .epochs(1), batchSize: Int = 8, accumulation: Int = 1,
    learningRate: Double = 1e-3, schedule: LearningRateSchedule = .constant, warmupSteps: Int = 0,
    weightDecay: Double = 0, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    clipNorm: Float = 1, seed: UInt64 = 0, shuffles: Bool = true,
    precision: ProductPrecision = .ofWeights
  ) {
    self.duration = duration
    self.batchSize = batchSize
    self.accumulation = accumulation
    self.learningRate = learningRate
    self.schedule = schedule
    self.warmupSteps = warmupSteps
    self.weightDecay = weightDecay
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.clipNorm = clipNorm
    self.seed = seed
    self.shuffles = shuffles
    self.precision = precision
  }

  /// Throws ``TrainingError/invalidOption(name:value:expected:)`` for the first value out of range.
  package func check() throws(TrainingError) {
    func demand(
      _ isRight: Bool, _ name: String, _ value: some CustomStringConvertible, _ expected: String
    ) throws(TrainingError) {
      if !isRight {
        throw .invalidOption(name: name, value: value.description, expected: expected)
      }
    }
    switch duration {
    case .steps(let steps): try demand(steps >= 1, "the number of steps", steps, "at least 1")
    case .epochs(let epochs): try demand(epochs >= 1, "the number of epochs", epochs, "at least 1")
    }
    try demand(
      shuffles || !groupsByLength, "batches by length", "on",
      "off where examples are not shuffled, whose order it would change")
    try demand(batchSize >= 1, "the batch size", batchSize, "at least 1")
    try demand(accumulation >= 1, "the number of batches a step", accumulation, "at least 1")
    try demand(
      (Self.leastRate...Self.greatestRate).contains(learningRate), "the learning rate",
      learningRate,
      "above 0, at most 100, such as 1e-3 for an adapter or 1e-5 for a whole model")
    try demand(warmupSteps >= 0, "the number of warm-up steps", warmupSteps, "at least 0")
    try demand(
      weightDecay >= 0 && weightDecay.isFinite, "the weight decay", weightDecay,
      "a finite number, at least 0")
    try demand(
      learningRate * weightDecay < 1, "the weight decay times the learning rate",
      learningRate * weightDecay,
      "below 1: at 1 a step forgets everything; AdamW's usual decay is 0.01")
    try stableDecay.check()
    try demand(
      neftuneAlpha >= 0 && neftuneAlpha.isFinite, "NEFTune's alpha", neftuneAlpha,
      "a finite number, at least 0, such as 5")
    try adamW.check()
    if let loraPlus {
      try demand(
        loraPlus.ratio >= 1 && loraPlus.ratio.isFinite, "the ratio of LoRA+", loraPlus.ratio,
        "a finite number, at least 1, such as 16")
      try demand(
        learningRate * loraPlus.ratio <= Self.greatestRate, "the learning rate of B by LoRA+",
        learningRate * loraPlus.ratio, "at most 100; lower the learning rate or the ratio")
      let rate = loraPlus.embeddingLearningRate
      try demand(
        (Self.leastRate...Self.greatestRate).contains(rate), "the learning rate of embeddings",
        rate,
        "above 0, at most 100")
    }
    try demand(
      clipNorm == 0 || clipNorm >= .leastNormalMagnitude && clipNorm.isFinite, "the clipping norm",
      clipNorm,
      "a finite number, at least 0; 0 does not clip, and below \(Float.leastNormalMagnitude) nothing "
        + "is left of gradients")
    if let memoryLimit {
      try demand(memoryLimit >= 1, "the memory limit", memoryLimit, "a number of bytes, at least 1")
    }
  }

  /// The epochs of an adapter's training where nothing is said: as many as make 200 steps, four at most. One
  /// pass over a few hundred examples leaves most of what they teach.
  package func usualEpochs(ofExamples count: Int) -> Int {
    let steps = BatchOrder(
      exampleCount: max(1, count), batchSize: batchSize, accumulation: accumulation, seed: nil
    ).stepsPerEpoch
    return min(4, (200 + steps - 1) / steps)
  }

  /// The number of steps of a run with `stepsPerEpoch` steps per epoch.
  package func stepCount(stepsPerEpoch: Int) -> Int {
    switch duration {
    case .steps(let steps): steps
    case .epochs(let epochs):
      // More than anybody can count is as good as for ever.
      switch epochs.multipliedReportingOverflow(by: stepsPerEpoch) {
      case (_, true): .max
      case (let count, false): count
      }
    }
  }

  /// The optimizer of these options; a ``Trainer`` uses it unless given another.
  package var adamW: AdamW { AdamW(beta1: beta1, beta2: beta2, epsilon: epsilon) }

  // Below, a step changes no float32 number but the smallest; above, none is left.
  static let leastRate = Double(Float.leastNormalMagnitude)
  static let greatestRate = 100.0
}

// MARK: - Storing

extension TrainingOptions {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case duration, batchSize, accumulation, learningRate, schedule, warmupSteps, weightDecay
    case beta1, beta2, epsilon, clipNorm, seed, shuffles, precision, loraPlus, checkpointing
    case memoryLimit, groupsByLength, stableDecay, neftuneAlpha
  }

  /// Decodes options; absent keys have their defaults.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&duration, .duration)
    try values.read(&batchSize, .batchSize)
    try values.read(&accumulation, .accumulation)
    try values.read(&learningRate, .learningRate)
    try values.read(&schedule, .schedule)
    try values.read(&warmupSteps, .warmupSteps)
    try values.read(&weightDecay, .weightDecay)
    try values.read(&beta1, .beta1)
    try values.read(&beta2, .beta2)
    try values.read(&epsilon, .epsilon)
    try values.read(&clipNorm, .clipNorm)
    try values.read(&seed, .seed)
    try values.read(&shuffles, .shuffles)
    try values.read(&groupsByLength, .groupsByLength)
    try values.read(&stableDecay, .stableDecay)
    try values.read(&neftuneAlpha, .neftuneAlpha)
    try values.read(&precision, .precision)
    loraPlus = try values.decodeIfPresent(LoRAPlus.self, forKey: .loraPlus)
    try values.read(&checkpointing, .checkpointing)
    memoryLimit = try values.decodeIfPresent(Int.self, forKey: .memoryLimit)
  }
}

extension KeyedDecodingContainer {
  /// Reads the value of `key` into `value`, which keeps its default where the key is absent.
  func read<Value: Decodable>(_ value: inout Value, _ key: Key) throws {
    if let stored = try decodeIfPresent(Value.self, forKey: key) { value = stored }
  }
}
