import Foundation
import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor
import LoRATraining
import Testing

/// Whole trainings, step by step as PyTorch and PEFT made them; see Tests/Reference/training.py.
@Suite struct ReferenceTrainingTests {
  struct Run: Decodable {
    let model: String
    let steps: Int
    let batch: Int
    let accumulate: Int
    let learning_rate: Double
    let betas: [Double]
    let eps: Double
    let weight_decay: Double
    let clip_norm: Float
    let schedule: LearningRateSchedule
    let warmup: Int
    let r: Int?
    let lora_alpha: Float?

    var options: TrainingOptions {
      TrainingOptions(
        duration: .steps(steps), batchSize: batch, accumulation: accumulate,
        learningRate: learning_rate, schedule: schedule, warmupSteps: warmup,
        weightDecay: weight_decay, beta1: betas[0], beta2: betas[1], epsilon: eps,
        clipNorm: clip_norm, shuffles: false)
    }
  }

  private func follow(
    _ reference: ReferenceFile, _ run: Run, _ model: any PretrainedLanguageModel,
    _ target: TrainingTarget
  ) throws {
    let data = try TokenDataSet(sequences: reference.tensor("ids"))
    var reports: [StepReport] = []
    try Trainer(model, training: target, on: data, options: run.options).run {
      reports.append($0)
      return .continue
    }
    #expect(
      largestRelativeDifference(reports.map(\.loss), try reference.numbers("losses")) < 1e-5)
    #expect(
      largestRelativeDifference(
        reports.map { Double($0.gradientNorm) }, try reference.numbers("gradient_norms")) < 1e-4)
    for (report, expected) in zip(reports, try reference.numbers("learning_rates")) {
      #expect(abs(report.learningRate - expected) <= 1e-6 * expected)
    }
    let ids = try SafetensorsIDs(model: run.model).ids
    let length = ids.shape[1]
    let losses = try model.tokenLosses(
      tokens: ids.sliced(axis: 1, 0..<length - 1), targets: ids.sliced(axis: 1, 1..<length))
    #expect(largestDifference(losses, try reference.tensor("nll")) < 1e-4)
  }

  @Test func loRAFollowsPEFT() throws {
    let reference = try ReferenceFile("lora.safetensors")
    let run = try reference.metadata("run", as: Run.self)
    let model = try PretrainedModel(path: Fixtures.path("models/\(run.model)")).languageModel
    let base = model.values
    try model.inject(
      LoRA(rank: try #require(run.r), alpha: try #require(run.lora_alpha)), named: "a")
    func key(_ path: String) -> String { "base_model.model.\(path)" }
    for (path, parameter) in model.adapterParameters(named: "a") {
      parameter.value = try reference.tensor("initial/\(key(path))")
    }
    try follow(reference, run, model, .adapter("a"))
    for (path, parameter) in model.adapterParameters(named: "a") {
      let expected = try reference.tensor("final/\(key(path))")
      #expect(largestDifference(parameter.value, expected) < 1e-4, "\(path)")
    }
    #expect(model.values == base)
  }

  @Test(arguments: ["full-untied", "full-tied"]) func fullTrainingFollowsPyTorch(
    name: String
  ) throws {
    let reference = try ReferenceFile("\(name).safetensors")
    let run = try reference.metadata("run", as: Run.self)
    let model = try PretrainedModel(
      path: Fixtures.path("models/\(run.model)"), type: .float32
    ).languageModel
    try follow(reference, run, model, .full)
    let finals = reference.file.names.filter { $0.hasPrefix("final/") }
    #expect(finals.count == 2)
    for (path, parameter) in model.namedParameters() where finals.contains("final/\(path)") {
      let expected = try reference.tensor("final/\(path)")
      #expect(largestDifference(parameter.value, expected) < 1e-4, "\(path)")
    }
  }

  /// The whole run of 200 steps on a real model.
  @Test(.enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func storiesFollowPEFT() throws {
    struct SharedRun: Decodable {
      struct Settings: Decodable {
        let lr: Double
        let betas: [Double]
        let eps: Double
        let weight_decay: Double
      }
      let steps: Int
      let batch: Int
      let optimizer: Settings
      let losses: [Double]
      let grad_norms: [Double]
      let eval_nll_before: Double
      let eval_nll_after: Double
    }
    let shared = try #require(Fixtures.shared)
    let folder = shared + "/reference/stories260k-lora"
    let run = try JSONDecoder().decode(
      SharedRun.self, from: Data(contentsOf: URL(filePath: folder + "/run.json")))
    let model = try PretrainedModel(path: shared + "/models/stories260k").languageModel
    let inputs = try SafetensorsIDs(path: folder + "/inputs.safetensors")
    let evaluation = try TokenDataSet(sequences: inputs.tensor("eval"))
    try model.loadAdapter(
      from: folder + "/init", named: "a", isTrainable: true, allowsNoEffect: true)
    #expect(abs(try model.evaluate(on: evaluation).nll - run.eval_nll_before) < 1e-4)
    let settings = run.optimizer
    let options = TrainingOptions(
      duration: .steps(run.steps), batchSize: run.batch, learningRate: settings.lr,
      weightDecay: settings.weight_decay, beta1: settings.betas[0], beta2: settings.betas[1],
      epsilon: settings.eps, clipNorm: 0, shuffles: false)
    var reports: [StepReport] = []
    try Trainer(
      model, training: .adapter("a"), on: TokenDataSet(sequences: inputs.tensor("train")),
      options: options
    ).run {
      reports.append($0)
      return .continue
    }
    #expect(reports.allSatisfy { $0.tokens == 8 * 127 })
    #expect(largestRelativeDifference(reports.map(\.loss), run.losses) < 1e-5)
    let norms = reports.map { Double($0.gradientNorm) }
    #expect(largestRelativeDifference(norms, run.grad_norms) < 1e-4)
    #expect(abs(try model.evaluate(on: evaluation, batchSize: 5).nll - run.eval_nll_after) < 1e-4)
  }
}
