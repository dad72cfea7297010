import LoRAAutograd
import LoRAModels
import LoRATensor
import Logging

// What a model, a loss or an adapter method of one's own can get wrong without any number looking
// wrong, found in the first step.

extension TrainingRun {
  /// Throws if the loss is the same at another scale: at 0 it has to be 0. Costs one forward pass of
  /// the first batch.
  func checkScale(_ batch: Data.Batch, _ value: Double) throws {
    guard value.isFinite, value != 0 else { return }
    let atZero = try withoutGradients {
      try ProductPrecision.withValue(trainer.options.precision) {
        try trainer.loss(batch, 0)
      }
    }
    guard atZero.shape.elementCount == 1 else { return }
    let rest = Double(atZero.value.item())
    if rest == value { throw TrainingError.lossIgnoresScale(value: value) }
    if rest != 0 {
      trainer.logger.warning(
        "a part of the loss is not multiplied by its scale; it counts once a batch, not once a step",
        metadata: ["part": "\(rest)"])
    }
  }

  /// Throws if the first step's gradients reach none of the parameters that are trained, and warns of
  /// those that they do not reach.
  func checkReach(of gradients: Gradients, _ batches: [[Int]]) throws {
    // Where nothing counts nothing can be learned, or said.
    guard batches.contains(where: { trainer.data.targetCount(of: $0) > 0 }) else { return }
    let missing = parameters.filter { gradients[$0.parameter] == nil }
    guard let first = missing.first else { return }
    if missing.count == parameters.count {
      throw TrainingError.lossWithoutGradient(
        isConstant: gradients.isEmpty, count: missing.count, example: first.path)
    }
    trainer.logger.warning(
      "parameters have no part in the loss of the first step, and learn nothing from it",
      metadata: ["count": "\(missing.count) of \(parameters.count)", "first": "\(first.path)"])
  }
}

extension TrainingRun {
  /// Warns at the end of a run that has changed nothing: its first batch, with the same dropout, has
  /// the loss that it had before, to the last bit. Costs the forward pass of one batch.
  ///
  /// So it is where a learning rate, an alpha or a clipping norm is so small that nothing of a step
  /// reaches the numbers that the model computes with.
  func checkLearning() throws {
    guard !trainer.isOwnLoss, let before = firstLoss else { return }
    let batches = order.batches(ofStep: 0, in: order.examples(ofEpoch: 0))
    guard let examples = batches.first, trainer.data.targetCount(of: examples) > 0 else { return }
    var after = before
    try withLoss(of: examples, scale: scale(of: batches), draw: 0) { _, loss in
      after = Double(loss.value.item())
    }
    guard after == before else { return }
    trainer.logger.warning(
      """
      nothing was learned: the first batch has the same loss as before the first step; raise the \
      learning rate, alpha or the clipping norm
      """,
      metadata: ["loss": "\(after)", "learning rate": "\(trainer.options.learningRate)"])
  }
}
