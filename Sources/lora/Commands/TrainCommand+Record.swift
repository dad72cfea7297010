import LoRAFiles
import LoRAFormats
import LoRAKit

// What a trained adapter says of its making, in its file and in its card.

extension TrainCommand {
  /// The record of a run that is about to begin, without results. The base's fingerprint is taken and
  /// the data are hashed before the first step.
  func newRecord(
    of task: some TrainingTask, _ configuration: PEFTAdapterConfiguration,
    _ trainer: Trainer<some TrainingData>
  ) throws -> AdapterRecord {
    var record = AdapterRecord(
      making: .training, software: Version.software, base: try task.pretrained.recordOfBase,
      task: self.task.rawValue, license: licenses.license,
      settings: configuration.recordOfSettings(
        method: recipe.method?.description ?? configuration.recipeName)
        + trainer.recordOfSettings)
    record.data = try data.map { file in
      // How many examples are of which file is not known of several.
      try AdapterRecord.DataFile(
        use: "train", path: file.path, examples: data.count == 1 ? trainer.data.exampleCount : nil,
        license: licenses.dataLicense)
    }
    if let evalData {
      record.data.append(
        try AdapterRecord.DataFile(use: "eval", path: evalData, license: licenses.dataLicense))
    }
    if let path = recipe.initAdapter {
      var parent = try AdapterFile.opened(path, toAttachTo: model.path, isTold: false).parent()
      parent.record?.base.fingerprint = nil
      record.parents = [parent]
    }
    return record
  }

  /// What came out, by the names of `--json`.
  func results(
    _ outcome: Outcome, _ before: TaskMeasurement?, _ after: TaskMeasurement?
  ) -> [AdapterRecord.Entry] {
    var entries: [AdapterRecord.Entry] = [
      .init("steps", Double(outcome.steps)), .init("loss", outcome.loss),
      .init("trainable_parameters", Double(outcome.trainableParameters)),
    ]
    for (measurement, suffix) in [(before, "before"), (after, "after")] {
      for value in measurement?.values ?? [] {
        entries.append(.init("eval_\(value.key)_\(suffix)", value.number))
      }
    }
    if let best = outcome.best { entries.append(.init("best_step", Double(best))) }
    return entries
  }

  /// Puts what the adapter was measured to be into it, where it lies already.
  func save(
    _ record: AdapterRecord, with results: [AdapterRecord.Entry], _ task: some TrainingTask,
    _ configuration: PEFTAdapterConfiguration?, in place: String
  ) throws {
    var record = record
    record.results = results
    try ExistingResult.$policy.withValue(.replaced) {
      try save(task, configuration, record, in: place)
    }
  }

  /// The adapter's card for the folder `place`; nothing where somebody's own README.md lies.
  func card(
    _ record: AdapterRecord, in place: String
  ) -> [(name: String, content: [UInt8])] {
    guard AdapterCard.mayBeWritten(in: place) else {
      StandardError.line(
        "warning: \(place): its \(AdapterCard.fileName) was not written by lora and stays; the adapter gets "
          + "no card")
      return []
    }
    var card = AdapterCard(
      record, name: FileSystem.name(of: FileSystem.absolute(place)),
      parameterCount: Int(record.result("trainable_parameters") ?? 0))
    card.environment = [("date", Machine.date)] + Machine.description
    return [(AdapterCard.fileName, Array(card.text.utf8))]
  }
}
