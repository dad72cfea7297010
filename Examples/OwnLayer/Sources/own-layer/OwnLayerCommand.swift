import Foundation
import LoRAKit
import OwnLayer

/// Trains a model of this package's own layers, adapts it in two ways, and shows what happens.
@main
struct OwnLayerCommand {
  static func main() async throws {
    let here = SpiralData(count: 1500, seed: 1)
    let turned = SpiralData(count: 1500, turn: 1 / 3, seed: 2)
    let (hereTest, turnedTest) = (SpiralData(count: 600, seed: 3), SpiralData(count: 600, turn: 1 / 3, seed: 4))
    let model = SpiralClassifier()
    func show(_ what: String) {
      let line = "%@  the spiral %5.1f %%   turned by 120 degrees %5.1f %%"
      print(
        String(
          format: line, what.padding(toLength: 34, withPad: " ", startingAt: 0),
          100 * model.accuracy(on: hereTest), 100 * model.accuracy(on: turnedTest)))
    }

    print("Right answers on points never seen:\n")
    show("untrained")
    try await Trainer(model, training: .full, on: here, options: Self.options(3e-3, epochs: 40)) {
      batch, scale in model.loss(of: batch, scale: scale)
    }.run()
    show("trained on the spiral")
    let base = model(Variable(hereTest.batch(of: [0, 1, 2]).points)).value

    for (name, learn) in [
      ("lora", { try model.inject(LoRA(rank: 4, alpha: 8), named: "lora") }),
      ("scaled", { try model.inject(RowScaling(), named: "scaled") }),
    ] as [(String, () throws -> InjectionReport)] {
      let report = try learn()
      try await Trainer(
        model, training: .adapter(name), on: turned, options: Self.options(1e-2, epochs: 30)
      ) { batch, scale in model.loss(of: batch, scale: scale) }.run()
      try model.enableAdapters([name: 1])
      show("\(name): \(report.parameterCount) of \(model.parameterCount) numbers")
    }

    try model.enableAdapters(["lora": 0.5])
    show("lora at half strength")
    try model.mergeAdapters(["lora": 1])
    show("lora merged into the weights")
    try model.unmergeAdapters()
    try model.disableAdapters()
    show("adapters off")
    let after = model(Variable(hereTest.batch(of: [0, 1, 2]).points)).value
    print("\nWith the adapters off every bit is as before: \(base == after)")
  }

  static func options(_ learningRate: Double, epochs: Int) -> TrainingOptions {
    TrainingOptions(
      duration: .epochs(epochs), batchSize: 50, learningRate: learningRate, schedule: .cosine)
  }
}
