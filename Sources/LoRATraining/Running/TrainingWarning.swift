/// What a ``TrainingWatch`` sees going wrong in a run, and what to do about it.
public enum TrainingWarning: Sendable, Hashable {
  /// The smoothed loss has risen far above the lowest that it was.
  case divergingLoss(step: Int, loss: Double, lowest: Double)
  /// What is trained has hardly moved in the first `steps` steps: by `change` of its size.
  case hardlyMoving(steps: Int, change: Double)
  /// Parameters that began at zero, such as `example`, are all zero still: an adapter's B, without which
  /// it does nothing.
  case stillZero(steps: Int, count: Int, example: String)
  /// The loss of held-out data has been rising since step `lowestStep` while that of the training data
  /// falls.
  case overfitting(step: Int, loss: Double, lowest: Double, lowestStep: Int)
  /// The first loss is far above that of guessing.
  case worseThanChance(loss: Double, chance: Double)
  /// The first loss is almost zero: there is nothing to learn.
  case nothingToLearn(loss: Double)

  /// What to do about it.
  public var advice: String {
    switch self {
    case .divergingLoss:
      "lower the learning rate, by a factor of 3 to begin with, and give it a warm-up; if it comes back to "
        + "one place in the data, look at the examples there"
    case .hardlyMoving:
      "raise the learning rate: an adapter's is usually about 1e-4 to 1e-3 with AdamW; look at the clipping "
        + "norm and alpha as well"
    case .stillZero:
      "raise the learning rate, and look at whether these layers have a part in the loss"
    case .overfitting(_, _, _, let step):
      "stop at about step \(step) (early stopping keeps the best), train fewer epochs, or use more data, a "
        + "lower rank, dropout or weight decay"
    case .worseThanChance:
      "look at what the model is given: texts of a kind or a language that it has not seen, a tokenizer or a "
        + "template of another model, a base that is not the adapter's, or a loss on the wrong tokens"
    case .nothingToLearn:
      "look at which tokens are learned: a mask that leaves none that are hard, answers that stand in their "
        + "prompts, or an adapter that has learned this data before"
    }
  }
}

extension TrainingWarning: CustomStringConvertible {
  /// What was seen, and the advice.
  public var description: String {
    let finding =
      switch self {
      case .divergingLoss(let step, let loss, let lowest):
        "step \(step): the loss diverges: it is \(rounded(loss)), smoothed, and was \(rounded(lowest))"
      case .hardlyMoving(let steps, let change):
        "what is trained has hardly moved in \(steps) steps: by \(change) of its size"
      case .stillZero(let steps, let count, let example):
        "after \(steps) steps \(count) parameter\(count == 1 ? " is" : "s are") zero still, such as "
          + "'\(example)'"
      case .overfitting(let step, let loss, let lowest, let lowestStep):
        "step \(step): the held-out loss is \(rounded(loss)) and was \(rounded(lowest)) after step "
          + "\(lowestStep), while the training loss falls: the model learns its examples by heart"
      case .worseThanChance(let loss, let chance):
        "the first loss is \(rounded(loss)), far above the \(rounded(chance)) of guessing"
      case .nothingToLearn(let loss):
        "the first loss is \(rounded(loss)): there is nothing to learn"
      }
    return "\(finding); \(advice)"
  }
}
