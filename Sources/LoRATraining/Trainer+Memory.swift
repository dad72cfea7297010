import LoRAAutograd
import LoRAModels
import LoRATensor

extension Trainer {
  /// The memory that the run will need at its peak, with its longest examples; nil for what is not a
  /// `Transformer` under its own loss.
  public var predictedMemory: TrainingMemory? {
    guard var workload = plannedWorkload else { return nil }
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
      guard let workload = plannedWorkload, let limit = memoryLimit else { return false }
      // With a margin: a prediction is right to within some percent.
      return workload.memory.total > limit / 8 * 7
    }
  }

  /// The workload with the state of the optimizer that is set now.
  private var plannedWorkload: TrainingWorkload? {
    var planned = workload
    planned?.optimizerBytes = groups.reduce(0) { sum, group in
      group.parameters.reduce(sum) { $0 + optimizer.stateBytes(of: $1.parameter.shape) }
    }
    planned?.optimizerScratch =
      groups.flatMap(\.parameters).map { optimizer.scratchBytes(of: $0.parameter.shape) }.max() ?? 0
    if keepsBest { planned?.heldCopies += 1 }
    return planned
  }

  private var memoryLimit: Int? { options.memoryLimit ?? AvailableMemory.current }

  /// Throws ``TrainingError/notEnoughMemory(needed:available:remedies:)`` if the run will not fit
  /// into ``TrainingOptions/memoryLimit``, or into what the machine has available; the error says
  /// what would. Costs microseconds. Running does not call this: what to do is for the caller to say.
  public func checkMemory() throws(TrainingError) {
    guard let workload = plannedWorkload, let limit = memoryLimit, let memory = predictedMemory,
      memory.total > limit
    else { return }
    throw .notEnoughMemory(
      needed: memory.total, available: limit,
      remedies: workload.remedies(limit: limit, checkpointing: options.checkpointing))
  }
}
