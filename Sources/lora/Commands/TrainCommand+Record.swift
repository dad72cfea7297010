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
    var record = try AdapterRecord(
      of: try input, self.task, base: try task.pretrained.recordOfBase,
      exampleCount: trainer.data.exampleCount, licenses: licenses,
      settings: configuration.recordOfSettings(
        method: recipe.method?.description ?? configuration.recipeName)
        + trainer.recordOfSettings + distillation.recordOfSettings)
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
}
