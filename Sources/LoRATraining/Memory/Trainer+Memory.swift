import LoRAModels
import LoRATensor

/// Whether a training step keeps the activations of a model's blocks or computes them again.
public enum Checkpointing: String, Sendable, Hashable, Codable, CaseIterable {
  /// They are computed again if the run would not fit the memory otherwise. Models whose memory
  /// can't be predicted, and losses of one's own, keep them.
  case automatic
  /// They are computed again: one more forward pass, far less memory.
  case always
  /// They are kept.
  case never
}

extension Trainer {
  /// The memory that the run will need at its peak, with its longest rows; nil for what is not a
  /// `Transformer` under its own loss.
  public var predictedMemory: TrainingMemory? {
    guard var workload else { return nil }
    workload.isCheckpointed = isCheckpointed
    return workload.memory
  }

  /// Whether the run, if it started now, would compute blocks a second time; see
  /// ``TrainingOptions/checkpointing``. Losses and updates are the same bits either way.
  public var isCheckpointed: Bool {
    switch options.checkpointing {
    case .always: return true
    case .never: return false
    case .automatic:
      guard let workload, let limit = memoryLimit else { return false }
      // With a margin: a prediction is right to within some percent.
      return workload.memory.total > limit / 8 * 7
    }
  }

  private var memoryLimit: Int? { options.memoryLimit ?? AvailableMemory.current }

  /// Throws ``TrainingError/notEnoughMemory(needed:available:remedies:)`` if the run will not fit
  /// into ``TrainingOptions/memoryLimit``, or into what the machine has available; the error says
  /// what would. Costs microseconds. Running does not call this: what to do is for the caller to say.
  public func checkMemory() throws(TrainingError) {
    guard let workload, let limit = memoryLimit, let memory = predictedMemory,
      memory.total > limit
    else { return }
    throw .notEnoughMemory(
      needed: memory.total, available: limit,
      remedies: workload.remedies(limit: limit, checkpointing: options.checkpointing))
  }
}

extension TrainingWorkload {
  /// The changes each of which alone makes the run fit `limit`; if none does, the first pair.
  func remedies(limit: Int, checkpointing: Checkpointing) -> [MemoryRemedy] {
    var base = self
    base.isCheckpointed = checkpointing != .never
    let alone = base.singleRemedies(limit: limit)
    if checkpointing == .never {
      var again = self
      again.isCheckpointed = true
      if again.memory.total <= limit { return [.checkpointing] + alone }
    }
    if !alone.isEmpty { return alone }
    if weightType == .float32, target != .full {
      base.weightType = .bfloat16
      let then = base.singleRemedies(limit: limit)
      if let next = then.first { return [.bfloat16Weights, next] }
    }
    base.rows = 1
    if let next = base.singleRemedies(limit: limit).first { return [.batchSize(1), next] }
    return []
  }

  private func singleRemedies(limit: Int) -> [MemoryRemedy] {
    func fits(_ change: (inout Self) -> Void) -> Bool {
      var other = self
      change(&other)
      return other.memory.total <= limit
    }
    var remedies: [MemoryRemedy] = []
    if weightType == .float32, target != .full, fits({ $0.weightType = .bfloat16 }) {
      remedies.append(.bfloat16Weights)
    }
    var count = rows / 2
    while count >= 1, !fits({ $0.rows = count }) { count /= 2 }
    if count >= 1 { remedies.append(.batchSize(count)) }
    var short = length / 2
    while short >= 16, !fits({ $0.length = short }) { short /= 2 }
    if short >= 16 { remedies.append(.sequenceLength(short)) }
    return remedies
  }
}
