/// The report of one optimizer step.
public struct StepReport: Sendable, Hashable, Codable {
  /// The number of this step, counted from 1.
  public let step: Int
  /// The number of steps of the whole run.
  public let stepCount: Int
  /// The mean loss over the step's targets, before the update.
  public let loss: Double
  /// The norm of all gradients before clipping.
  public let gradientNorm: Float
  /// The learning rate of this step: the option times the schedule's factor.
  public let learningRate: Double
  /// The number of tokens in the step's batches, without padding.
  public let tokens: Int
  /// Tokens per second of this step.
  public let tokensPerSecond: Double
  /// The number of epochs after this step, such as 1.25.
  public let epoch: Double
}

/// Whether training continues after a step.
public enum StepDecision: Sendable, Hashable {
  /// Continue with the next step.
  case `continue`
  /// Stop after this step and keep what was learned.
  case stop
}

/// The result of a training run. The trained values are in the model.
///
/// Results stored by older versions decode: missing keys have their defaults.
public struct TrainingResult: Sendable, Hashable, Codable {
  /// The loss of each completed step.
  public internal(set) var losses: [Double] = []
  /// Whether the task was cancelled before the end of the run.
  public internal(set) var isCancelled = false
  /// Whether the callback stopped the run.
  public internal(set) var isStopped = false
  /// The number of trainable parameters, counted per element.
  public internal(set) var trainedParameterCount = 0
  /// The number of tokens in all batches, without padding.
  public internal(set) var tokens = 0

  /// The number of completed steps.
  public var steps: Int { losses.count }
}

extension TrainingResult {
  private enum CodingKeys: String, CodingKey {
    case losses, isCancelled, isStopped, trainedParameterCount, tokens
  }

  /// Decodes a result; absent keys have their defaults.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&losses, .losses)
    try values.read(&isCancelled, .isCancelled)
    try values.read(&isStopped, .isStopped)
    try values.read(&trainedParameterCount, .trainedParameterCount)
    try values.read(&tokens, .tokens)
  }
}

extension StepReport: CustomStringConvertible {
  /// The progress of the run, in one line.
  public var description: String {
    "step \(step) of \(stepCount): loss \(rounded(loss)), gradient \(rounded(Double(gradientNorm))), "
      + "learning rate \(learningRate), \(Int(clamping: tokensPerSecond)) tokens/s"
  }
}

extension TrainingResult: CustomStringConvertible {
  /// The length of the run and how it ended, in one line.
  public var description: String {
    let end = isCancelled ? ", cancelled" : isStopped ? ", stopped" : ""
    let loss = losses.last.map { ", loss \(rounded($0))" } ?? ""
    return
      "\(trainedParameterCount) parameters trained in \(steps) step\(steps == 1 ? "" : "s")\(loss)\(end)"
  }
}

extension Int {
  /// The whole part of a number that may not be finite.
  fileprivate init(clamping number: Double) {
    self = number.isNaN ? 0 : Int(exactly: number.rounded(.down)) ?? (number < 0 ? .min : .max)
  }
}
