public import LoRAModels
import LoRATensor

/// A search for the settings of an adapter within a time: learning rate first, then batch, rank, layers,
/// method and dropout, by successive halving over one model in memory.
///
/// ```swift
/// var search = try AutoLoRA(model, on: train, measuredOn: validation, seconds: 600)
/// let record = try search.run { print($0.trials.count, $0.best?.score.value ?? 0) }
/// record.trials[record.winner!.trial].candidate   // lora rank 8, learning rate 0.003, batch 4
/// try model.saveAdapter("default", to: "support")
/// ```
///
/// How it goes on:
///
/// 1. The default is trained as `lora train` does if that takes at most a fifth of the time, else for a pass over
///    the data or a sixth of what the time allows: what wins has to be better than it.
/// 2. ``TuningSpace/learningRates`` are each trained on a part of that, the best two on three times as many
///    examples. Where the best is the lowest or the highest, others beyond it are tried.
/// 3. The best, with one thing changed at a time, is trained as long.
/// 4. What helped is put together, also at half the learning rate; that and the best of the others are trained
///    three times as long, the winner three times as long again.
/// 5. What is left of the time goes into longer training as long as it helps, and into further changes.
///
/// In less time the later stages are left out: with a few passes, the default is trained longer as long
/// as that helps, and then changed in one thing at a time; with less, it is trained and nothing else. Before a pass is over, candidates are compared by
/// their loss, where there is one; from then on by the metric.
///
/// Candidates train at a constant rate with a short warm-up. Before each measurement the rate decays for a
/// tenth of the steps so far (``LearningRateSchedule/stable``); the training then goes on from before the
/// decay, so that nothing is trained twice. Where it takes less time, as with small models, candidates are
/// trained side by side over the one model, each on a thread; the results are the same. The winner is what was measured best, at any length: a search
/// that trains too long gives what was there before.
///
/// The same scores lead to the same search, but how far it comes depends on the machine. It costs memory for
/// the adapters and optimizer states of the candidates that are left, at most a dozen.
///
/// Source: Li et al., *A system for massively parallel hyperparameter tuning*, 2018, for the halving;
/// Schulman et al., *LoRA without regret*, 2025, and *Learning rate matters*, arXiv 2602.04998, for the
/// order. It does not replace a test set: the best of many measurements on one set is a little too good.
public struct AutoLoRA<Data: TrainingData> {
  /// Attaches the adapter of a candidate to the model under a name.
  public typealias Attach = (_ candidate: TuningCandidate, _ name: String) throws -> Void
  /// Makes the trainer of an adapter that is attached.
  public typealias MakeTrainer = (
    _ candidate: TuningCandidate, _ name: String, _ options: TrainingOptions
  ) throws -> Trainer<Data>
  /// Measures the model with an adapter; nil for none. Called on several threads at once.
  public typealias Measure = @Sendable (_ name: String?) throws -> TuningScore

  /// What may be chosen from.
  public var space = TuningSpace()
  /// What scores are, for records and reports.
  public var metric = TuningMetric("score")
  /// The settings of training that are not searched: seed, precision, order, memory. Duration, batch size,
  /// learning rate and schedule are the candidates'.
  public var options = TrainingOptions()
  /// The seconds that the search may take, from ``run(onMeasurement:)`` to its end; ``secondsBefore`` count.
  public var seconds: Double
  /// The seconds that were spent before, as on reading the data.
  public var secondsBefore = 0.0
  /// The folder that keeps the record and the candidates' states, so that a search that was stopped goes on;
  /// nil: nothing is kept.
  public var folder: String?
  /// The name that the winner's adapter has in the end.
  public var adapterName = "default"
  /// Whether the search is to stop after the step in hand: it throws `CancellationError` then, as it does
  /// where its task is cancelled.
  /// It is asked on several threads.
  public var isCancelled: @Sendable () -> Bool = { false }

  /// How many candidates may be trained at once; for tests.
  var threads = Threads.count
  /// The seconds since any moment; for tests.
  var clock: () -> Double = {
    let start = ContinuousClock.now
    return { start.duration(to: .now) / .seconds(1) }
  }()

  let model: any Module
  let data: Data
  let attach: Attach
  let trainer: MakeTrainer
  let measure: Measure

  /// Creates a search over any task.
  ///
  /// - Parameters:
  ///   - model: the model, which keeps the adapters that it has.
  ///   - data: the examples that are learned from.
  ///   - seconds: the seconds that it may take.
  ///   - attach: attaches a candidate's adapter.
  ///   - trainer: makes the trainer of an attached adapter, with the options that it is given.
  ///   - measure: measures an adapter, on examples that are not among `data`.
  public init(
    _ model: any Module, on data: Data, seconds: Double, attach: @escaping Attach,
    trainer: @escaping MakeTrainer, measure: @escaping Measure
  ) {
    self.model = model
    self.data = data
    self.seconds = seconds
    self.attach = attach
    self.trainer = trainer
    self.measure = measure
  }

  /// Searches, and leaves the winner's adapter attached as ``adapterName``, alone of all that were tried.
  ///
  /// - Parameter onMeasurement: called after each measurement.
  /// - Returns: what was tried.
  /// - Throws: ``TrainingError`` for options or a space out of range, and for data or a model other than those
  ///   of the record in ``folder``; whatever training, measuring and attaching throw, but for losses that are
  ///   not finite, which end a candidate; `CancellationError`.
  public func run(
    onMeasurement: (TuningRecord) throws -> Void = { _ in }
  ) throws -> TuningRecord {
    var search = try TuningSearch(self)
    return try withoutActuallyEscaping(onMeasurement) { report in
      search.onMeasurement = report
      defer { search.onMeasurement = { _ in } }
      do {
        try search.run()
        try search.settle()
      } catch {
        search.detachAll()
        throw error
      }
      return search.record
    }
  }
}

extension AutoLoRA where Data == TokenDataSet {
  /// Creates a search for an adapter of a language model, by its mean loss on `validation`.
  ///
  /// Throws ``TrainingError`` for examples that the model can't read.
  public init(
    _ model: any PretrainedLanguageModel, on data: TokenDataSet,
    measuredOn validation: TokenDataSet, seconds: Double
  ) throws(TrainingError) {
    try validation.check(for: model)
    self.init(
      model, on: data, seconds: seconds,
      attach: { try model.inject($0.configuration(for: model), named: $1) },
      trainer: { try Trainer(model, training: .adapter($1), on: data, options: $2) },
      measure: { name in
        let scores = try model.withAdapters(name.map { AdapterSelection($0) } ?? [:]) {
          try model.score(validation)
        }
        let loss = scores.reduce(0) { $0 + $1.sum } / Double(validation.targetCount)
        return TuningScore(value: -loss, loss: loss, examples: scores.map { -$0.nll })
      })
    metric = TuningMetric("NLL", isLoss: true)
  }
}
