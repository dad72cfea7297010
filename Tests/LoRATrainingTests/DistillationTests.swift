import Foundation
import LoRAAutograd
import LoRAFormats
import LoRAModels
import LoRATensor
import TestSupport
import Testing

@testable import LoRATraining

/// Learning from another adapter, or from the base.
@Suite struct DistillationTests {
  private func prepared() throws -> any PretrainedLanguageModel {
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    for (name, seed) in [("teacher", UInt64(3)), ("student", 4)] {
      let recipe = PEFTAdapterConfiguration(rank: 3, alpha: 6, targets: .allLinear)
      try model.inject(recipe, named: name, seed: seed)
      for (index, parameter) in model.adapterParameters(named: name).enumerated() {
        var random = SeededRandom(seed: seed, path: "\(index)")
        parameter.parameter.value = random.normal(
          parameter.parameter.shape, standardDeviation: 0.1)
      }
    }
    return model
  }

  private let data = Result {
    try TokenDataSet(sequences: [
      [3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8], [1, 6, 1, 8, 0, 3],
    ])
  }

  /// The logarithms of the probabilities of a row of logits.
  private func logProbabilities(_ logits: [Float], _ temperature: Double) -> [Double] {
    let scaled = logits.map { Double($0) / temperature }
    let greatest = scaled.max() ?? 0
    let sum = log(scaled.reduce(0) { $0 + exp($1 - greatest) }) + greatest
    return scaled.map { $0 - sum }
  }

  /// The loss, from the logits of both in double precision.
  @Test(arguments: [(Float(0.3), Float(1)), (1, 2), (0, 3)])
  func theLossIsWhatItSays(share: Float, temperature: Float) throws {
    let model = try prepared()
    let data = try data.get()
    var objective = Distillation(from: ["teacher": 0.5])
    (objective.share, objective.temperature) = (share, temperature)
    let batch = data.batch(of: [0, 1, 2])
    let loss = try model.withAdapters(["student": 1]) {
      try objective.loss(model, batch, scale: 0.5).value.item()
    }
    func logits(_ selection: AdapterSelection) throws -> [[Float]] {
      try model.withAdapters(selection) {
        let logits = withoutGradients { model(batch.tokens).value }
        let rows = logits.reshaped(to: [logits.shape.rowCount, logits.shape.innermost])
        return (0..<rows.shape[0]).map { rows[row: $0].scalars(as: Float.self) }
      }
    }
    let (own, taught) = (try logits(["student": 1]), try logits(["teacher": 0.5]))
    var (hard, soft, count) = (0.0, 0.0, 0)
    for (row, target) in batch.targets.scalars(as: Int64.self).enumerated() where target >= 0 {
      count += 1
      hard -= logProbabilities(own[row], 1)[Int(target)]
      let (p, q) = (
        logProbabilities(taught[row], Double(temperature)),
        logProbabilities(own[row], Double(temperature))
      )
      soft += zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
    }
    #expect(count == 15)
    let square = Double(temperature * temperature)
    let expected: Double = 0.5 * (Double(1 - share) * hard + Double(share) * square * soft)
    #expect(abs(Double(loss) - expected) < 1e-5 * expected, "\(loss), expected \(expected)")
    #expect(soft > 0.01)
  }

  /// With the teacher alone the student becomes like it; teacher and base stay as they are.
  @Test func theStudentBecomesLikeTheTeacher() throws {
    let model = try prepared()
    let data = try data.get()
    var objective = Distillation(from: ["teacher": 1])
    objective.share = 1
    let before = model.adapterParameters(named: "teacher").map { $0.parameter.value.scalars() }
    let base = model.namedParameters().filter { !$0.path.contains("student") }
      .map { $0.parameter.value.scalars(as: Float.self) }
    let options = TrainingOptions(duration: .steps(60), batchSize: 3, learningRate: 1e-2)
    let result = try Trainer(
      model, training: .adapter("student"), on: data, objective: objective, options: options
    ).run()
    let (first, last) = (result.losses[0], try #require(result.losses.last))
    #expect(last < first / 20, "\(first) to \(last)")
    #expect(
      model.adapterParameters(named: "teacher").map { $0.parameter.value.scalars() } == before)
    #expect(
      model.namedParameters().filter { !$0.path.contains("student") }
        .map { $0.parameter.value.scalars(as: Float.self) } == base)
  }

  /// Packed, and in parts of a step, it is the same training.
  @Test func packingAndAccumulationChangeNothing() throws {
    var data = try data.get()
    func trained(_ data: TokenDataSet, _ options: TrainingOptions) throws -> [Double] {
      try Trainer(
        try prepared(), training: .adapter("student"), on: data,
        objective: Distillation(from: [:]), options: options
      ).run().losses
    }
    var options = TrainingOptions(
      duration: .steps(4), batchSize: 3, learningRate: 1e-2, shuffles: false)
    let whole = try trained(data, options)
    (options.batchSize, options.accumulation) = (1, 3)
    let parts = try trained(data, options)
    (options.batchSize, options.accumulation) = (3, 1)
    data.isPacked = true
    let packed = try trained(data, options)
    for (loss, other) in zip(whole + whole, parts + packed) {
      let difference = abs(loss - other)
      #expect(difference < 1e-5 * abs(loss), "\(loss), \(other)")
    }
  }

  @Test func whatMakesNoSenseIsRefused() throws {
    let model = try prepared()
    func train(_ change: (inout Distillation) -> Void) throws {
      var objective = Distillation(from: ["teacher": 1])
      change(&objective)
      _ = try Trainer(
        model, training: .adapter("student"), on: try data.get(), objective: objective)
    }
    #expect(throws: TrainingError.self) { try train { $0.share = 1.5 } }
    #expect(throws: TrainingError.self) { try train { $0.temperature = 0 } }
    #expect(throws: AdapterError.self) { try train { $0.teacher = ["nobody": 1] } }
  }
}
