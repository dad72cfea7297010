public import ArgumentParser
public import LoRAKit

extension LearningRateSchedule: ExpressibleByArgument {}

/// How long, how fast and in which order to train.
struct ScheduleOptions: ParsableArguments {
  @Option(help: "The number of optimizer steps.")
  var steps: Int?
  @Option(help: "How often to go through the data. (default: 1)")
  var epochs: Int?
  @Option(help: "The number of rows in a batch.")
  var batch = 8
  @Option(
    help: ArgumentHelp(
      "The most positions of a row of text. (default: 512, or the model's limit if lower)",
      valueName: "tokens"))
  var sequenceLength: Int?
  @Option(help: "The learning rate before the schedule's factor.")
  var learningRate = 1e-3
  @Option(
    help: ArgumentHelp(
      "The learning rate of B, as a multiple of that of A (LoRA+).", valueName: "ratio"))
  var loraplusRatio: Double?
  @Option(help: "How the learning rate changes.")
  var schedule: LearningRateSchedule = .constant
  @Option(help: "The number of steps over which the learning rate rises from 0.")
  var warmup = 0
  @Option(help: "AdamW's weight decay.")
  var weightDecay = 0.0
  @Option(help: "The norm that gradients are clipped to; 0: off.")
  var clipNorm: Float = 1
  @Option(help: "The number of batches whose gradients make one step.")
  var accumulate = 1
  @Option(help: "What initialization, shuffling and dropout depend on.")
  var seed: UInt64 = 0
  @Flag(help: "Take the rows in the data's order, in every epoch.")
  var noShuffle = false

  func validate() throws {
    if steps != nil, epochs != nil { throw ValidationError("give --steps or --epochs, not both") }
    if let sequenceLength, sequenceLength < 1 {
      throw ValidationError("--sequence-length must be at least 1")
    }
  }

  /// The options for the trainer.
  var training: TrainingOptions {
    var options = TrainingOptions(
      duration: steps.map { .steps($0) } ?? .epochs(epochs ?? 1), batchSize: batch,
      accumulation: accumulate, learningRate: learningRate, schedule: schedule,
      warmupSteps: warmup, weightDecay: weightDecay, clipNorm: clipNorm, seed: seed,
      shuffles: !noShuffle)
    options.loraPlus = loraplusRatio.map { LoRAPlus(ratio: $0) }
    return options
  }
}
