import LoRAAutograd
public import LoRAModels
import LoRATensor

/// LoRA+: a higher learning rate for B than for A.
///
/// ```swift
/// var options = TrainingOptions(learningRate: 5e-5)
/// options.loraPlus = LoRAPlus(ratio: 16)
/// ```
///
/// The groups are those of PEFT's `create_loraplus_optimizer`: B, its bias and DoRA's magnitudes
/// have the learning rate times the ratio; biases have no weight decay; adapters of embeddings have
/// their own learning rate; everything else has the plain learning rate.
///
/// Source: Hayou et al., *LoRA+: efficient low rank adaptation of large models*, 2024.
public struct LoRAPlus: Sendable, Hashable, Codable {
  /// The ratio of B's learning rate to A's. At least 1; the paper suggests 16.
  public var ratio: Double
  /// The learning rate of both factors of adapters on embeddings.
  public var embeddingLearningRate: Double

  /// Creates the option. Values are checked when it is used.
  public init(ratio: Double, embeddingLearningRate: Double = 1e-6) {
    self.ratio = ratio
    self.embeddingLearningRate = embeddingLearningRate
  }

  private enum CodingKeys: String, CodingKey { case ratio, embeddingLearningRate }

  /// Decodes the option; an absent learning rate for embeddings has its default.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(ratio: try values.decode(Double.self, forKey: .ratio))
    try values.read(&embeddingLearningRate, .embeddingLearningRate)
  }

  /// The groups of `parameters`, those without any left out.
  ///
  /// - Parameters:
  ///   - parameters: an adapter's, with paths as `layers.0.q_proj.lora_A.weight`.
  ///   - embeddings: the paths of the model's embeddings.
  ///   - learningRate: that of A.
  ///   - weightDecay: that of all but biases.
  public func groups(
    of parameters: [NamedParameter], embeddings: [String] = [], learningRate: Double,
    weightDecay: Double
  ) -> [ParameterGroup] {
    var a: [NamedParameter] = []
    var (embedded, b, biases) = (a, a, a)
    for item in parameters {
      let path = item.path
      if embeddings.contains(where: { path.hasPrefix("\($0).") }) {
        embedded.append(item)
      } else if path.contains("lora_B") || path.hasSuffix("lora_magnitude_vector")
        || path.hasSuffix(".bias")
      {
        if path.contains("bias") { biases.append(item) } else { b.append(item) }
      } else {
        a.append(item)
      }
    }
    let fast = learningRate * ratio
    return [
      ParameterGroup(a, learningRate: learningRate, weightDecay: weightDecay),
      ParameterGroup(embedded, learningRate: embeddingLearningRate, weightDecay: weightDecay),
      ParameterGroup(b, learningRate: fast, weightDecay: weightDecay),
      ParameterGroup(biases, learningRate: fast, weightDecay: 0),
    ].filter { !$0.parameters.isEmpty }
  }
}
