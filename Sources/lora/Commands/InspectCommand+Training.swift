import LoRAArchitectures
import LoRAFiles
import LoRAJSON
import LoRAKit

extension InspectCommand.Report {
  /// The rank of the adapter whose costs are shown: that of `lora train` without `--rank`.
  private static let rank = 8
  /// The lengths of sequence at which memory is shown.
  private static let lengths = [128, 512, 2048]

  /// What it would cost to train a LoRA on all linear layers of a model whose weights take
  /// `weightBytes`, in batches of one. Nothing is loaded for it.
  mutating func addTraining(of configuration: ModelConfiguration, weightBytes: Int) {
    var costs: [(length: Int, bytes: Int, checkpointed: Int)] = []
    var parameters = 0
    let lengths = Self.lengths.filter { $0 <= configuration.longestSequence }
    for length in lengths.isEmpty ? [configuration.longestSequence] : lengths {
      var workload = TrainingWorkload(
        configuration, weightType: configuration.storedType ?? .float32,
        training: .adapter(configuration) { _ in Self.rank }, batchSize: 1, length: length)
      parameters = workload.trainedCount
      func total() -> Int {
        var memory = workload.memory
        memory.weights = weightBytes
        return memory.total
      }
      let kept = total()
      workload.isCheckpointed = true
      costs.append((length, kept, total()))
    }
    object["training"] = [
      "method": "lora", "rank": JSONValue(Self.rank), "targets": "all-linear",
      "parameters": JSONValue(parameters),
      "memory": .array(
        costs.map {
          [
            "length": JSONValue($0.length), "bytes": JSONValue($0.bytes),
            "checkpointed_bytes": JSONValue($0.checkpointed),
          ]
        }),
    ]
    let memory = costs.map { cost in
      "\(grouped(cost.bytes >> 20)) MiB at \(grouped(cost.length)) tokens "
        + "(\(grouped(cost.checkpointed >> 20)) with --checkpointing)"
    }
    lines.append(
      "training a LoRA of rank \(Self.rank) on all linear layers: \(grouped(parameters)) parameters; "
        + "memory, one sequence at a time: " + memory.joined(separator: ", "))
  }
}
