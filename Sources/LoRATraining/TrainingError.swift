/// What can be wrong with training data, options or a training run.
public enum TrainingError: Error, Sendable, Hashable {
  /// There is nothing to train on; `source` says where it was looked for.
  case emptyData(source: String)
  /// Row `row` has no token to predict: one token alone, or every target ignored.
  case noTargets(row: Int)
  /// Row `row` has as many tokens and targets as given, which must be equally many.
  case unequalLengths(row: Int, tokens: Int, targets: Int)
  /// Row `row` has `length` positions; the model, or the option, allows `limit`.
  case rowTooLong(row: Int, length: Int, limit: Int)
  /// Token or target `id` at `position` of `row` is not one of the model's `vocabulary` ids.
  case tokenOutOfVocabulary(id: Int, row: Int, position: Int, vocabulary: Int)
  /// An option is out of its range.
  case invalidOption(name: String, value: String, expected: String)
  /// A loss that is not a finite number, found before anything was updated: the parameters are
  /// those that step `step` began with. `rows` are the indexes of the batch's rows in the data.
  case nonFiniteLoss(step: Int, rows: [Int], value: Double)
  /// A gradient that is not finite, found before anything was updated.
  case nonFiniteGradient(step: Int, parameter: String)
  /// A run would need more bytes than there are; each remedy makes it fit, or all of them together
  /// where the first is not enough.
  case notEnoughMemory(needed: Int, available: Int, remedies: [MemoryRemedy])
  /// Nothing that could be trained is trainable.
  case noTrainableParameters
}

extension TrainingError: CustomStringConvertible {
  /// What is wrong, in one line.
  public var description: String {
    switch self {
    case .emptyData(let source):
      "no training data in \(source)"
    case .noTargets(let row):
      "row \(row + 1) has no token to predict"
    case .unequalLengths(let row, let tokens, let targets):
      "row \(row + 1) has \(tokens) tokens, but \(targets) targets"
    case .rowTooLong(let row, let length, let limit):
      "row \(row + 1) has \(length) positions, more than the limit of \(limit)"
    case .tokenOutOfVocabulary(let id, let row, let position, let vocabulary):
      "row \(row + 1), position \(position): token id \(id) is not in the model's vocabulary, "
        + "0 to \(vocabulary - 1)"
    case .invalidOption(let name, let value, let expected):
      "\(name) is \(value); expected \(expected)"
    case .nonFiniteLoss(let step, let rows, let value):
      "the loss of step \(step) is \(value), on the data's rows \(Self.list(rows)); "
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
      "there is no trainable parameter; an adapter to go on with is loaded with isTrainable: true"
    }
  }

  private static func list(_ rows: [Int]) -> String {
    let shown = rows.prefix(16).map { "\($0 + 1)" }.joined(separator: ", ")
    return rows.count > 16 ? "\(shown) and \(rows.count - 16) more" : shown
  }
}
