import LoRAJSON
import LoRAKit

/// A plan for people and for programs, and the command that it comes to.
struct PlanReport {
  let plan: TrainingPlan
  let command: PlanCommand
  /// The seconds that reading the model and the data took.
  let preparing: Double
  /// The most positions that the model sees.
  let positions: Int

  func write(asJSON isJSON: Bool) throws {
    isJSON ? try StandardOutput.json(object) : try StandardOutput.lines(lines)
  }

  /// The seconds from the start of `lora train` to its end.
  private var seconds: Double? { plan.seconds.map { $0 + preparing } }

  // MARK: - The command

  /// The arguments of `lora train`: what was given of it, and the recommended settings.
  var arguments: [String] {
    let settings = plan.settings
    var words = ["lora", "train"]
    if command.task != .text { words += ["--task", command.task.rawValue] }
    words += ["--model", command.model.path]
    words += command.data.flatMap { file in
      [
        "--data",
        file.weight == 1 ? file.path : "\(file.path):\(JSONValue.number(file.weight).encoded())",
      ]
    }
    words += command.examples.words
    if command.model.parts.textOnly { words.append("--text-only") }
    words += ["--rank", "\(settings.rank)", "--alpha", "\(settings.alpha)"]
    if let steps = settings.steps {
      words += ["--steps", "\(steps)"]
    } else {
      words += ["--epochs", "\(settings.epochs)"]
    }
    words += ["--batch", "\(settings.batchSize)"]
    if settings.accumulation > 1 { words += ["--accumulate", "\(settings.accumulation)"] }
    words += ["--learning-rate", JSONValue.number(settings.learningRate).encoded()]
    words += ["--schedule", "cosine"]
    if let length = sequenceLength { words += ["--sequence-length", "\(length)"] }
    if settings.isCheckpointed { words.append("--checkpointing") }
    if type != .auto { words += ["--dtype", type.rawValue] }
    if let memory = command.memory { words += ["--memory", "\(memory.bytes)"] }
    return words + ["--output", "adapter"]
  }

  /// The type of the weights.
  private var type: WeightType {
    plan.settings.usesBFloat16 ? .bfloat16 : command.model.dtype
  }

  /// The length to give: what the examples need, where that is not what is read anyway.
  private var sequenceLength: Int? {
    if let length = plan.settings.sequenceLength ?? command.examples.sequenceLength {
      return length
    }
    let longest = plan.data.lengths.last ?? 0
    return longest > min(512, positions) ? min(positions, (longest + 63) / 64 * 64) : nil
  }

