public import LoRAModels
import LoRATensor

/// The loss over a grid of strengths of one or two adapters, to find the best strengths.
///
/// ```swift
/// let sweep = try model.sweepStrengths(
///   of: ["support"], over: StrengthSweep.grid(from: 0, to: 1.5, steps: 7), on: evaluationData)
/// sweep.best.strengths  // [0.75]
/// ```
public struct StrengthSweep: Sendable, Hashable, Codable {
  /// One choice of strengths and its loss.
  public struct Setting: Sendable, Hashable, Codable {
    /// The strength of each adapter, in the order of the sweep's names.
    public let strengths: [Float]
    /// The loss at these strengths; nil if the model's output is not finite.
    public let evaluation: Evaluation?

    /// Creates a setting; an evaluation whose loss is not finite counts as nil.
    package init(strengths: [Float], evaluation: Evaluation?) {
      self.strengths = strengths
      self.evaluation = evaluation.flatMap { $0.nll.isFinite ? $0 : nil }
    }
  }

  /// The names of the adapters, one or two.
  public let adapters: [String]
  /// The strengths on the grid, ascending.
  public let grid: [Float]
  /// Every setting; with two adapters the second one's strength changes fastest.
  public let settings: [Setting]
  /// The setting with the lowest loss, and that loss; the first if several are equal.
  public let best: Best

  /// A setting with a finite loss.
  public struct Best: Sendable, Hashable, Codable {
    /// The strength of each adapter, in the order of the sweep's names.
    public let strengths: [Float]
    /// The loss at these strengths.
    public let evaluation: Evaluation
  }

  /// Whether `setting` is the best one.
  public func isBest(_ setting: Setting) -> Bool {
    setting.strengths == best.strengths && setting.evaluation == best.evaluation
  }

  /// Creates a sweep from its settings. Traps unless there is one for every choice and at least one
  /// has a finite loss.
  package init(adapters: [String], grid: [Float], settings: [Setting]) {
    let count = adapters.indices.reduce(1) { product, _ in product * grid.count }
    require(
      settings.count == count && !settings.isEmpty,
      "\(settings.count) settings of \(adapters.count) adapters on a grid of \(grid.count)")
    let finite = settings.compactMap { setting in
      setting.evaluation.map { Best(strengths: setting.strengths, evaluation: $0) }
    }
    guard let first = finite.first else {
      preconditionFailure("no setting of a sweep has a finite loss")
    }
    self.adapters = adapters
    self.grid = grid
    self.settings = settings
    best = finite.dropFirst().reduce(first) { $1.evaluation.nll < $0.evaluation.nll ? $1 : $0 }
  }

  /// `steps` evenly spaced strengths from `first` to `last`. Throws ``TrainingError`` unless there
  /// are at least two, `first` is below `last`, and all differ as float32 numbers.
  public static func grid(
    from first: Double, to last: Double, steps: Int
  ) throws(TrainingError) -> [Float] {
    guard (2...1000).contains(steps) else {
      throw .invalidOption(
        name: "the number of strengths", value: "\(steps)", expected: "2 to 1000")
    }
    guard first < last, first.isFinite, last.isFinite else {
      throw .invalidOption(
        name: "the range of strengths", value: "\(first) to \(last)", expected: "a rising one")
    }
    let grid = (0..<steps).map { step in
      Float(first + (last - first) * Double(step) / Double(steps - 1))
    }
    guard grid.allSatisfy(\.isFinite), zip(grid, grid.dropFirst()).allSatisfy({ $0 < $1 }) else {
      throw .invalidOption(
        name: "the range of strengths", value: "\(first) to \(last)",
        expected: "\(steps) different float32 numbers")
    }
    return grid
  }
}

extension LanguageModel {
  /// Evaluates the model with every combination of `strengths` for one or two attached adapters,
  /// and no other adapters.
  ///
  /// - Parameters:
  ///   - adapters: the names of attached adapters.
  ///   - strengths: the strengths to try; see ``StrengthSweep/grid(from:to:steps:)``.
  ///   - data: the evaluation data.
  ///   - batchSize: the number of examples per batch.
  ///   - progress: called after each evaluation with the number done and the total number.
  ///
  /// A setting under which the model overflows is reported without a loss; `NonFiniteOutput` is
  /// thrown if all settings overflow. Throws as ``evaluate(on:batchSize:)`` does, `AdapterError`
  /// for names that are not attached, and ``TrainingError`` for an empty grid or any other number
  /// of adapters than one or two.
  public func sweepStrengths(
    of adapters: [String], over strengths: [Float], on data: TokenDataSet, batchSize: Int = 8,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> StrengthSweep {
    guard (1...2).contains(adapters.count), Set(adapters).count == adapters.count else {
      throw TrainingError.invalidOption(
        name: "the number of adapters", value: "\(adapters.count)",
        expected: "one, or two different ones")
    }
    guard !strengths.isEmpty else {
      throw TrainingError.invalidOption(
        name: "the number of strengths", value: "0", expected: "at least 1")
    }
    let choices =
      adapters.count == 1
      ? strengths.map { [$0] }
      : strengths.flatMap { first in strengths.map { [first, $0] } }
    var settings: [StrengthSweep.Setting] = []
    var failure: NonFiniteOutput?
    for choice in choices {
      let selection = AdapterSelection(Dictionary(uniqueKeysWithValues: zip(adapters, choice)))
      var evaluation: Evaluation?
      do {
        evaluation = try withAdapters(selection) { try evaluate(on: data, batchSize: batchSize) }
      } catch let error as NonFiniteOutput {
        failure = failure ?? error
      }
      settings.append(.init(strengths: choice, evaluation: evaluation))
      progress(settings.count, choices.count)
    }
    if let failure, settings.allSatisfy({ $0.evaluation == nil }) { throw failure }
    return StrengthSweep(adapters: adapters, grid: strengths, settings: settings)
  }
}
