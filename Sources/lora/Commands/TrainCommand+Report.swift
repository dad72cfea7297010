import Foundation
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit
import LoRATensor
import LoRATraining

// What is said at the end of a training, and its page.

extension TrainCommand {
  /// Prints the result of the command.
  func report(
    _ outcome: Outcome, in place: String, _ before: TaskMeasurement?, _ after: TaskMeasurement?,
    isInterrupted: Bool, page: String?
  ) throws {
    if format.isJSON {
      var object: JSONObject = ["steps": JSONValue(outcome.steps), "loss": .number(outcome.loss)]
      for (measurement, suffix) in [(before, "before"), (after, "after")] {
        for value in measurement?.values ?? [] {
          object["eval_\(value.key)_\(suffix)"] = .number(value.number)
        }
      }
      object["trainable_parameters"] = JSONValue(outcome.trainableParameters)
      object["peak_rss_bytes"] = JSONValue(Machine.peakResidentBytes)
      if let predicted = outcome.predictedBytes {
        object["predicted_peak_bytes"] = JSONValue(predicted)
      }
      object["output"] = .string(place)
      if let page { object["report"] = .string(page) }
      if let best = outcome.best { object["best_step"] = JSONValue(best) }
      if outcome.isStoppedEarly { object["stopped_early"] = true }
      if isInterrupted { object["interrupted"] = true }
      return try StandardOutput.json(object)
    }
    var text =
      "\(place): \(grouped(outcome.trainableParameters)) parameters trained in "
      + "\(counted(outcome.steps, "step")), loss \(decimal(outcome.loss, 4))"
    if let before, let after {
      text += ", evaluation \(before) before, \(after) after"
    }
    if outcome.isStoppedEarly {
      text +=
        "; ended early, after \(counted(evaluation.patience ?? 0, "evaluation")) without improvement"
    }
    if let best = outcome.best { text += "; saved is what was best, that of step \(best)" }
    try StandardOutput.line(text)
  }

  private static let reportName = "report.html"

  /// What a report is made of, beside what the command was given.
  struct Finished<Data: TrainingData> {
    let run: TrainingRun<Data>
    let outcome: Outcome
    let configuration: PEFTAdapterConfiguration?
    /// What ended the training before its end, and was nobody's will.
    let isInterrupted: Bool
  }

  /// Writes the report into `folder` and returns its path; nil where none is wanted. That it can't be
  /// written is worth a warning: what was learned is saved.
  func writeReport(
    _ finished: Finished<some TrainingData>, _ task: some TrainingTask, in folder: String
  ) -> String? {
    guard !reporting.noReport else { return nil }
    let path = FileSystem.join(folder, Self.reportName)
    do {
      guard !FileSystem.exists(path) || Self.isReport(path) else {
        throw CommandError("\(path): something else lies there")
      }
      let report = try report(finished, task, in: folder)
      try AtomicFile.write(Array(report.html().utf8), to: path)
      return path
    } catch {
      StandardError.line("warning: the report is not written: \(error)")
      return nil
    }
  }

  private static func isReport(_ path: String) -> Bool {
    let start = (try? FileSystem.firstBytes(of: path, count: 400)) ?? []
    return FileSystem.isPlainFile(path)
      && String(decoding: start, as: UTF8.self).contains(TrainingReport.generator)
  }

