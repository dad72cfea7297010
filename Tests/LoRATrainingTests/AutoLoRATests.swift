import Foundation
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import Synchronization
import TestSupport
import Testing

@testable import LoRATraining

/// The search for an adapter's settings, on a clock that counts examples instead of seconds.
@Suite(.serialized) struct AutoLoRATests {
  /// A clock that stands still unless something is done.
  private final class Clock: Sendable {
    private let time = Mutex(0.0)
    var now: Double { time.withLock { $0 } }
    func spend(_ seconds: Double) { time.withLock { $0 += seconds } }
  }

  /// Points whose every example takes a second to train on.
  private struct TimedPoints: TrainingData {
    let points: Points
    let clock: Clock
    var exampleCount: Int { points.exampleCount }
    func batch(of examples: [Int]) -> (x: Tensor, y: Tensor) {
      clock.spend(Double(examples.count))
      return points.batch(of: examples)
    }
  }

  private static let validation = Points(count: 40, seed: 2)

  private static func loss(_ model: ToyNetwork) -> [Double] {
    withoutGradients {
      let batch = validation.batch(of: Array(0..<validation.exampleCount))
      let difference = model(Variable(batch.x)) - Variable(batch.y)
      return (difference * difference).value.scalars().map(Double.init)
    }
  }

  /// A search over a network whose default learning rate is far too low.
  private func search(
    _ model: ToyNetwork, seconds: Double, clock: Clock = Clock(), count: Int = 64
  ) -> AutoLoRA<TimedPoints> {
    let data = TimedPoints(points: Points(count: count, seed: 1), clock: clock)
    var search = AutoLoRA(
      model, on: data, seconds: seconds,
      attach: { candidate, name in
        try model.inject(
          LoRA(
            rank: candidate.rank, alpha: Float(candidate.alpha), dropout: Float(candidate.dropout)),
          named: name, seed: 7)
      },
      trainer: { candidate, name, options in
        let factor: Float = candidate.learningRate > 50 ? .infinity : 1
        return try Trainer(model, training: .adapter(name), on: data, options: options) {
          Points.loss(model, $0, $1 * factor)
        }
      },
      measure: { name in
        clock.spend(4)
        let losses = try model.withAdapters(name.map { AdapterSelection($0) } ?? [:]) {
          Self.loss(model)
        }
        let loss = losses.reduce(0, +) / Double(losses.count)
        return TuningScore(value: -loss, loss: loss, examples: losses.map { -$0 })
      })
    search.clock = { clock.now }
    // The clock counts what all threads do.
    search.threads = 1
    search.options.seed = 5
    search.space.targets = [.allLinear]
    search.space.methods = ["lora"]
    return search
  }

  private func values(_ model: ToyNetwork, _ name: String = "default") -> [[Float]] {
    model.adapterParameters(named: name).map { $0.parameter.value.scalars() }
  }

