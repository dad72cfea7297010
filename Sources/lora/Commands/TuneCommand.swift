import ArgumentParser
import LoRADataChecks
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit
import LoRAModels

/// `lora tune`: the settings of an adapter, searched within a time.
struct TuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune",
    abstract: "Find the settings of an adapter within a time, and train it (AutoLoRA).",
    discussion: """
      Looks through the data and leaves out what would spoil the training, trains the default, then many \
      candidates for a short time and the best of them longer: learning rate first, then batch, rank, layers, \
      method and dropout. All of it counts, from the first second. The folder then holds the adapter, what was \
      tried (lora-tune.html, lora-tune.json) and the data as they were learned; the command that trains the \
      same adapter again is printed. A search that was stopped goes on with --resume.

        lora tune --model MODEL --data questions.jsonl --time 30m --output a
        lora tune --model MODEL --data facts.jsonl --time 1h --metric f1 --output a
      """)

  @OptionGroup var model: ModelOptions
  @Option(
    help: ArgumentHelp("What to learn: \(TaskArgument.help).", valueName: "task"))
  var task: TaskArgument = .text
  @Option(
    help: ArgumentHelp(
      "The data, in the forms of lora train; the option repeats, and a weight says how often the examples of a "
        + "file come.", valueName: "file[#name][:weight]"),
    transform: WeightedFile.init(argument:))
  var data: [WeightedFile]
  @Option(
    help: ArgumentHelp(
      "Data that candidates are measured on, and never learn from. Keep a third set to judge the result: the "
        + "best of many measurements is a little too good. (default: what --validation keeps)",
      valueName: "file[#name]"))
  var evalData: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Measure on a share of the data, which is kept from training by the hash of its texts. (default: 10%, "
        + "without --eval-data)", valueName: "share"))
  var validation: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("How long to search, as 90s, 30m or 1.5h.", valueName: "time"),
    transform: TimeLimit.init(option:))
  var time: TimeLimit
  @Option(
    help: ArgumentHelp(
      "What is to become best: \(EvaluationMetric.names). (default: the loss of texts, and what a task counts: "
        + "accuracy, F1 or recall)", valueName: "metric"))
  var metric: EvaluationMetric?
  @Option(
    parsing: .unconditional,
    help: "The most tokens of an answer. (default: a few more than the longest expected answer has)"
  )
  var maxTokens: Int?
  @Option(help: ArgumentHelp("The folder to write.", valueName: "dir"))
  var output: String
  @OptionGroup(title: "Data") var examples: ExampleOptions
  @Flag(help: "Learn from all of the data, whatever lora data check says of them.")
  var noFix = false
  @OptionGroup(title: "Licences") var licenses: LicenseOptions
  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @Option(
    parsing: .unconditional,
    help: "The seed of initialization, shuffling and dropout. (default: 0)",
    transform: parsedSeed)
  var seed: UInt64 = 0
  @Flag(help: "Go on with the search that was stopped in --output.")
  var resume = false
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var format: OutputOptions

  private static let name = "default"

  func validate() throws {
    try demand("--max-tokens", maxTokens, .atLeast(1))
    try examples.records.check(for: task)
    _ = try split
    if evalData != nil, validation != nil {
      throw ValidationError("give --eval-data or --validation, not both")
    }
    if task != .text, let metric, !(task == .classification && metric == .label) {
      throw ValidationError("--metric \(metric) is for --task text; leave it out")
    }
    if resume, replacement.force {
      throw ValidationError("--force begins again, and --resume goes on; give one of them")
    }
  }

  func run() throws {
    let clock = ContinuousClock()
    let start = clock.now
    var destinations = Destinations(
      reading: data.map(\.path) + [model.path, evalData], force: replacement.force || resume)
    try destinations.check(output, .adapter(.peft), owning: Self.owns)
    try destinations.confirm()
    if try begin() { return }
    let input = TaskInput(
      model: model, data: try data.indices.map(checked), evalData: evalData, split: try split,
      examples: examples, initAdapter: nil, seed: seed, reporting: try ReportOptions.parse([]))
    let spent = { (clock.now - start).seconds }
    switch task {
    case .text: try search(TextTask(input), input, spent)
    case .classification: try search(ClassificationTask(input), input, spent)
    case .tokenClassification: try search(TokenClassificationTask(input), input, spent)
    case .embedding: try search(EmbeddingTask(input), input, spent)
    case .preference:
      try search(PreferenceTask(input, PreferenceOptions.parse([])), input, spent)
    }
  }

  /// What is kept of the data to measure on. A share, since it does not depend on how many files there are.
  private var split: DataSplit? {
    get throws {
      guard evalData == nil else { return nil }
      let share = validation ?? Self.usualShare
      guard share.hasSuffix("%"), let split = try? DataSplit(share) else {
        throw ValidationError("--validation '\(share)': give a share above 0 and below 100, as 10%")
      }
      return split
    }
  }

  private static let usualShare = "10%"

  // MARK: - The folder

  /// The data as they are learned.
  private static let copy = "lora-tune-data"

  /// What was tried, for people.
  private static let page = "lora-tune.html"

  private static func owns(_ name: String) -> Bool {
    TuningFolder.owns(name) || name.hasPrefix(copy) || name == page
  }

  /// Looks what lies in the folder, and makes room; true if the search has come to its end already.
  private func begin() throws -> Bool {
    let folder = TuningFolder(path: output)
    guard let record = try folder.record() else {
      if resume {
        throw CommandError("\(output): there is no search to go on with; leave out --resume")
      }
      return false
    }
    if resume {
      if record.isFinished {
        let text = "\(output): the search is finished; there is nothing to go on with"
        if format.isJSON {
          try StandardOutput.json(["output": .string(output), "finished": true])
        } else {
          try StandardOutput.line(text)
        }
      }
      return record.isFinished
    }
    guard replacement.force || record.isFinished else {
      throw CommandError(
        "\(output): a search that was stopped lies there; go on with it by --resume, or --force to begin "
          + "again")
    }
    folder.removeAll()
    return false
  }

  /// Looks through a file of the data; the one that is learned from: a copy without what would spoil the
  /// training, if there is anything to leave out.
  private func checked(_ index: Int) throws -> WeightedFile {
    let given = data[index]
    let path = given.path
    guard !noFix, !path.contains("#"),
      let file = try? DataFile(path, fields: examples.records.fields),
      [.jsonLines, .json, .csv].contains(file.format)
    else { return given }
    var check = DataCheck(file)
    if let evalData, !evalData.contains("#") {
      check.evaluation = try? DataFile(evalData, fields: examples.records.fields)
    }
    let report = try check.run { count in
      if Terminal.isLive { StandardError.redraw(counted(count, "example")) }
    }
    StandardError.endBar()
    let found = report.counts.map { "\($0.kind.rawValue) \($0.count)" }.joined(separator: ", ")
    StandardError.line(
      "\(path): \(counted(report.exampleCount, "example"))"
        + (found.isEmpty ? ", nothing found" : "; found: \(found)"))
    guard (0..<report.exampleCount).contains(where: { report.reasonToDrop($0) != nil }) else {
      return given
    }
    let ending = path.split(separator: ".").last.map { ".\($0)" } ?? ""
    let number = data.count > 1 ? "-\(index + 1)" : ""
    let copy = FileSystem.join(output, Self.copy + number + ending)
    let cleaned = try ExistingResult.$policy.withValue(.replaced) {
      try FileSystem.withFolder(of: copy) {
        try CleanedCopy(of: report, to: copy, list: copy + ".dropped.jsonl")
      }
    }
    StandardError.line(
      "\(copy): \(counted(cleaned.keptCount, "example")), \(cleaned.droppedCount) left out: see "
        + "\(copy).dropped.jsonl")
    return try WeightedFile(copy, weight: given.weight)
  }

  // MARK: - The search

  private func search<Task: TrainingTask>(
    _ task: Task, _ input: TaskInput, _ spent: () -> Double
  ) throws {
    let judge = try TuningJudge(task, metric: metric, input: input, maxTokens: maxTokens)
    let model = task.pretrained.model
    var options = TrainingOptions()
    options.seed = seed
    options.precision = self.model.dtype.precision(otherwise: .ofWeights)
    options.groupsByLength = task.groupsByLength
    memory.apply(to: &options)
    var configurations: [TuningCandidate: PEFTAdapterConfiguration] = [:]
    var search = AutoLoRA(
      model, on: task.data, seconds: time.seconds,
      attach: { candidate, name in
        var configuration = task.complete(try candidate.configuration(for: model))
        let report = try model.inject(
          configuration, named: name, seed: seed, memoryLimit: memory.memory?.bytes)
        configuration.nameTargets(of: report)
        configurations[candidate] = configuration
      },
      trainer: { candidate, name, options in
        var trainer = try task.trainer(training: .adapter(name), options: options)
        if let rate = candidate.headLearningRate {
          _ = trainer.setLearningRate(rate, ofModules: task.headModules)
        }
        return trainer
      },
      measure: { try judge.score($0) })
    search.options = options
    search.space = Self.space(for: task)
    search.folder = output
    search.metric = judge.metric
    search.adapterName = Self.name
    search.isCancelled = { Interrupt.isRequested }
    search.secondsBefore = spent()
    Interrupt.watch()
    let record: TuningRecord
    do {
      record = try search.run { StandardError.line(TuneReport.progress($0)) }
    } catch is CancellationError {
      throw CommandError(
        "interrupted; what was tried is kept: go on with the same command and --resume")
    }
    Interrupt.release()
    guard let winner = record.winner.map({ record.trials[$0.trial] }) else { return }
    let configuration = configurations[winner.candidate]
    try save(task, input, record, winner, configuration, options)
    let command = TunedCommand(
      winner, steps: record.best?.steps ?? 0, targets: configuration?.targets,
      arguments: Array(CommandLine.arguments.dropFirst(2)), data: input.data,
      validation: evalData == nil && validation == nil ? Self.usualShare : nil)
    let report = TuneReport(record: record, output: output, command: command.text)
    try AtomicFile.write(
      Array(record.html(title: "Settings for \(data.names)", command: report.fullCommand).utf8),
      to: FileSystem.join(output, Self.page))
    try format.isJSON
      ? StandardOutput.json(report.object) : StandardOutput.lines(report.lines)
  }

  /// Saves the winner's adapter with its record and its card.
  private func save(
    _ task: some TrainingTask, _ input: TaskInput, _ record: TuningRecord,
    _ winner: TuningRecord.Trial, _ configuration: PEFTAdapterConfiguration?,
    _ options: TrainingOptions
  ) throws {
    let model = task.pretrained.model
    let trainer = try task.trainer(
      training: .adapter(Self.name),
      options: winner.options(options, steps: record.best?.steps ?? 1))
    let settings =
      (configuration?.recordOfSettings(method: winner.candidate.method) ?? [])
      + trainer.recordOfSettings
    var made = try AdapterRecord(
      of: input, self.task, base: try task.pretrained.recordOfBase,
      exampleCount: record.exampleCount, licenses: licenses, settings: settings)
    let trained = model.adapterParameters(named: Self.name)
    made.results = [
      .init("steps", Double(record.best?.steps ?? 0)),
      .init(
        "trainable_parameters",
        Double(trained.reduce(0) { $0 + $1.parameter.shape.elementCount })),
    ]
    if let best = record.best {
      made.results.append(.init("eval_\(record.metric.name)", record.metric.number(in: best.score)))
    }
    try ExistingResult.$policy.withValue(.replaced) {
      try model.saveAdapter(
        Self.name, to: output, configuration: configuration, baseModelName: self.model.path,
        otherFiles: task.filesBesideAdapter + AdapterCard.files(for: made, in: output),
        record: made)
    }
  }

  /// What is searched for a task.
  private static func space(for task: some TrainingTask) -> TuningSpace {
    var space = TuningSpace()
    if TuningCandidate.Targets.attention.layerNames(of: task.pretrained.model).isEmpty {
      space.targets = [.allLinear]
    }
    if let rate = task.usualHeadRate(at: space.start.learningRate) {
      space.start.headLearningRate = rate
      space.headLearningRates = [rate / 3, rate, 3 * rate]
    } else if !task.headModules.isEmpty {
      space.headLearningRates = [nil, 10 * space.start.learningRate]
    }
    return space
  }
}
