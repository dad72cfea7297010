public import ArgumentParser
public import LoRAKit

extension LearningRateSchedule: ExpressibleByArgument {}
extension StableDecay.Form: ExpressibleByArgument {}

/// How long, how fast and in which order to train.
struct ScheduleOptions: ParsableArguments {
  @Option(
    parsing: .unconditional, help: "The number of optimizer steps.")
  var steps: Int?
  @Option(
    parsing: .unconditional,
    help: "How many times to go through the data. (default: enough for 200 steps, 1 to 4)")
  var epochs: Int?
  @Option(
    parsing: .unconditional, help: "The number of examples in a batch.")
  var batch = 8
  @Option(
    parsing: .unconditional, help: "The learning rate, which --schedule and --warmup scale.")
  var learningRate = 1e-3
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Train B at this many times the learning rate of A, 1 or more (LoRA+). (default: both at the "
        + "same rate)", valueName: "ratio"))
  var loraplusRatio: Double?
  @Option(help: "How the learning rate changes from step to step.")
  var schedule: LearningRateSchedule = .constant
  @Option(
    parsing: .unconditional, help: "The number of steps over which the learning rate rises from 0.")
  var warmup = 0
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "With --schedule wsd, the number of steps of the decay, the last ones. (default: a tenth of all)",
      valueName: "steps"))
  var decaySteps: Int?
  @Option(help: "With --schedule wsd, the form of the decay. (default: cosine)")
  var decayForm: StableDecay.Form?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "With --schedule wsd, the part of the learning rate that warm-up begins and decay ends with. "
        + "(default: 0)", valueName: "part"))
  var leastRate: Double?
  @Option(
    parsing: .unconditional, help: "The norm to clip gradients to; 0: off.")
  var clipNorm = 1.0
  @Option(
    parsing: .unconditional,
    help: "The number of batches whose gradients are added up for one step.")
  var accumulate = 1
  @Option(
    parsing: .unconditional,
    help: "The seed of initialization, shuffling and dropout. (default: 0)",
    transform: parsedSeed)
  var seed: UInt64 = 0
  @Flag(help: "Take the examples in the order of the file, in every epoch.")
  var noShuffle = false
  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help: """
      Make batches of examples of similar length, in random order. (default: but for --task text)
      """)
  var groupByLength: Bool?
  @Flag(
    help: """
      Make one sequence of a batch's examples, which do not see each other, instead of padding them to the \
      longest: the same loss, less work. For --task text.
      """)
  var packing = false
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Noise on the vectors of tokens while training (NEFTune), uniform within alpha / sqrt(tokens x size); "
        + "5 to 15 is usual. (default: none)", valueName: "alpha"))
  var neftuneAlpha: Double?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The learning rate of a classifier's head. (default: of a new one beside an adapter ten times "
        + "--learning-rate, up to 0.01 and not below it; else --learning-rate)", valueName: "rate"))
  var headLearningRate: Double?

  func validate() throws {
    if steps != nil, epochs != nil { throw ValidationError("give --steps or --epochs, not both") }
    try demand("--steps", steps, .atLeast(1))
    try demand("--epochs", epochs, .atLeast(1))
    try demand("--batch", batch, .atLeast(1))
    try demand("--learning-rate", learningRate, .atLeast(0))
    try demand("--head-learning-rate", headLearningRate, .above(0, to: 100))
    if noShuffle, groupByLength == true {
      throw ValidationError(
        "--group-by-length changes the order of the examples, which --no-shuffle keeps; give one of them"
      )
    }
    try demand("--loraplus-ratio", loraplusRatio, .atLeast(1))
    try demand("--warmup", warmup, .atLeast(0))
    try demand("--decay-steps", decaySteps, .atLeast(0))
    try demand("--least-rate", leastRate, .from(0, to: 1))
    try demand("--neftune-alpha", neftuneAlpha, .atLeast(0))
    let decays = [
      ("--decay-steps", decaySteps != nil), ("--decay-form", decayForm != nil),
      ("--least-rate", leastRate != nil),
    ].filter(\.1).map(\.0)
    if schedule != .stable, let first = decays.first {
      throw ValidationError("\(first) makes no sense without --schedule wsd")
    }
    try demand("--clip-norm", clipNorm, .zeroOrFloat32)
    try demand("--accumulate", accumulate, .atLeast(1))
  }

  /// The options for the trainer.
  func training(weightDecay: Double) -> TrainingOptions {
    var options = TrainingOptions(
      duration: steps.map { .steps($0) } ?? .epochs(epochs ?? 1), batchSize: batch,
      accumulation: accumulate, learningRate: learningRate, schedule: schedule,
      warmupSteps: warmup, weightDecay: weightDecay, clipNorm: Float(clipNorm), seed: seed,
      shuffles: !noShuffle)
    options.stableDecay = StableDecay(
      steps: decaySteps, decay: decayForm ?? .cosine, least: leastRate ?? 0)
    options.neftuneAlpha = neftuneAlpha ?? 0
    options.loraPlus = loraplusRatio.map { LoRAPlus(ratio: $0) }
    return options
  }
}
