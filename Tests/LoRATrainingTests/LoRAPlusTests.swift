import Foundation
import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATraining
import Testing

/// Agreement with PEFT's `create_loraplus_optimizer`; see Tests/Reference/loraplus.py.
@Suite struct LoRAPlusTests {
  private struct Rate: Decodable {
    let path: String
    let learning_rate: Double
    let weight_decay: Double
  }

  private final class Model: Module {
    let embed: Embedding
    let layer: Linear
    let decomposed: Linear

    init() {
      var random = SeededRandom(seed: 1, path: "model")
      embed = Embedding(vocabularySize: 7, size: 4, using: &random)
      layer = Linear(inputSize: 4, outputSize: 5, using: &random)
      decomposed = Linear(inputSize: 5, outputSize: 3, using: &random)
    }

    var children: Named<any Module> {
      ["embed": embed, "layer": layer, "decomposed": decomposed]
    }
  }

  private struct Nothing: TrainingData {
    var exampleCount: Int { 1 }
    func batch(of examples: [Int]) -> Int { 0 }
  }

  @Test func ratesArePEFTs() throws {
    let url = Fixtures.root.appending(path: "Tests/Fixtures/training/loraplus.json")
    let rates = try JSONDecoder().decode([Rate].self, from: Data(contentsOf: url))
    var expected = Dictionary(uniqueKeysWithValues: rates.map { ($0.path, $0) })
    #expect(expected.count == 8)
    let model = Model()
    try model.inject(LoRA(rank: 2), named: "embedding", into: ["embed"])
    try model.inject(LoRA(rank: 2, hasBias: true), named: "bias", into: ["layer"])
    try model.inject(DoRA(rank: 2), named: "dora", into: ["decomposed"])
    var options = TrainingOptions(learningRate: 0.01, weightDecay: 0.1)
    options.loraPlus = LoRAPlus(ratio: 16, embeddingLearningRate: 3e-5)
    for name in ["embedding", "bias", "dora"] {
      let trainer = try Trainer(
        model, training: .adapter(name), on: Nothing(), options: options
      ) { _, _ in Variable(Tensor(scalar: 0)) }
      for group in trainer.groups {
        for (path, _) in group.parameters {
          let known = expected.removeValue(forKey: path)
          let rate = try #require(known, "\(path)")
          #expect(abs(group.learningRate - rate.learning_rate) < 1e-12, "\(path)")
          #expect(group.weightDecay == rate.weight_decay, "\(path)")
        }
      }
    }
    #expect(expected.isEmpty, "\(expected.keys)")
  }

  @Test func itIsForAdapters() throws {
    var options = TrainingOptions()
    options.loraPlus = LoRAPlus(ratio: 16)
    #expect(throws: TrainingError.self) {
      try Trainer(Model(), training: .full, on: Nothing(), options: options) { _, _ in
        Variable(Tensor(scalar: 0))
      }
    }
    options.loraPlus?.ratio = 0.5
    #expect(throws: TrainingError.self) { try options.check() }
  }
}
