import Foundation
import LoRAKit
import OwnLayer

/// Trains a model of this package's own layers, adapts it in two ways, and shows what happens.
@main
struct OwnLayerCommand {
  let model = SpiralClassifier()
  let spiral = SpiralData(count: 1500, seed: 1)
  let turned = SpiralData(count: 1500, turn: 1 / 3, seed: 2)
  let unseen = SpiralData(count: 600, seed: 3)
  let unseenTurned = SpiralData(count: 600, turn: 1 / 3, seed: 4)

  static func main() async throws { try await OwnLayerCommand().run() }

  func run() async throws {
    print("Right answers on points never seen:\n")
    show("untrained")
    try await train(.full, on: spiral, learningRate: 3e-3)
    show("trained on the spiral")
    let base = someLogits()

    try await adapt(LoRA(rank: 4, alpha: 8), named: "lora")
    try await adapt(RowScaling(), named: "scaled")

    try model.enableAdapters(["lora": 0.5])
    show("lora at half strength")
    try model.mergeAdapters(["lora": 1])
    show("lora merged into the weights")
    try model.unmergeAdapters()
    try model.disableAdapters()
    show("adapters off")
    print("\nWith the adapters off every bit is as before: \(someLogits() == base)")
  }

  /// Lets a fresh adapter learn the turned spiral, and switches to it.
  func adapt(_ method: some AdapterMethod, named name: String) async throws {
    let report = try model.inject(method, named: name)
    try await train(.adapter(name), on: turned, learningRate: 1e-2)
    try model.enableAdapters([name: 1])
    show("\(name): \(report.parameterCount) of \(model.parameterCount) numbers")
  }

  func train(
    _ target: TrainingTarget, on data: SpiralData, learningRate: Double
  ) async throws {
    let options = TrainingOptions(
      duration: .epochs(40), batchSize: 50, learningRate: learningRate, schedule: .cosine)
    let model = model
    let trainer = try Trainer(model, training: target, on: data, options: options) { batch, scale in
      model.loss(of: batch, scale: scale)
    }
    try await trainer.run()
  }

  func someLogits() -> Tensor {
    withoutGradients { model(Variable(unseen.batch(of: [0, 1, 2]).points)).value }
  }

  func show(_ what: String) {
    print(
      what.padding(toLength: 34, withPad: " ", startingAt: 0),
      String(
        format: " the spiral %5.1f %%   turned by 120 degrees %5.1f %%",
        100 * model.accuracy(on: unseen), 100 * model.accuracy(on: unseenTurned)))
  }
}
