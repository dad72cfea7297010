public import ArgumentParser
public import LoRAKit

extension LearningRateSchedule: ExpressibleByArgument {}

/// How long, how fast and in which order to train.
struct ScheduleOptions: ParsableArguments {
  @Option(
    parsing: .unconditional, help: "The number of optimizer steps.")
  var steps: Int?
  @Option(
    parsing: .unconditional, help: "How often to go through the data. (default: 1)")
  var epochs: Int?
  @Option(
    parsing: .unconditional, help: "The number of rows in a batch.")
  var batch = 8
  @Option(
    parsing: .unconditional, help: "The learning rate before the schedule's factor.")
  var learningRate = 1e-3
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The learning rate of B, as a multiple of that of A (LoRA+).", valueName: "ratio"))
  var loraplusRatio: Double?
  @Option(help: "How the learning rate changes.")
  var schedule: LearningRateSchedule = .constant
  @Option(
    parsing: .unconditional, help: "The number of steps over which the learning rate rises from 0.")
  var warmup = 0
  @Option(
    parsing: .unconditional, help: "AdamW's weight decay.")
  var weightDecay = 0.0
  @Option(
    parsing: .unconditional, help: "The norm that gradients are clipped to; 0: off.")
  var clipNorm = 1.0
  @Option(
    parsing: .unconditional, help: "The number of batches whose gradients make one step.")
  var accumulate = 1
  @Option(
    parsing: .unconditional,
    help: "What initialization, shuffling and dropout depend on. (default: 0)",
    transform: parsedSeed)
  var seed: UInt64 = 0
  @Flag(help: "Take the rows in the data's order, in every epoch.")
  var noShuffle = false

  func validate() throws {
    if steps != nil, epochs != nil { throw ValidationError("give --steps or --epochs, not both") }
    try demand("--steps", steps, .atLeast(1))
    try demand("--epochs", epochs, .atLeast(1))
    try demand("--batch", batch, .atLeast(1))
    try demand("--learning-rate", learningRate, .atLeast(0))
    try demand("--loraplus-ratio", loraplusRatio, .atLeast(1))
    try demand("--warmup", warmup, .atLeast(0))
    try demand("--weight-decay", weightDecay, .atLeast(0))
    try demand("--clip-norm", clipNorm, .zeroOrFloat32)
    try demand("--accumulate", accumulate, .atLeast(1))
  }

  /// The options for the trainer.
  var training: TrainingOptions {
    var options = TrainingOptions(
      duration: steps.map { .steps($0) } ?? .epochs(epochs ?? 1), batchSize: batch,
      accumulation: accumulate, learningRate: learningRate, schedule: schedule,
      warmupSteps: warmup, weightDecay: weightDecay, clipNorm: Float(clipNorm), seed: seed,
      shuffles: !noShuffle)
    options.loraPlus = loraplusRatio.map { LoRAPlus(ratio: $0) }
    return options
  }
}
