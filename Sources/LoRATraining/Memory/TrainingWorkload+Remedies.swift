import LoRATensor

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
    base.batchSize = 1
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
    var count = batchSize / 2
    while count >= 1, !fits({ $0.batchSize = count }) { count /= 2 }
    if count >= 1 { remedies.append(.batchSize(count)) }
    var short = length / 2
    while short >= 16, !fits({ $0.length = short }) { short /= 2 }
    if short >= 16 { remedies.append(.sequenceLength(short)) }
    return remedies
  }
}
