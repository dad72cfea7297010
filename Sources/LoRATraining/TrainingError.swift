public import LoRATensor

/// An error in training data, options or a training run.
public enum TrainingError: Error, Sendable, Hashable {
  /// There is no training data; `source` says where it was expected.
  case emptyData(source: String)
  /// A contrastive objective has one pair, or only pairs of one group.
  case nothingToTellApart(source: String)
  /// Example `example` has no token to predict: it has only one token, or every target is ignored.
  case noTargets(example: Int)
  /// Example `example` has no source, or no token `start` behind it, with which the target of an
  /// encoder-decoder begins.
  case noSource(example: Int, start: Int)
  /// Example `example` has targets within the source, which an encoder-decoder reads and does not predict.
  case learnedSource(example: Int)
  /// Example `example` has different numbers of tokens and targets.
  case unequalLengths(example: Int, tokens: Int, targets: Int)
  /// Example `example` has `length` positions; the model, or the option, allows `limit`.
  case exampleTooLong(example: Int, length: Int, limit: Int)
  /// Token or target `id` at `position` of example `example` is outside the model's vocabulary of
  /// `vocabulary` tokens.
  case tokenOutOfVocabulary(id: Int, example: Int, position: Int, vocabulary: Int)
  /// The index of a label is negative or beyond the model's labels.
  case labelOutOfRange(label: Int, example: Int, labels: Int)
  /// A ``DataSplit`` would leave nothing to learn from, or nothing to measure on: `held` of the `examples` in
  /// `source`, which have `groups` different beginnings.
  case emptySplit(source: String, examples: Int, groups: Int, held: Int)
  /// An option is out of range.
  case invalidOption(name: String, value: String, expected: String)
  /// The loss is not finite. Nothing was updated: the parameters are those at the start of step
  /// `step`. `examples` are the indexes of the batch's examples in the data.
  case nonFiniteLoss(step: Int, examples: [Int], value: Double)
  /// A gradient is not finite. Nothing was updated.
  case nonFiniteGradient(step: Int, parameter: String)
  /// A run needs more bytes than are available. The first remedy alone makes it fit, or else all of
  /// them together.
  case notEnoughMemory(needed: Int, available: Int, remedies: [MemoryRemedy])
  /// No parameter to train is trainable.
  case noTrainableParameters
  /// A custom loss is not a scalar.
  case lossNotScalar(shape: Shape)
  /// A custom loss does not depend on its `scale`.
  case lossIgnoresScale(value: Double)
  /// The loss of the first step depends on none of the `count` parameters to train, such as
  /// `example`; `isConstant` if it depends on no parameter at all.
  case lossWithoutGradient(isConstant: Bool, count: Int, example: String)
  /// Two parameters to train have the same path, which a saved state could not tell apart.
  case duplicateParameter(path: String)
  /// A saved state belongs to a different run: the part that differs, its saved value and its
  /// current value.
  case differentRun(part: RunPart, saved: String, current: String)
}

extension TrainingError: CustomStringConvertible {
  /// The description of the error, in one line.
  public var description: String {
    switch self {
    case .emptyData(let source):
      "no training data in \(source)"
    case .nothingToTellApart(let source):
      "\(source): there is one pair, or all pairs have one label, and a pair is learned by telling it "
        + "from others; add pairs of other texts"
    case .noTargets(let example):
      "example \(example + 1) has no token to predict"
    case .noSource(let example, let start):
      "example \(example + 1) has no source: this model reads one and writes a target, so the source's "
        + "ids, id \(start), and the target's are expected; give prompts and completions"
    case .learnedSource(let example):
      "example \(example + 1) has targets within its source, which this model reads and does not predict; "
        + "ignore them (\(TrainingExample.ignored))"
    case .unequalLengths(let example, let tokens, let targets):
      "example \(example + 1) has \(tokens) tokens, but \(targets) targets"
    case .exampleTooLong(let example, let length, let limit):
      "example \(example + 1) has \(length) positions, more than the limit of \(limit)"
    case .tokenOutOfVocabulary(let id, let example, let position, let vocabulary):
      "example \(example + 1), position \(position): token id \(id) is not in the model's vocabulary, "
        + "0 to \(vocabulary - 1)"
    case .labelOutOfRange(let label, let example, let labels):
      "example \(example + 1): label \(label) is not one of the model's \(labels), 0 to \(labels - 1)"
    case .emptySplit(let source, let examples, let groups, let held):
      "\(source): \(held) of its \(examples) example\(examples == 1 ? "" : "s") would be for validation, and "
        + (held == 0 ? "none is to measure on" : "none is left to learn from")
        + "; those that begin alike stay together, and \(groups) begin\(groups == 1 ? "s" : "") differently; "
        + "give more examples, or another share or number of them"
    case .invalidOption(let name, let value, let expected):
      "\(name) is \(value); expected \(expected)"
    case .nonFiniteLoss(let step, let examples, let value):
      "the loss of step \(step) is \(value.isNaN ? "not a number" : "infinite"), on the data's examples \(Self.list(examples)); "
        + "nothing was updated in this step"
    case .nonFiniteGradient(let step, let parameter):
      "the gradient of '\(parameter)' in step \(step) is not finite; "
        + "nothing was updated in this step"
    case .notEnoughMemory(let needed, let available, let remedies):
      "training needs about \(needed >> 20) MiB of memory, and \(available >> 20) MiB are available; "
        + (remedies.isEmpty
          ? "no smaller batch would fit: take a smaller model"
          : "what would fit: " + remedies.map(\.description).joined(separator: ", "))
    case .noTrainableParameters:
      "there is no trainable parameter; an adapter to go on with is loaded with isTrainable: true, and "
        + "a module of one's own lists its layers in 'children' and its parameters in 'parameters'"
    case .lossNotScalar(let shape):
      "the loss has the shape \(shape), and a loss is one number; add it up with sum(), and multiply it "
        + "with scaled(by: scale)"
    case .lossIgnoresScale(let value):
      "the loss is \(value) for every 'scale', which it must be multiplied by; return the sum of the "
        + "batch's losses scaled(by: scale): scale is 1 / (number of targets in the step), so that "
        + "batches of one step add up to their mean"
    case .lossWithoutGradient(let isConstant, let count, let example):
      (isConstant
        ? "the loss depends on no parameter: was it computed without gradients, from a tensor instead of "
          + "variables, or by layers that are frozen?"
        : "the loss depends on none of the \(count) parameters that are to be trained, as '\(example)': "
          + "does the forward pass call the layers that 'children' lists, and does each read its "
          + "parameters through its slot?")
    case .duplicateParameter(let path):
      "two trained parameters have the path '\(path)'; give each a path of its own"
    case .differentRun(let part, let saved, let current):
      "the saved run is of \(part): it was saved with \(saved), and is resumed with \(current); "
        + "resume it with what it was begun with, or begin a new run"
    }
  }

  private static func list(_ examples: [Int]) -> String {
    let shown = examples.prefix(16).map { "\($0 + 1)" }.joined(separator: ", ")
    return examples.count > 16 ? "\(shown) and \(examples.count - 16) more" : shown
  }
}
