/// The memory that a training run needs at its peak, in bytes, by what it is for: a prediction from
/// shapes, made before anything runs. See ``TrainingWorkload/memory``.
public struct TrainingMemory: Sendable, Hashable, Codable {
  /// The model's weights as they are computed from. Mapped ones count: every step reads all of them.
  public var weights: Int
  /// What is trained: the adapter's values (a whole model's are among the weights), gradients, and
  /// what the optimizer remembers, which of AdamW is two numbers for each.
  public var trained: Int
  /// What the forward pass keeps for the backward pass.
  public var activations: Int
  /// The chunk of logits and the gradient of the hidden states.
  public var loss: Int
  /// The gradients within a block while it is differentiated, and what one operation needs while it runs.
  public var scratch: Int
  /// What of trained, activations, loss and scratch is not needed at once: the pool gives the memory of
  /// one to the next. Zero or above, and not a part of the sum.
  public var shared: Int
  /// The program itself: code, libraries and their buffers.
  public var process: Int

  /// All of it: what the process will have resident at its peak.
  public var total: Int {
    weights + trained + activations + loss + scratch + process - shared
  }
}

extension TrainingMemory {
  private enum CodingKeys: String, CodingKey {
    case weights, trained, activations, loss, scratch, shared, process
  }

  /// Decodes a prediction; without `shared` it is 0.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    func bytes(_ key: CodingKeys) throws -> Int { try values.decode(Int.self, forKey: key) }
    self.init(
      weights: try bytes(.weights), trained: try bytes(.trained),
      activations: try bytes(.activations), loss: try bytes(.loss), scratch: try bytes(.scratch),
      shared: try values.decodeIfPresent(Int.self, forKey: .shared) ?? 0,
      process: try bytes(.process))
  }
}

extension TrainingMemory: CustomStringConvertible {
  /// The total and its parts in MiB.
  public var description: String {
    func text(_ bytes: Int) -> String { "\((bytes + 1 << 19) >> 20) MiB" }
    return "\(text(total)): weights \(text(weights)), trained \(text(trained)), "
      + "activations \(text(activations)), loss \(text(loss)), scratch \(text(scratch)), "
      + "process \(text(process)), less \(text(shared)) that serve one after the other"
  }
}

/// What would make a training run fit into less memory.
public enum MemoryRemedy: Sendable, Hashable {
  /// Computing blocks a second time instead of keeping their activations.
  case checkpointing
  /// Batches of this many examples; gradients accumulated over several make the same step.
  case batchSize(Int)
  /// Examples of at most this many positions.
  case sequenceLength(Int)
  /// Weights in bfloat16 rather than float32.
  case bfloat16Weights
}

extension MemoryRemedy: CustomStringConvertible {
  /// What to do, as part of a sentence.
  public var description: String {
    switch self {
    case .checkpointing: "gradient checkpointing"
    case .batchSize(1): "batches of 1 example"
    case .batchSize(let count): "batches of \(count) examples"
    case .sequenceLength(let length): "examples of at most \(length) positions"
    case .bfloat16Weights: "weights in bfloat16"
    }
  }
}
