import ArgumentParser
import LoRAJSON
import LoRAKit

/// `lora bench train`: the speed of training steps.
struct BenchTrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Measure training steps on random tokens.",
    discussion: """
      Runs one step more than asked for and does not count the first. Times are medians.

        lora bench train --model MODEL --sequence-length 512 --rank 16 --json
      """)

  @Option(help: ArgumentHelp("The model's Hugging Face directory.", valueName: "dir"))
  var model: String
  @Option(
    parsing: .unconditional, help: "The number of examples in a batch.")
  var batch = 1
  @Option(
    parsing: .unconditional, help: ArgumentHelp("The positions of a sequence.", valueName: "tokens")
  )
  var sequenceLength = 512
  @Option(
    parsing: .unconditional, help: "The adapter's rank; its alpha is twice that.")
  var rank = 16
  @Option(help: ArgumentHelp("The layers, as for lora train.", valueName: "layers"))
  var targets: TargetArgument?
  @Option(help: "The type of the weights in memory.")
  var dtype: WeightType = .bfloat16
  @Option(
    parsing: .unconditional, help: "The number of measured steps.")
  var steps = 4
  @Option(help: "What to train: an adapter, or with full the whole model.")
  var method: TrainingMethod = .lora
  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--batch", batch, .atLeast(1))
    try demand("--sequence-length", sequenceLength, .atLeast(1))
    try demand("--rank", rank, .atLeast(1))
    try demand("--steps", steps, .atLeast(1))
  }

  func run() throws {
    // The whole model is trained in float32 weights, whatever the products round them to.
    let model = try PretrainedModel(path: model, type: method == .full ? .float32 : dtype.type)
      .languageModel
    if sequenceLength > model.maximumPositions {
      throw SequenceError.tooLong(sequence: 0, count: sequenceLength, limit: model.maximumPositions)
    }
    // The ids of the sequences, as they are drawn and as examples.
    try BenchCommand.checkSize(
      "the sequences of --steps, --batch and --sequence-length", steps, batch, sequenceLength + 1,
      bytes: 32)
    if method != .full {
      let recipe = AdapterRecipe(
        method: method, rank: method.has(.rank) ? rank : nil,
        alpha: method.has(.alpha) ? 2 * Double(rank) : nil, targets: targets?.modules)
      try recipe.check()
      StandardError.warnings(
        try model.inject(
          recipe.configuration(for: model), memoryLimit: memory.memory?.bytes
        ).warnings)
    }
    let count = (steps + 1) * batch
    let sourceLength = max(1, sequenceLength / 2)
    let examples = (0..<count).map { index in
      TrainingExample(
        sequence: BenchCommand.randomIDs(
          sequenceLength + 1, for: model, sourceLength: sourceLength, path: "bench/\(index)"),
        promptLength: model.targetStart == nil ? 0 : sourceLength + 1)
    }
    var options = TrainingOptions(
      duration: .steps(steps + 1), batchSize: batch, learningRate: 1e-4, clipNorm: 0,
      shuffles: false, precision: dtype.precision(otherwise: .ofWeights))
    memory.apply(to: &options)
    let trainer = try Trainer(
      model, training: method == .full ? .full : .adapter("default"),
      on: try TokenDataSet(examples: examples), options: options, logger: WarningLog.logger)
    try trainer.checkMemory()
    let prediction = trainer.predictedMemory
    var seconds: [Double] = []
    var losses: [Double] = []
    var progress = Progress()
    let result = try trainer.run { report in
      progress.report(report.step, of: report.stepCount, ["loss \(decimal(report.loss, 4))"])
      if report.step > 1 {
        seconds.append(Double(report.tokens) / report.tokensPerSecond)
        losses.append(report.loss)
      }
      return .continue
    }
    progress.finish()
    try report(result, median(seconds), losses, prediction)
  }

  private func report(
    _ result: TrainingResult, _ step: Double, _ losses: [Double], _ prediction: TrainingMemory?
  ) throws {
    let speed = Double(batch * sequenceLength) / step
    let memory = Machine.peakResidentBytes
    guard output.isJSON else {
      return try StandardOutput.line(
        "\(decimal(speed, 1)) tokens/s, \(decimal(step, 4)) s a step, peak memory "
          + "\(grouped(memory >> 20)) MiB (predicted \(grouped((prediction?.total ?? 0) >> 20))), "
          + "\(grouped(result.trainedParameterCount)) parameters, "
          + "\(Threads.count) threads, \(Machine.kernels)")
    }
    var object: JSONObject = [
      "tokens_per_second": .number(speed), "step_seconds": .number(step),
      "peak_rss_bytes": JSONValue(memory),
      "trainable_parameters": JSONValue(result.trainedParameterCount),
      "loss": JSONValue(losses), "threads": JSONValue(Threads.count),
      "kernels": .string(Machine.kernels),
    ]
    if let prediction {
      object["predicted_peak_bytes"] = JSONValue(prediction.total)
      object["predicted"] = [
        "weights": JSONValue(prediction.weights), "trained": JSONValue(prediction.trained),
        "activations": JSONValue(prediction.activations), "loss": JSONValue(prediction.loss),
        "scratch": JSONValue(prediction.scratch),
        "shared": JSONValue(prediction.shared), "process": JSONValue(prediction.process),
      ]
    }
    try StandardOutput.json(object)
  }
}
