/// What one optimizer step did.
public struct StepReport: Sendable, Hashable, Codable {
  /// The number of steps made, this one included: the first is 1.
  public let step: Int
  /// The number of steps of the whole run.
  public let stepCount: Int
  /// The mean loss over the step's targets, before its update.
  public let loss: Double
  /// The norm of all gradients, before clipping.
  public let gradientNorm: Float
  /// The learning rate of this step: the options' one times the schedule's factor.
  public let learningRate: Double
  /// The number of tokens in the step's batches, without padding.
  public let tokens: Int
  /// Tokens divided by the step's time.
  public let tokensPerSecond: Double
  /// How often the data were seen after this step, as 1.25.
  public let epoch: Double
}

/// Whether a training goes on.
public enum StepDecision: Sendable, Hashable {
  /// It does.
  case `continue`
  /// It ends after this step, keeping what was learned.
  case stop
}

/// How a training ended. What was learned is in the model.
///
/// Stored results of older versions decode: what they lack has its default.
public struct TrainingResult: Sendable, Hashable, Codable {
  /// The loss of each step that was made.
  public internal(set) var losses: [Double] = []
  /// Whether the task was cancelled before the run's end.
  public internal(set) var isCancelled = false
  /// Whether the callback ended it.
  public internal(set) var isStopped = false
  /// The number of trainable parameters, counted element by element.
  public internal(set) var trainedParameterCount = 0
  /// The number of tokens in all batches, without padding.
  public internal(set) var tokens = 0

  /// The number of steps that were made.
  public var steps: Int { losses.count }
}

extension TrainingResult {
  private enum CodingKeys: String, CodingKey {
    case losses, isCancelled, isStopped, trainedParameterCount, tokens
  }

  /// Decodes a result; every key may be absent and then has its default.
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
  /// Where the run is and how it goes, in a line.
  public var description: String {
    "step \(step) of \(stepCount): loss \(rounded(loss)), gradient \(rounded(Double(gradientNorm))), "
      + "learning rate \(learningRate), \(Int(clamping: tokensPerSecond)) tokens/s"
  }
}

extension TrainingResult: CustomStringConvertible {
  /// How long it was, how it ended, in a line.
  public var description: String {
    let end = isCancelled ? ", cancelled" : isStopped ? ", stopped" : ""
    let loss = losses.last.map { ", loss \(rounded($0))" } ?? ""
    return
      "\(trainedParameterCount) parameters trained in \(steps) step\(steps == 1 ? "" : "s")\(loss)\(end)"
  }
}

extension Int {
  /// The whole part of a number that may be anything.
  fileprivate init(clamping number: Double) {
    self = number.isNaN ? 0 : Int(exactly: number.rounded(.down)) ?? (number < 0 ? .min : .max)
  }
}
