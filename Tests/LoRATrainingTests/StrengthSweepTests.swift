import Foundation
import LoRAFiles
import LoRAModels
import LoRATraining
import Testing

@Suite struct StrengthSweepTests {
  static func setting(_ strengths: [Float], _ nll: Double) -> StrengthSweep.Setting {
    .init(strengths: strengths, evaluation: Evaluation(nll: nll, tokens: 10))
  }

  @Test func gridsAreEvenAndChecked() throws {
    #expect(
      try StrengthSweep.grid(from: 0, to: 1.5, steps: 7) == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5])
    #expect(try StrengthSweep.grid(from: -1, to: 1, steps: 2) == [-1, 1])
    for (from, to, steps) in [(0.0, 1.0, 1), (1, 1, 3), (2, 1, 3), (0, .infinity, 3), (.nan, 1, 3)]
    {
      #expect(throws: TrainingError.self) {
        try StrengthSweep.grid(from: from, to: to, steps: steps)
      }
    }
    // Numbers that float32 can't hold, or can't tell apart.
    for (from, to) in [(0, 1e39), (1, 1.0000001), (0, 1e-50)] as [(Double, Double)] {
      let error = #expect(throws: TrainingError.self) {
        try StrengthSweep.grid(from: from, to: to, steps: 4)
      }
      #expect(error.map { "\($0)" }?.contains("4 different float32 numbers") == true)
    }
  }

  /// Each setting is the evaluation with those strengths; 0 is the base, and twice the same adapter
  /// is its doubled strength.
  @Test func settingsAreEvaluations() throws {
    let folder = Fixtures.path("models/llama-grouped")
    let model = try PretrainedModel(path: folder).languageModel
    let data = try TokenDataSet(
      sequences: TokenSequences(folder + "/expected.safetensors#ids").sequences)
    try model.loadAdapter(from: folder + "/adapter", named: "a", enabled: false)
    try model.loadAdapter(from: folder + "/adapter", named: "b", enabled: false)
    let base = try model.evaluate(on: data)
    var calls: [Int] = []
    let one = try model.sweepStrengths(of: ["a"], over: [0, 0.5, 1], on: data) { done, total in
      calls.append(done)
      #expect(total == 3)
    }
    #expect(calls == [1, 2, 3] && one.settings.map(\.strengths) == [[0], [0.5], [1]])
    #expect(abs((one.settings[0].evaluation?.nll ?? .nan) - base.nll) < 1e-6)
    let whole = try model.withAdapters(["a": 1]) { try model.evaluate(on: data) }
    #expect(one.settings[2].evaluation == whole && abs(whole.nll - base.nll) > 1e-3)
    #expect(one.best.evaluation.nll == one.settings.compactMap(\.evaluation?.nll).min())

    let two = try model.sweepStrengths(of: ["a", "b"], over: [0, 0.5], on: data)
    #expect(two.settings.map(\.strengths) == [[0, 0], [0, 0.5], [0.5, 0], [0.5, 0.5]])
    let losses = two.settings.compactMap(\.evaluation?.nll)
    #expect(losses[1] == losses[2] && abs(losses[3] - whole.nll) < 1e-5)
    // The model's own state is as before.
    #expect(model.enabledAdapters == [:])

    #expect(throws: AdapterError.self) {
      try model.sweepStrengths(of: ["c"], over: [0], on: data)
    }
    for names in [[], ["a", "a"], ["a", "b", "c"]] {
      #expect(throws: TrainingError.self) {
        try model.sweepStrengths(of: names, over: [0], on: data)
      }
    }
    #expect(throws: TrainingError.self) {
      try model.sweepStrengths(of: ["a"], over: [], on: data)
    }
  }

  @Test func theBestIsTheLowestNumber() throws {
    let losses = [3, .nan, 2.5, .infinity, 2.5]
    let grid: [Float] = [0, 1, 2, 3, 4]
    let sweep = StrengthSweep(
      adapters: ["a"], grid: grid, settings: zip(grid, losses).map { Self.setting([$0], $1) })
    #expect(sweep.best.strengths == [2])
  }

  @Test func strengthsThatOverflowHaveNoLoss() throws {
    let folder = Fixtures.path("models/llama-grouped")
    let model = try PretrainedModel(path: folder).languageModel
    let data = try TokenDataSet(
      sequences: TokenSequences(folder + "/expected.safetensors#ids").sequences)
    try model.loadAdapter(from: folder + "/adapter", named: "a", enabled: false)
    let sweep = try model.sweepStrengths(of: ["a"], over: [0, 1, 3e38], on: data)
    #expect(sweep.settings.map { $0.evaluation == nil } == [false, false, true])
    #expect(sweep.best.evaluation.nll.isFinite && sweep.best.strengths != [3e38])
    // What can't be encoded as JSON can't be in it.
    #expect(throws: Never.self) { _ = try JSONEncoder().encode(sweep) }

    let error = #expect(throws: NonFiniteOutput.self) {
      try model.sweepStrengths(of: ["a"], over: [2e38, 3e38], on: data)
    }
    #expect(error?.cause == .adapters && error?.layer.hasPrefix("model.layers.0.") == true)
  }
}
