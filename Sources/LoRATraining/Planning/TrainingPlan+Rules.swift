import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

// What is recommended, and why. Sources: Schulman et al., *LoRA without regret*, 2025; the measurements in
// *Choosing settings*.

extension TrainingPlan {
  /// Chooses all settings within the limit of memory.
  mutating func choose() {
    settings.explain(
      "targets", "all linear layers: at equal size attention alone learns less")
    chooseRank()
    chooseLength()
    chooseBatch()
    chooseEpochs()
    chooseRate()
    limitMemory()
  }

  private mutating func chooseRank() {
    let count = data.targetCount
    if let rank = decided.rank {
      return settings.explain("rank", "\(rank), as given")
    }
    guard learnsTokens else {
      return settings.explain("rank", "8: labels and pairs hold few bits beside tokens")
    }
    let sufficient = Self.ranks.dropFirst().first {
      2 * trainedCount(settings.targets, rank: $0) >= count
    }
    settings.rank = sufficient ?? Self.ranks[Self.ranks.count - 1]
    let capacity = 2 * trainedCount(settings.targets, rank: settings.rank)
    settings.explain(
      "rank",
      sufficient != nil
        ? "\(settings.rank) has room for about \(capacity) tokens, at 2 bits a value and 1 a token; "
          + "\(count) are learned"
        : "\(settings.rank), the largest here, has room for about \(capacity) tokens, and \(count) are "
          + "learned: style and rules will be, not every fact; --method full has more room")
  }

  /// A few examples that are much longer than the others would make all batches' memory theirs.
  private mutating func chooseLength() {
    let most = (data.length(at: 0.99) + 63) / 64 * 64
    guard longest > 128, most <= longest / 4 * 3 else {
      return settings.explain(
        "sequence length",
        "\(longest), the longest example; half of them have at most "
          + "\(data.length(at: 0.5))")
    }
    settings.sequenceLength = most
    settings.explain(
      "sequence length",
      "\(most): one example in a hundred is longer, the longest \(longest); these are cut or split")
  }

  private mutating func chooseBatch() {
    let count = data.lengths.count
    if let size = decided.batchSize {
      settings.batchSize = size
      return settings.explain("batch", "\(size), as given")
    }
    let usual = learnsTokens ? 8 : 32
    settings.batchSize = count < 25 * usual ? usual / 2 : usual
    settings.explain(
      "batch",
      "\(settings.batchSize): LoRA is weaker with large batches"
        + (settings.batchSize < usual ? ", and few examples make few steps" : ""))
  }

  private mutating func chooseEpochs() {
    let count = data.lengths.count
    if let epochs = decided.epochs {
      settings.epochs = epochs
      return settings.explain("epochs", "\(epochs), as given")
    }
    let perEpoch = stepsPerEpoch
    let usual = count < 10_000 ? 3 : 1
    settings.epochs = min(20, max(usual, (Self.leastSteps + perEpoch - 1) / perEpoch))
    settings.explain(
      "epochs",
      settings.epochs > usual
        ? "\(settings.epochs), for at least \(Self.leastSteps) steps where there are so few examples: "
          + "watch --eval-data, and end by --patience"
        : "\(settings.epochs): \(count) examples, \(perEpoch) steps each time")
  }

  /// The fewest steps that are recommended, and those of a short run, which wants a higher rate.
  private static let (leastSteps, shortRun) = (150, 100)

  /// Ten times the rate of full training: 5e-4 at a width of 2,000, and higher for narrower models as the
  /// power 0.78 has it, which is that of Llama's family.
  private mutating func chooseRate() {
    let isShort = stepCount < Self.shortRun
    let rate = 5e-4 * pow(2000 / Double(width), 0.78) * (isShort ? 1.5 : 1)
    settings.learningRate = Self.rounded(min(rate, 5e-3))
    settings.explain(
      "learning rate",
      "\(settings.learningRate), about ten times that of full training\(isShort ? ", and half as much again for a short run" : ""), "
        + "for vectors of \(width) numbers; it is the same for all ranks, and the first setting to try "
        + "others of")
  }

  /// The nearest of 1, 1.5, 2, 3, 5 and 7 times a power of ten.
  private static func rounded(_ rate: Double) -> Double {
    let power = floor(log10(rate))
    let digits = [1, 1.5, 2, 3, 5, 7, 10]
    let fraction = rate / pow(10, power)
    let best = digits.min { abs(log($0 / fraction)) < abs(log($1 / fraction)) } ?? 1
    // Through its decimal form: 0.003 and not 0.0030000000000000001.
    return Double("\(best)e\(Int(power))") ?? rate
  }

  // MARK: Limits

  /// Makes the settings need less until they fit: first what changes no result, then what does.
  private mutating func limitMemory() {
    guard let limit = memoryLimit else { return }
    func needed(_ settings: PlannedSettings) -> Int { workload(settings).memory.total }
    let before = needed(settings)
    if before <= limit / 8 * 7 {
      return settings.explain(
        "memory", "\(mebibytes(before)) of \(mebibytes(limit)), without computing anything twice")
    }
    settings.isCheckpointed = true
    settings.explain(
      "memory", "blocks are computed twice: kept, they would need \(mebibytes(before))")
    while needed(settings) > limit, settings.batchSize > 1 {
      settings.batchSize = (settings.batchSize + 1) / 2
      settings.accumulation *= 2
      settings.explain(
        "batch", "\(settings.batchSize), \(settings.accumulation) times a step, for memory")
    }
    if needed(settings) > limit, canNarrow {
      settings.usesBFloat16 = true
      settings.concessions.append("weights are rounded to bfloat16")
    }
    let length = settings.sequenceLength
    while needed(settings) > limit, settings.sequenceLength ?? longest > 64 {
      settings.sequenceLength = max(64, (settings.sequenceLength ?? longest) / 2)
    }
    if settings.sequenceLength != length, let length = settings.sequenceLength {
      let longer = data.lengths.count { $0 > length }
      settings.concessions.append(
        "examples are at most \(length) positions long: \(longer) are longer, of \(longest) at most"
      )
    }
    if needed(settings) > limit, decided.rank == nil, settings.rank > 4 {
      settings.rank = 4
      settings.concessions.append("the rank is 4")
    }
    guard needed(settings) > limit else { return }
    problem =
      "even so \(mebibytes(needed(settings))) are needed and \(mebibytes(limit)) allowed: take a smaller "
      + "model, or one with quantized weights"
  }

  /// Keeps to the limit of time, now that a step's is known.
  mutating func limitTime(secondsPerStep: Double) {
    guard let limit = limits.seconds, secondsPerStep * Double(stepCount) > limit else { return }
    let wanted = settings.epochs
    let perEpoch = secondsPerStep * Double(stepsPerEpoch)
    if perEpoch <= limit {
      settings.epochs = max(1, Int(limit / perEpoch))
      settings.concessions.append(
        "\(settings.epochs) of \(wanted) passes over the data, for time")
    } else {
      let steps = Int(limit / secondsPerStep)
      guard steps > 0 else {
        problem = "one step alone takes longer than that: take a smaller model or shorter examples"
        return
      }
      (settings.steps, settings.epochs) = (steps, 1)
      settings.concessions.append(
        "\(steps) steps, \(Int(100 * Double(steps) / Double(stepsPerEpoch))) % of one pass over the "
          + "data, for time")
    }
    settings.explain("epochs", "what the time is enough for")
    chooseRate()
  }
}
