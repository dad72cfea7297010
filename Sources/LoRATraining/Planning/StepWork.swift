import LoRAArchitectures
import LoRAModels
import LoRATensor

/// How much there is to compute in a step, up to a factor: what measured times are carried over by.
struct StepWork {
  /// The positions of each example.
  private let lengths: [Int]
  /// Whether the examples of a batch are one sequence without padding.
  private let isPacked: Bool
  /// What attention adds to a position for each position of its sequence.
  private let attention: Double

  init(_ trainer: Trainer<some TrainingData>) {
    lengths = (0..<trainer.data.exampleCount).map { trainer.data.tokenCount(of: [$0]) }
    isPacked = (trainer.data as? TokenDataSet)?.isPacked ?? false
    attention = trainer.workload.map(Self.attention) ?? 0
  }

  /// Of a causal layer two products of half of all pairs of positions, beside the products with weights.
  private static func attention(_ workload: TrainingWorkload) -> Double {
    let shape = workload.configuration
    let weights = workload.linearWeightCount
    guard weights > 0 else { return 0 }
    return Double(shape.layerCount * shape.headCount * shape.headSize) / Double(weights)
  }

  /// The work of a step of these batches.
  func callAsFunction(_ batches: [[Int]]) -> Double {
    batches.reduce(0) { sum, batch in
      let longest = batch.reduce(0) { max($0, lengths[$1]) }
      return batch.reduce(sum) { sum, example in
        let length = Double(isPacked ? lengths[example] : longest)
        return sum + length * (1 + attention * length)
      }
    }
  }
}

extension TrainingWorkload {
  /// The weights of the linear layers, each of which a token is multiplied with, the head's too.
  var linearWeightCount: Int {
    guard let model = try? configuration.modelOfShapes() else { return 0 }
    return model.linearLayers().reduce(0) { $0 + $1.layer.inputSize * $1.layer.outputSize }
  }

  /// The operations of a position beside attention: a forward pass, the gradients that flow down, once more
  /// the forward pass where blocks are computed again, and of what is trained also its own gradients.
  var operationsPerPosition: Double {
    let weights = Double(linearWeightCount)
    let passes = isCheckpointed ? 6.0 : 4.0
    let trained = Double(trainedCount)
    return target == .full ? (passes + 2) * weights : passes * weights + (passes + 2) * trained
  }
}