  @Test func itFindsWhatTheDefaultMisses() throws {
    let model = ToyNetwork(seed: 3)
    let base = model.namedParameters().map { $0.parameter.value.scalars() }
    var calls = 0
    let record = try search(model, seconds: 64 * 48).run { _ in calls += 1 }
    let usual = try #require(record.defaultMeasurement)
    let best = try #require(record.best)
    #expect(best.score.value > usual.score.value / 2, "half the loss of the default")
    #expect(try #require(record.difference()).lowerBound > 0)
    #expect(record.isFinished && record.elapsed <= record.limit)
    #expect(record.elapsed > record.limit / 2, "the time is used: \(record.elapsed)")
    #expect(calls > 15)
    #expect(Set(record.trials.map(\.stage)) == [.default, .rate, .variant, .combination])
    // Nothing is left but the winner, with what it was measured by, on an untouched base.
    #expect(model.adapterNames == ["default"])
    #expect(model.namedParameters().map { $0.parameter.value.scalars() } == base)
    let losses = try model.withAdapters(["default": 1]) { Self.loss(model) }
    #expect(losses.map { -$0 } == best.score.examples)
    // Of every trial the longest training took at most the time that it says.
    for trial in record.trials {
      for measurement in trial.measurements { #expect(measurement.elapsed <= record.elapsed) }
    }
  }

  /// The settings of the winner alone lead to its adapter.
  @Test func theWinnerCanBeTrainedAgain() throws {
    let model = ToyNetwork(seed: 3)
    let record = try search(model, seconds: 64 * 30).run()
    let trial = record.trials[try #require(record.winner).trial]
    #expect(trial.stage != .default && trial.measurements.count > 1)
    let again = ToyNetwork(seed: 3)
    let candidate = trial.candidate
    try again.inject(
      LoRA(rank: candidate.rank, alpha: Float(candidate.alpha), dropout: Float(candidate.dropout)),
      seed: 7)
    try Trainer(
      again, training: .adapter("default"), on: Points(count: 64, seed: 1),
      options: TrainingOptions(
        duration: .steps(try #require(record.best).steps), batchSize: candidate.batchSize,
        learningRate: candidate.learningRate, schedule: .stable,
        warmupSteps: TuningCandidate.warmupSteps, seed: 5)
    ) { Points.loss(again, $0, $1) }.run()
    #expect(values(again) == values(model))
  }

  /// Stopped within any of its trainings, it goes on and ends as a search that was not.
  @Test(arguments: [1, 4, 9, 14]) func aStoppedSearchGoesOn(measurements: Int) throws {
    let whole = ToyNetwork(seed: 3)
    let expected = try search(whole, seconds: 64 * 30).run()
    let folder = try ScratchFolder.make()
    let model = ToyNetwork(seed: 3)
    let count = Mutex(0)
    var first = search(model, seconds: 64 * 30)
    first.folder = folder
    first.isCancelled = { count.withLock { $0 } > measurements }
    #expect(throws: CancellationError.self) {
      try first.run { _ in count.withLock { $0 += 1 } }
    }
    #expect(model.adapterNames.isEmpty)
    let other = ToyNetwork(seed: 3)
    var rest = search(other, seconds: 64 * 30)
    rest.folder = folder
    let record = try rest.run()
    #expect(record.trials.map(\.candidate) == expected.trials.map(\.candidate))
    #expect(record.winner == expected.winner && record.best?.score == expected.best?.score)
    #expect(values(other) == values(whole))
    // What was needed to go on is gone; the record stays, and says the same.
    #expect(FileSystem.names(in: folder) == ["lora-tune.json"])
    #expect(try TuningFolder(path: folder).record() == record)
  }

  @Test func inLittleTimeTheDefaultIsTrained() throws {
    let model = ToyNetwork(seed: 3)
    let record = try search(model, seconds: 100).run()
    #expect(record.trials.count == 1 && record.best != nil)
    #expect(record.elapsed <= 100)
    #expect(model.adapterNames == ["default"])
  }

  @Test(arguments: [500.0, 1000, 2000]) func itKeepsToItsTime(seconds: Double) throws {
    let record = try search(ToyNetwork(seed: 3), seconds: seconds).run()
    #expect(record.elapsed <= seconds && record.best != nil)
    let usual = try #require(record.defaultMeasurement?.score)
    #expect(!usual.isBetter(than: try #require(record.best).score))
    // What the default is worth is what it is by itself, though the search trains it on.
    let trial = try #require(record.trials.first { $0.stage == .default })
    #expect(record.defaultMeasurement == trial.measurements.first)
    #expect(try #require(record.defaultMeasurement).examples <= 4 * record.exampleCount)
  }

  /// A candidate that diverges is out of the race, and says why.
  @Test func whatDivergesIsLeftOut() throws {
    let model = ToyNetwork(seed: 3)
    var search = search(model, seconds: 64 * 30)
    search.space.learningRates = [1e-3, 99]
    let record = try search.run()
    let failed = record.trials.filter { $0.failure != nil }
    #expect(!failed.isEmpty)
    #expect(failed.allSatisfy { $0.failure?.contains("nothing was updated") == true })
    #expect(record.best.map { $0.score.value.isFinite } == true)
  }

  @Test func whatMakesNoSenseIsRefused() throws {
    let model = ToyNetwork(seed: 3)
    #expect(
      throws: TrainingError.invalidOption(
        name: "the time of a search", value: "0.0", expected: "above 0 seconds")
    ) { try search(model, seconds: 0).run() }
    var falling = search(model, seconds: 100)
    falling.space.learningRates = [1e-2, 1e-3]
    #expect(
      throws: TrainingError.invalidOption(
        name: "the learning rates", value: "[0.01, 0.001]", expected: "rising numbers")
    ) { try falling.run() }
    var empty = search(model, seconds: 100)
    empty.space.ranks = []
    #expect(
      throws: TrainingError.invalidOption(
        name: "the ranks", value: "none", expected: "one at least")
    ) { try empty.run() }
  }

  @Test func anotherSearchsRecordIsRefused() throws {
    let folder = try ScratchFolder.make()
    var first = search(ToyNetwork(seed: 3), seconds: 100)
    first.folder = folder
    _ = try first.run()
    var other = search(ToyNetwork(seed: 3), seconds: 100, count: 60)
    other.folder = folder
    let error = try #require(throws: TrainingError.self) { try other.run() }
    guard case .differentRun(.data, let saved, let current) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(saved.hasPrefix("64 examples") && current.hasPrefix("60 examples"))
    try Data("{\"version\":1".utf8).write(to: URL(filePath: folder + "/lora-tune.json"))
    let damaged = try #require(throws: FormatError.self) { try first.run() }
    #expect(damaged.kind == .malformed && damaged.file == folder + "/lora-tune.json")
  }

  @Test func aLanguageModelTakesOneLine() throws {
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    let train = try TokenDataSet(
      sequences: patternSequences(24, length: 12, vocabulary: 64, seed: 1))
    let validation = try TokenDataSet(
      sequences: patternSequences(8, length: 12, vocabulary: 64, seed: 2))
    let before = try model.evaluate(on: validation).nll
    let search = try AutoLoRA(model, on: train, measuredOn: validation, seconds: 2)
    let record = try search.run()
    let best = try #require(record.best)
    let after = try model.withAdapters(["default": 1]) { try model.evaluate(on: validation).nll }
    #expect(after < before)
    #expect(abs(after + best.score.value) < 1e-5)
  }

  @Test func candidatesNameTheirLayers() throws {
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).model
    var candidate = TuningCandidate()
    candidate.targets = .attention
    #expect(
      try candidate.configuration(for: model).targets
        == .names(["q_proj", "k_proj", "v_proj", "o_proj"]))
    candidate.method = "lorna"
    let error = #expect(throws: AdapterError.self) { try candidate.configuration(for: model) }
    guard case .invalidValue("method", "lorna", _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  // MARK: - Side by side

  /// Three learning rates; with `broken`, the second has a loss that is not finite.
  private func candidates(
    _ model: ToyNetwork, broken: Bool = false
  ) throws -> TuningSearch<TimedPoints> {
    var search = try TuningSearch(search(model, seconds: 1000))
    for rate in [1e-3, broken ? 60 : 1e-2, 3e-2] {
      var candidate = TuningCandidate()
      candidate.learningRate = rate
      _ = search.add(candidate, .rate)
    }
    return search
  }

  @Test func whatIsTrainedSideBySideIsTheSame() throws {
    let model = ToyNetwork(seed: 3)
    var sideBySide = try candidates(model)
    let together = try sideBySide.trained([0, 1, 2], to: 100)
    let alone = ToyNetwork(seed: 3)
    var search = try candidates(alone)
    for index in 0..<3 {
      let expected = try search.trained([index], to: 100)[0].get()
      let outcome = try together[index].get()
      #expect(outcome.score == expected.score)
      #expect(outcome.final.step == 13 && outcome.stable.step < 13)
      #expect(
        outcome.final.values.mapValues { $0.scalars() }
          == expected.final.values.mapValues { $0.scalars() })
      #expect(
        outcome.stable.values.mapValues { $0.scalars() }
          == expected.stable.values.mapValues { $0.scalars() })
    }
  }

  @Test func aFailureEndsNothingBesideIt() throws {
    var search = try candidates(ToyNetwork(seed: 3), broken: true)
    let outcomes = try search.trained([0, 1, 2], to: 100)
    #expect(throws: TrainingError.self) { try outcomes[1].get() }
    #expect(try outcomes[0].get().final.step == 13)
    #expect(try outcomes[2].get().final.step == 13)
  }

  @Test func cancellingEndsAllOfThem() throws {
    let model = ToyNetwork(seed: 3)
    var autoLoRA = search(model, seconds: 1000)
    autoLoRA.isCancelled = { true }
    var search = try TuningSearch(autoLoRA)
    for rate in [1e-3, 1e-2] {
      var candidate = TuningCandidate()
      candidate.learningRate = rate
      _ = search.add(candidate, .rate)
    }
    for outcome in try search.trained([0, 1], to: 100) {
      #expect(throws: CancellationError.self) { try outcome.get() }
    }
  }

  private struct Broken: Error {}

  /// An error of one ends the others, and is what the search ends with.
  @Test func whatEndsOneIsSaidAndNotThatOthersWereCancelled() throws {
    let model = ToyNetwork(seed: 3)
    let usual = search(model, seconds: 1000)
    let measure = usual.measure
    let broken = AutoLoRA(
      model, on: usual.data, seconds: 1000, attach: usual.attach, trainer: usual.trainer,
      measure: { name in
        if name == "auto-lora-1" { throw Broken() }
        return try measure(name)
      })
    var search = try TuningSearch(broken)
    search.record.seconds = .init(
      measurement: 0, example: 1, sideBySide: 1, width: 2, elapsed: 0)
    for (rate, batch) in [(1e-3, 1), (1e-2, 16)] {
      var candidate = TuningCandidate()
      (candidate.learningRate, candidate.batchSize) = (rate, batch)
      _ = search.add(candidate, .rate)
    }
    #expect(throws: Broken.self) { try search.train([0, 1], to: 640) }
    #expect(search.record.trials[1].measurements.isEmpty)
  }

  @Test(arguments: [1, 3]) func nothingStaysAttachedWhereNothingCanBeTrained(threads: Int) throws {
    let model = ToyNetwork(seed: 3)
    let usual = search(model, seconds: 1000)
    let made = Mutex(0)
    var broken = AutoLoRA(
      model, on: usual.data, seconds: 1000, attach: usual.attach,
      trainer: {
        // The first measures the speed of one, the next ones that of several.
        guard
          made.withLock({
            $0 += 1; return $0
          }) < threads
        else { throw Broken() }
        return try usual.trainer($0, $1, $2)
      }, measure: usual.measure)
    broken.threads = threads
    #expect(throws: Broken.self) { try broken.run() }
    #expect(model.adapterNames.isEmpty)
  }
}
