import LoRAJSON
import LoRAKit

/// What a search has tried, and why its winner won.
struct TuneReport {
  let record: TuningRecord
  let output: String
  let command: String

  private var metric: TuningMetric { record.metric }

  /// What the last measurement was, in a line.
  static func progress(_ record: TuningRecord) -> String {
    let metric = record.metric
    let time =
      "\(ProgressLine.clock(record.elapsed)) of \(ProgressLine.clock(record.limit))"
    let last = record.trials.enumerated().max {
      ($0.element.measurements.last?.elapsed ?? -1) < ($1.element.measurements.last?.elapsed ?? -1)
    }
    if let failed = record.trials.last, let failure = failed.failure {
      return "\(time): \(failed.candidate): \(failure)"
    }
    guard let (index, trial) = last, let measurement = trial.measurements.last else {
      return "\(time): the model itself"
        + (record.base.map { ": \(metric.name) \(decimal(metric.number(in: $0), 4))" } ?? "")
    }
    let isBest = record.winner?.trial == index && record.winner?.examples == measurement.examples
    return "\(time): \(trial.candidate), \(counted(measurement.examples, "example")): "
      + "\(metric.name) \(decimal(metric.number(in: measurement.score), 4))"
      + (isBest ? ", the best" : "")
  }

  /// The trials that were measured, the best first.
  private var ranked: [(trial: TuningRecord.Trial, best: TuningRecord.Measurement)] {
    record.trials.compactMap { trial in trial.best.map { (trial: trial, best: $0) } }
      .sorted { $0.best.score.isBetter(than: $1.best.score) }
  }

  var lines: [String] {
    let rows = ranked.prefix(12).map { trial, best in
      [
        trial.candidate.description + (trial.stage == .default ? " (default)" : ""),
        grouped(best.examples), decimal(metric.number(in: best.score), 4),
      ]
    }
    var lines = InspectCommand.Report.table(
      Array(rows), header: ["candidate", "examples", metric.name])
    let more = ranked.count - rows.count
    if more > 0 { lines.append("and \(counted(more, "candidate")) more") }
    let failed = record.trials.count { $0.failure != nil }
    if failed > 0 {
      lines.append("\(counted(failed, "candidate")) ended with a loss that is not finite")
    }
    lines.append("")
    lines.append(
      "\(output): \(verdict); searched in \(ProgressLine.clock(record.elapsed))")
    lines.append("the same again: \(fullCommand)")
    return lines
  }

  /// The command with a place for what it trains.
  var fullCommand: String { command + " --output DIR" }

  /// How good the winner is beside the default.
  private var verdict: String {
    guard let best = record.best else { return "nothing was found" }
    var text = "\(metric.name) \(decimal(metric.number(in: best.score), 4))"
    if let usual = record.defaultMeasurement {
      text += ", \(decimal(metric.number(in: usual.score), 4)) by the default"
      if let difference = record.difference() {
        let sign: (Double) -> Double = { metric.isLoss ? -$0 : $0 }
        let ends = [sign(difference.lowerBound), sign(difference.upperBound)].sorted()
        text +=
          " (difference \(decimal(ends[0], 4)) to \(decimal(ends[1], 4)) with 95 % probability)"
      }
    }
    if let base = record.base {
      text += ", \(decimal(metric.number(in: base), 4)) without an adapter"
    }
    return text
  }

  var object: JSONObject {
    func score(_ score: TuningScore) -> JSONValue { .number(metric.number(in: score)) }
    var object: JSONObject = [
      "output": .string(output), "metric": .string(metric.name),
      "seconds": .number(record.elapsed),
    ]
    if let base = record.base { object["base"] = score(base) }
    if let usual = record.defaultMeasurement { object["default"] = score(usual.score) }
    if let best = record.best, let place = record.winner {
      object["best"] = score(best.score)
      object["candidate"] = Self.object(record.trials[place.trial].candidate)
      object["steps"] = JSONValue(best.steps)
    }
    object["command"] = .string(command)
    object["trials"] = .array(
      record.trials.map { trial in
        var entry: JSONObject = [
          "candidate": Self.object(trial.candidate), "stage": .string(trial.stage.rawValue),
        ]
        entry["measurements"] = .array(
          trial.measurements.map {
            [
              "examples": JSONValue($0.examples), "steps": JSONValue($0.steps),
              "score": score($0.score), "seconds": .number($0.seconds),
            ]
          })
        if let failure = trial.failure { entry["failure"] = .string(failure) }
        return .object(entry)
      })
    return object
  }

  private static func object(_ candidate: TuningCandidate) -> JSONValue {
    [
      "method": .string(candidate.method), "rank": JSONValue(candidate.rank),
      "alpha": .number(candidate.alpha), "dropout": .number(candidate.dropout),
      "targets": .string(candidate.targets.rawValue),
      "learning_rate": .number(candidate.learningRate),
      "head_learning_rate": candidate.headLearningRate.map { .number($0) } ?? .null,
      "batch": JSONValue(candidate.batchSize),
    ]
  }
}
