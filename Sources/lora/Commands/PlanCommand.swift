import ArgumentParser
import LoRAFormats
import LoRAKit

/// `lora plan`: what a training would take, and how to begin it.
struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Say what training on a file would take, and recommend settings.",
    discussion: """
      Prints what adapters of several ranks on several layers would have room for and what memory they \
      would need, measures a few steps for some seconds, and recommends settings with reasons, as the \
      command to run. Nothing is trained or written. --memory and --time are limits that the settings keep \
      to; what that costs is said.

        lora plan --model MODEL --data questions.jsonl
        lora plan --model MODEL --data questions.jsonl --memory 8GiB --time 30m
        lora plan --task classification --model ENCODER --data intents.jsonl --json
      """)

  @OptionGroup var model: ModelOptions
  @Option(
    help: ArgumentHelp(
      "What is to be learned, as for lora train, but for preference.", valueName: "task"))
  var task: TaskArgument = .text
  @Option(
    help: ArgumentHelp(
      "The data, as for lora train; of a .safetensors file without #name the tensor 'train'. The option "
        + "repeats.",
      valueName: "file[#name][:weight]"),
    transform: WeightedFile.init(argument:))
  var data: [WeightedFile]
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most memory that training may take, as in 8GiB. (default: what the machine has available)",
      valueName: "size"),
    transform: ByteCount.init(option:))
  var memory: ByteCount?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most time that training may take, as in 30m. (default: any)", valueName: "time"),
    transform: TimeLimit.init(option:))
  var time: TimeLimit?
  @Option(parsing: .unconditional, help: "The adapter's rank. (default: chosen)")
  var rank: Int?
  @Option(parsing: .unconditional, help: "The number of examples in a batch. (default: chosen)")
  var batch: Int?
  @Option(
    parsing: .unconditional, help: "How many times to go through the data. (default: chosen)")
  var epochs: Int?
  @OptionGroup(title: "Data") var examples: ExampleOptions
  @OptionGroup var output: OutputOptions

  private static let name = "default"

  func validate() throws {
    try demand("--rank", rank, .atLeast(1))
    try demand("--batch", batch, .atLeast(1))
    try demand("--epochs", epochs, .atLeast(1))
    if task == .preference {
      throw ValidationError(
        "--task preference is not planned: the reference's part of the time is another; plan --task "
          + "text with its chosen completions, and count on twice the memory and three times the time"
      )
    }
    try examples.records.check(for: task)
  }

  func run() throws {
    switch task {
    case .text: try plan { try TextTask($0) }
    case .classification: try plan { try ClassificationTask($0) }
    case .tokenClassification: try plan { try TokenClassificationTask($0) }
    case .embedding: try plan { try EmbeddingTask($0) }
    case .preference: break
    }
  }

  private func plan<Task: TrainingTask>(_ open: (TaskInput) throws -> Task) throws {
    let clock = ContinuousClock()
    let start = clock.now
    let task = try open(input(longest: try longestWanted()))
    let draft = try trainer(task, LoRA(rank: 8, alpha: 16), options: TrainingOptions())
    let preparing = start.duration(to: clock.now).seconds
    var plan = try TrainingPlan(
      of: draft,
      limits: .init(
        memory: memory?.bytes, seconds: time.map { max($0.seconds - preparing, 1e-3) }),
      decided: .init(rank: rank, batchSize: batch, epochs: epochs))
    if plan.problem == nil {
      // Shortened examples and narrowed weights are other ones.
      let isSame = plan.settings.sequenceLength == nil && !plan.settings.usesBFloat16
      try task.pretrained.model.detach(Self.name)
      let measured =
        isSame
        ? task
        : try open(
          input(
            longest: plan.settings.sequenceLength ?? examples.sequenceLength,
            narrowed: plan.settings.usesBFloat16))
      plan.time(try measure(measured, plan.settings))
    }
    let report = PlanReport(
      plan: plan, command: self, preparing: preparing,
      positions: task.pretrained.model.maximumPositions)
    try report.write(asJSON: output.isJSON)
    if let problem = plan.problem { throw CommandError("nothing fits: \(problem)") }
  }

  private func measure(
    _ task: some TrainingTask, _ settings: PlannedSettings
  ) throws -> TimePrediction {
    var options = TrainingOptions(
      duration: settings.steps.map { .steps($0) } ?? .epochs(settings.epochs),
      batchSize: settings.batchSize, accumulation: settings.accumulation,
      learningRate: settings.learningRate,
      precision: (settings.usesBFloat16 ? .bfloat16 : model.dtype).precision(
        otherwise: .ofWeights))
    options.groupsByLength = task.groupsByLength
    options.checkpointing = settings.isCheckpointed ? .always : .never
    return try trainer(
      task, LoRA(rank: settings.rank, alpha: Float(settings.alpha)),
      options: options
    ).predictTime()
  }

  /// A trainer of a fresh adapter on all linear layers.
  private func trainer<Task: TrainingTask>(
    _ task: Task, _ recipe: LoRA, options: TrainingOptions
  ) throws -> Trainer<Task.Data> {
    let model = task.pretrained.model
    let configuration = AdapterRecipe(
      method: .lora, rank: recipe.rank, alpha: Double(recipe.alpha)
    ).configuration(for: model)
    _ = try model.inject(task.complete(configuration), named: Self.name)
    return try task.trainer(training: .adapter(Self.name), options: options)
  }

  private func input(longest: Int?, narrowed: Bool = false) throws -> TaskInput {
    var (model, examples) = (model, examples)
    examples.sequenceLength = longest
    if narrowed { model.dtype = .bfloat16 }
    return TaskInput(
      model: model, data: data, evalData: nil, examples: examples, initAdapter: nil, seed: 0,
      reporting: try ReportOptions.parse([]))
  }

  /// The length at which examples are read to see how long they are: records whole, if the model can.
  private func longestWanted() throws -> Int? {
    if let length = examples.sequenceLength { return length }
    let isRecords = try data.allSatisfy { file in
      ![.text, .safetensors].contains(try DataFile(file.path).format)
    }
    guard task == .text, isRecords else {
      return nil
    }
    return min(4096, try model.load().model.maximumPositions)
  }
}