  /// `words` as they are typed: what a shell would read otherwise stands in quotes.
  static func line(_ words: [String]) -> String {
    words.map { word in
      let isPlain = word.unicodeScalars.allSatisfy { scalar in
        scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
          || "-_./:=,+@%".unicodeScalars.contains(scalar)
      }
      if isPlain, !word.isEmpty { return word }
      let parts = word.split(separator: "'", omittingEmptySubsequences: false)
      return "'" + parts.joined(separator: #"'\''"#) + "'"
    }.joined(separator: " ")
  }

  // MARK: - For people

  private var lines: [String] {
    let data = plan.data
    var lines = [
      "\(command.data.names): \(counted(data.lengths.count, "example")) of \(data.lengths.first ?? 0) to "
        + "\(data.lengths.last ?? 0) positions (half of them at most \(data.length(at: 0.5))), "
        + "\(grouped(data.tokenCount)) in all, \(grouped(data.targetCount)) "
        + "\(command.task == .text ? "tokens" : "targets") learned",
      "",
    ]
    lines += InspectCommand.Report.table(
      rows, header: ["layers", "rank", "trained", "room for tokens", "memory", "time", ""])
    lines += ["", "recommended:"]
    lines += plan.settings.reasons.map { "  \($0.setting): \($0.text)" }
    if !plan.settings.concessions.isEmpty {
      lines.append("given up for the limits: " + plan.settings.concessions.joined(separator: "; "))
    }
    if let time = plan.time, let seconds {
      lines.append(
        "predicted: \(mebibytes(plan.memory.total)), \(ProgressLine.clock(seconds)) for "
          + "\(counted(plan.stepCount, "step")); \(counted(time.measuredSteps, "step")) measured in "
          + "\(decimal(time.measuringSeconds, 1)) s")
    }
    if plan.problem == nil { lines += ["", Self.line(arguments)] }
    return lines
  }

  private var rows: [[String]] {
    let settings = plan.settings
    return plan.adapters.map { adapter in
      let isChosen = adapter.targets == settings.targets && adapter.rank == settings.rank
      return [
        adapter.targets.name, "\(adapter.rank)", grouped(adapter.trainedCount),
        grouped(adapter.tokenCapacity), mebibytes(adapter.memory.total),
        adapter.seconds.map { ProgressLine.clock($0 + preparing) } ?? "",
        !adapter.fits ? "too much memory" : isChosen ? "recommended" : "",
      ]
    } + [
      ["whole model", "", "--method full", "", mebibytes(plan.wholeModelMemory.total), "", ""]
    ]
  }

  private func mebibytes(_ bytes: Int) -> String { "\(grouped(bytes >> 20)) MiB" }

  // MARK: - For programs

  private var object: JSONObject {
    let (data, settings) = (plan.data, plan.settings)
    var recommended: JSONObject = [
      "targets": .string(settings.targets.option), "rank": JSONValue(settings.rank),
      "alpha": JSONValue(settings.alpha), "learning_rate": .number(settings.learningRate),
      "epochs": JSONValue(settings.epochs), "steps": JSONValue(plan.stepCount),
      "batch": JSONValue(settings.batchSize), "accumulate": JSONValue(settings.accumulation),
      "checkpointing": .bool(settings.isCheckpointed),
      "dtype": .string(type.rawValue),
    ]
    if let length = sequenceLength { recommended["sequence_length"] = JSONValue(length) }
    recommended["reasons"] = .array(
      settings.reasons.map { ["setting": .string($0.setting), "reason": .string($0.text)] })
    recommended["given_up"] = JSONValue(settings.concessions)
    recommended["memory_bytes"] = JSONValue(plan.memory.total)
    if let time = plan.time, let seconds {
      recommended["seconds"] = .number(seconds)
      recommended["step_seconds"] = .number(time.seconds(of: 1))
      recommended["measured_steps"] = JSONValue(time.measuredSteps)
      recommended["measuring_seconds"] = .number(time.measuringSeconds)
    }
    recommended["command"] = JSONValue(arguments)
    var object: JSONObject = [
      "examples": JSONValue(data.lengths.count), "positions": JSONValue(data.tokenCount),
      "learned": JSONValue(data.targetCount),
      "lengths": [
        "least": JSONValue(data.lengths.first ?? 0), "median": JSONValue(data.length(at: 0.5)),
        "p95": JSONValue(data.length(at: 0.95)), "greatest": JSONValue(data.lengths.last ?? 0),
      ],
    ]
    if let limit = plan.memoryLimit { object["memory_limit_bytes"] = JSONValue(limit) }
    object["adapters"] = .array(
      plan.adapters.map { adapter in
        var row: JSONObject = [
          "layers": .string(adapter.targets.name), "targets": .string(adapter.targets.option),
          "rank": JSONValue(adapter.rank),
          "trainable_parameters": JSONValue(adapter.trainedCount),
          "token_capacity": JSONValue(adapter.tokenCapacity),
          "memory_bytes": JSONValue(adapter.memory.total), "fits": .bool(adapter.fits),
        ]
        if let seconds = adapter.seconds { row["seconds"] = .number(seconds + preparing) }
        return .object(row)
      })
    object["whole_model_memory_bytes"] = JSONValue(plan.wholeModelMemory.total)
    object["recommended"] = .object(recommended)
    if let problem = plan.problem { object["problem"] = .string(problem) }
    return object
  }
}

extension ExampleOptions {
  /// The options as they were given, but for the length.
  fileprivate var words: [String] {
    var words: [String] = []
    func add(_ option: String, _ value: String?) {
      if let value { words += [option, value] }
    }
    add("--long-rows", longRows?.rawValue)
    add(
      "--map",
      records.map.map { map in
        map.names.map { "\($0.key.rawValue)=\($0.value)" }.sorted().joined(separator: ",")
      })
    add("--loss-on", records.lossOn == .answers ? nil : records.lossOn.rawValue)
    add("--use-template", records.useTemplate == .automatic ? nil : records.useTemplate.rawValue)
    add("--chat-template", records.template.chatTemplate)
    add("--system", records.system)
    add("--invalid-records", records.invalidRecords == .stop ? nil : "skip")
    return words
  }
}
