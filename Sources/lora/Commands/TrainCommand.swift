import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora train`: an adapter, or a whole model, from data.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train an adapter, or a whole model, on texts, token sequences or labelled texts.",
    discussion: """
      Writes a PEFT adapter with its model card (README.md) or, with --method full, a model directory in the base's stored type. If \
      something stops the training (Ctrl-C, a closed terminal, a loss that is not finite, a log that \
      cannot be written), what was learned so far is saved, and the exit status is 1. With \
      --checkpoint-every a training that was stopped, even by a power failure, goes on with --resume.

        lora train --model MODEL --data ids.safetensors --steps 200 --output a1
        lora train --model MODEL --data questions.jsonl --epochs 3 --output a2
        lora train --task classification --model ENCODER --data tags.jsonl --output a3
        lora train --task embedding --model ENCODER --data pairs.jsonl --output a4
        lora train --task preference --model MODEL --data choices.jsonl --output a5
      """)

  @OptionGroup var model: ModelOptions
  @Option(help: ArgumentHelp("What to learn: \(TaskArgument.help).", valueName: "task"))
  var task: TaskArgument = .text
  @Option(
    help: ArgumentHelp(
      "Text (.txt), records with a text or with a prompt and a completion (.jsonl, .json, .csv), or "
        + "token sequences (.json, .safetensors). FILE#name picks a tensor of a .safetensors file; without "
        + "it 'train' is read. For --task classification records with text, label and, for pairs, "
        + "text_pair; a label is a name, or a list of names where there may be several. For "
        + "--task token-classification records with tokens and tags, lists of words and of their labels, or "
        + "lines of a word and its tag with an empty line behind a sentence (.conll, .txt). For --task "
        + "embedding pairs (text, text_pair), or labelled texts. For --task preference prompt, chosen and "
        + "rejected, or prompt, completion and label, true or false. The option repeats; a weight says how "
        + "often the examples of a file come: 2 for twice, 0.5 for half of them.",
      valueName: "file[#name][:weight]"),
    transform: WeightedFile.init(argument:))
  var data: [WeightedFile]
  @Option(
    help: ArgumentHelp(
      "Data to measure the loss on before and after training; of a .safetensors file without #name "
        + "the tensor 'eval'. (default: what --validation keeps, or the tensor 'eval' of the --data file, if "
        + "it has one)",
      valueName: "file[#name]"))
  var evalData: String?
  @Option(help: ArgumentHelp("The folder to write.", valueName: "dir"))
  var output: String
  @OptionGroup(title: "Data") var examples: ExampleOptions
  @OptionGroup(title: "Adapter") var recipe: RecipeOptions
  @OptionGroup(title: "Training") var schedule: ScheduleOptions
  @OptionGroup(title: "Optimizer") var optimizer: OptimizerOptions
  @OptionGroup(title: "Evaluation") var evaluation: EvaluationOptions
  @OptionGroup(title: "Preferences") var preference: PreferenceOptions
  @OptionGroup(title: "Distillation") var distillation: DistillationOptions
  @OptionGroup(title: "Licences") var licenses: LicenseOptions
  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup(title: "Resuming") var checkpoints: CheckpointOptions
  @Option(
    help: ArgumentHelp(
      "Write one JSON object per step to this file: step, loss, gradient_norm, learning_rate, tokens_per_second.",
      valueName: "file.jsonl"))
  var log: String?
  @OptionGroup(title: "Report") var reporting: ReportOptions
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var format: OutputOptions

  private static let name = "default"

  /// What can be resumed, in the output folder.
  var folder: RunFolder { RunFolder(path: output) }

  var isResumed: Bool { checkpoints.resume != nil }

  /// Whether results that are there are replaced: a resumed run's are its own.
  private var replaces: Bool { replacement.force || isResumed }

  func validate() throws {
    try preference.check(for: task)
    try distillation.check(for: task, isFull: recipe.trained == .full)
    if evaluation.validation != nil, evalData != nil {
      throw ValidationError(
        "--validation and --eval-data say both what is measured on; leave one of them out")
    }
    if task != .text, let option = schedule.packing ? "--packing" : reporting.givenSamples {
      throw ValidationError("\(option) is for --task text; leave it out")
    }
    try examples.records.check(for: task)
  }

  /// What the task is given.
  var input: TaskInput {
    get throws {
      TaskInput(
        model: model, data: data, evalData: evalData, split: try evaluation.split(),
        examples: examples, initAdapter: recipe.initAdapter, seed: schedule.seed,
        isPacked: schedule.packing, reporting: reporting)
    }
  }

  func run() throws {
    if isResumed, try folder.recipe().isFinished { return try reportFinished() }
    try schedule.training(weightDecay: optimizer.weightDecay).check()
    try recipe.check()
    folder.recover()
    var destinations = Destinations(
      reading: data.map(\.path) + [model.path, evalData, recipe.config, recipe.initAdapter]
        + [reporting.samples, distillation.path],
      force: replaces)
    if let log { try destinations.check(log, .log, option: "--log") }
    try reporting.check(&destinations, force: replaces)
    try destinations.check(
      output, recipe.trained == .full ? .model : .adapter(.peft), owning: RunFolder.owns)
    if !replaces, folder.exists, try !folder.recipe().isFinished {
      throw CommandError(
        "\(output): a training that was stopped lies there; go on with it by --resume \(output), or "
          + "--force to begin again")
    }
    let input = try input
    switch task {
    case .text: try run(TextTask(input, distillation), destinations)
    case .classification: try run(ClassificationTask(input), destinations)
    case .tokenClassification: try run(TokenClassificationTask(input), destinations)
    case .embedding: try run(EmbeddingTask(input), destinations)
    case .preference:
      if recipe.trained == .full, preference.preferenceLoss != .orpo {
        throw CommandError(
          "--method full: the reference of preferences is the model without its adapter, and to train "
            + "the model itself would need a second one in memory; train an adapter, or give "
            + "--preference-loss orpo, which has no reference")
      }
      try run(PreferenceTask(input, preference), destinations)
    }
  }

  private func run(_ task: some TrainingTask, _ destinations: Destinations) throws {
    var configuration: PEFTAdapterConfiguration?
    if recipe.trained != .full {
      let attached = try recipe.attach(
        to: task.pretrained.model, from: model.path, named: Self.name, seed: schedule.seed,
        memoryLimit: memory.memory?.bytes, completing: task.complete)
      StandardError.warnings(attached.warnings)
      configuration = attached.configuration
    } else {
      try task.pretrained.checkWholeIsWritable()
    }
    try destinations.confirm()
    try train(task, configuration)
  }

  /// Writes how this run was begun into its folder, if it is to be resumed one day. What another has
  /// left there goes.
  private func begin() throws {
    guard !isResumed else { return }
    if folder.exists { folder.remove() }
    if checkpoints.checkpointEvery != nil {
      try folder.write(
        RunFolder.Recipe(
          arguments: Array(CommandLine.arguments.dropFirst(2)) + dateArguments,
          folder: FileSystem.absolute(".")))
    }
  }

  /// The date of this run for the one that goes on with it: a template may write it into the data.
  private var dateArguments: [String] {
    let template = examples.records.template
    return template.templateDate == nil ? ["--template-date", "\(template.now)"] : []
  }

  private func reportFinished() throws {
    if format.isJSON {
      return try StandardOutput.json(["output": .string(output), "finished": true])
    }
    try StandardOutput.line("\(output): the training is finished; there is nothing to resume")
  }

  private func train(
    _ task: some TrainingTask, _ configuration: PEFTAdapterConfiguration?
  ) throws {
    var options = schedule.training(weightDecay: optimizer.weightDecay)
    options.precision = model.dtype.precision(otherwise: .ofWeights)
    options.groupsByLength =
      schedule.groupByLength ?? (task.groupsByLength && !schedule.noShuffle)
    memory.apply(to: &options)
    if schedule.steps == nil, schedule.epochs == nil {
      options.duration = .epochs(options.usualEpochs(ofExamples: task.data.exampleCount))
    }
    var trainer = try task.trainer(
      training: recipe.trained == .full ? .full : .adapter(Self.name), options: options)
    let usualRate =
      recipe.trained == .full || recipe.initAdapter != nil
      ? nil : task.usualHeadRate(at: schedule.learningRate)
    if let rate = schedule.headLearningRate ?? usualRate {
      guard trainer.setLearningRate(rate, ofModules: task.headModules) else {
        throw CommandError(
          "--head-learning-rate: no head is trained; leave it out, or give --task classification or "
            + "token-classification")
      }
    }
    try optimizer.apply(to: &trainer)
    trainer.keepsBest = evaluation.patience != nil
    // Before anything that takes long.
    try trainer.checkMemory()
    let before = try task.evaluate(training: recipe.trained)
    try evaluation.check(hasData: before != nil)
    if let before { StandardError.line("evaluation before: \(before)") }
    try begin()
    var record = try configuration.map { try newRecord(of: task, $0, trainer) }
    let state = isResumed ? try folder.lastState() : nil
    if let state { StandardError.line("resumed after step \(state.step)") }
    var run = try TrainingRun(trainer, from: state)
    var outcome = try make(&run, task, before)
    let place: String
    record?.results = results(outcome, before, nil)
    do {
      place = try save(task, configuration, record)
    } catch {
      throw outcome.failure.map { CommandError("\($0); nothing is saved: \(error)") } ?? error
    }
    if run.isFinished || outcome.isStoppedEarly, outcome.failure == nil { try end() }
    let isInterrupted = Interrupt.isRequested && !outcome.isStoppedEarly
    Interrupt.release()
    let isWhole = outcome.failure == nil && !isInterrupted
    let after = isWhole ? try task.evaluate(training: recipe.trained) : nil
    if let after, let record {
      try save(record, with: results(outcome, before, after), task, configuration, in: place)
    }
    let last = outcome.best ?? outcome.steps
    if let after, outcome.history.measurements.last(where: { $0.step == last }) == nil {
      outcome.history.add(.measurement(after.after(last)))
    }
    let page = writeReport(
      Finished(
        run: run, outcome: outcome, configuration: configuration, isInterrupted: isInterrupted),
      task, in: place)
    if let page { StandardError.line("report: \(page)") }
    if isWhole || format.isJSON {
      try report(outcome, in: place, before, after, isInterrupted: isInterrupted, page: page)
    }
    guard !isWhole else { return }
    let reason = outcome.failure.map { "\($0)" } ?? "interrupted"
    throw CommandError(
      "\(reason); what was learned in \(counted(outcome.steps, "step")) is saved in \(place)")
  }

  /// Writes down that the run has come to its end, once its result is saved.
  private func end() throws {
    guard checkpoints.checkpointEvery != nil else { return }
    var recipe = try folder.recipe()
    recipe.isFinished = true
    try folder.write(recipe)
    folder.removeStates()
  }

  /// Saves what was learned; where it lies then.
  private func save(
    _ task: some TrainingTask, _ configuration: PEFTAdapterConfiguration?,
    _ record: AdapterRecord?
  ) throws -> String {
    while true {
      let place = freePlace()
      do {
        try ExistingResult.$policy.withValue(replaces ? .replaced : .kept) {
          try save(task, configuration, record, in: place)
        }
        return place
      } catch is ResultAppeared {
        // Between the look and the last step: it is looked again.
        continue
      }
    }
  }

  func save(
    _ task: some TrainingTask, _ configuration: PEFTAdapterConfiguration?,
    _ record: AdapterRecord?, in place: String
  ) throws {
    let pretrained = task.pretrained
    if recipe.trained != .full {
      try pretrained.model.saveAdapter(
        Self.name, to: place, configuration: configuration,
        baseModelName: configuration?.baseModelName ?? model.path,
        otherFiles: task.filesBesideAdapter
          + (record.map { AdapterCard.files(for: $0, in: place) } ?? []),
        record: record)
    } else {
      let (files, warnings) = try pretrained.companionFiles(for: place)
      try pretrained.save(to: place, type: model.dtype.type, otherFiles: files)
      StandardError.warnings(warnings)
    }
  }

  /// The output; or a name like it, if somebody else's result has appeared there since it was checked.
  private func freePlace() -> String {
    guard !replaces, !FolderResult.all(in: output).isEmpty else { return output }
    var name = output
    while name.utf8.count > 1, name.hasSuffix("/") { name.removeLast() }
    var number = 2
    while FileSystem.exists("\(name)-\(number)") { number += 1 }
    StandardError.line(
      "warning: \(output): another result has appeared there meanwhile; this one is saved in "
        + "\(name)-\(number)")
    return "\(name)-\(number)"
  }
}