  private func report(
    _ finished: Finished<some TrainingData>, _ task: some TrainingTask, in folder: String
  ) throws -> TrainingReport {
    let (run, outcome) = (finished.run, finished.outcome)
    var report = TrainingReport(title: "Training: \(FileSystem.name(of: folder))")
    report.subtitle = "\(recipe.trained) on \(model.path), from \(data.names)"
    report.ending =
      if let failure = outcome.failure {
        .failed("\(failure)")
      } else if finished.isInterrupted {
        .interrupted
      } else if outcome.isStoppedEarly {
        .early(
          "\(counted(evaluation.patience ?? 0, "evaluation")) in a row were no better than the best"
        )
      } else {
        .complete
      }
    report.history = outcome.history
    report.bestStep = outcome.best
    report.trainedParameterCount = outcome.trainableParameters
    report.notes = StandardError.notices.filter { notice in
      !outcome.history.warnings.contains { notice.hasSuffix($0) }
    }
    report.data =
      [DataSummary(run.trainer.data, source: data.names)] + (task.heldOut.map { [$0] } ?? [])
    for index in report.data.indices {
      // What was said of the data belongs to them.
      let prefix = "note: \(report.data[index].source): "
      let own = report.notes.filter { $0.hasPrefix(prefix) }
      report.data[index].notes = own.map { String($0.dropFirst(prefix.count)) }
      report.notes.removeAll { own.contains($0) }
    }
    if let share = evaluation.validation, report.data.count > 1 {
      report.data[1].source = "\(share) of \(data.names)"
    }
    if let first = report.history.steps.first?.step, first > 1 {
      report.notes.append("nothing is known of how the steps before step \(first) went")
    }
    if report.ending != .interrupted, outcome.failure == nil {
      report.examples = try task.exampleLosses(mostTokens: max(run.result.tokens / 10, 1024))
    }
    report.settings = settings(finished)
    report.command = try repetition
    report.predictedBytes = outcome.predictedBytes
    report.peakBytes = Machine.peakResidentBytes
    report.environment = Machine.description.map { .init($0.name, $0.value) }
    return Self.withoutHome(report)
  }

  private func settings(_ finished: Finished<some TrainingData>) -> [TrainingReport.Entry] {
    var entries: [TrainingReport.Entry] = [
      .init("model", model.path), .init("method", "\(recipe.trained)"),
    ]
    if let adapter = recipe.initAdapter { entries.append(.init("begun from", adapter)) }
    if let configuration = finished.configuration {
      if recipe.trained.has(.rank) { entries.append(.init("rank", "\(configuration.rank)")) }
      if recipe.trained.has(.alpha) {
        entries.append(.init("alpha", configuration.alpha.description))
      }
      entries.append(.init("targets", configuration.targets.summary))
    }
    let trainer = finished.run.trainer
    return entries + [
      .init("steps", "\(finished.run.stepCount)"), .init("optimizer", trainer.optimizer.identifier),
    ] + trainer.options.described.map { .init($0.name, $0.text) }
  }

  /// The command that repeats the training.
  private var repetition: String {
    get throws {
      let arguments =
        isResumed ? try folder.recipe().arguments : Array(CommandLine.arguments.dropFirst(2))
      return (["lora", "train"] + arguments.map(Self.quoted)).joined(separator: " ")
    }
  }

  /// A word as a shell reads it.
  static func quoted(_ word: String) -> String {
    let isPlain = word.unicodeScalars.allSatisfy { scalar in
      scalar.isASCII
        && (scalar.properties.isAlphabetic
          || "0123456789-_./,:=+@%".unicodeScalars.contains(scalar))
    }
    return isPlain && !word.isEmpty ? word : "'\(word.replacing("'", with: #"'\''"#))'"
  }

  /// A report that may be shown to others: the home folder is `~` in it.
  private static func withoutHome(_ report: TrainingReport) -> TrainingReport {
    guard let home = ProcessInfo.processInfo.environment["HOME"], home.count > 1 else {
      return report
    }
    func shown(_ text: String) -> String { text.replacing("\(home)/", with: "~/") }
    var report = report
    report.subtitle = shown(report.subtitle)
    if case .failed(let reason) = report.ending { report.ending = .failed(shown(reason)) }
    report.notes = report.notes.map(shown)
    report.settings = report.settings.map { .init($0.name, shown($0.value)) }
    report.command = report.command.map(shown)
    for index in report.data.indices {
      report.data[index].source = shown(report.data[index].source)
    }
    return report
  }
}

extension PEFTAdapterConfiguration.Modules {
  /// The choice in words.
  fileprivate var summary: String {
    switch self {
    case .names(let names): names.joined(separator: ", ")
    case .pattern(let pattern): "regex:\(pattern)"
    case .allLinear: "all-linear"
    case .unspecified: "PEFT's for the architecture"
    }
  }
}
