import LoRAFiles
import LoRAJSON
import LoRAKit

/// The log of a training: one JSON object a line, one line a step, and one an evaluation behind its step.
struct TrainingLog {
  private let lines: LineFile?

  /// Begins the log at `path`, if there is to be one; that of a run that goes on after `step` keeps its
  /// lines up to there.
  init(_ path: String?, continuing step: Int?) throws {
    lines = try path.map { path in
      try LineFile(
        path: path, beginningWith: try step.map { try Self.lines(of: path, upTo: $0) } ?? [])
    }
  }

  /// Appends a line; warnings have none.
  func append(_ event: TrainingEvent) throws {
    guard let lines else { return }
    switch event {
    case .step(let report):
      try lines.append([
        "step": JSONValue(report.step), "loss": .number(report.loss),
        "gradient_norm": .number(Double(report.gradientNorm)),
        "learning_rate": .number(report.learningRate),
        "tokens_per_second": .number(report.tokensPerSecond),
      ])
    case .measurement(let measurement):
      var object: JSONObject = ["step": JSONValue(measurement.step)]
      for value in measurement.values { object["eval_\(value.key)"] = .number(value.number) }
      try lines.append(object)
    case .sample(let sample):
      try lines.append([
        "step": JSONValue(sample.step), "prompt": JSONValue(sample.prompt),
        "question": .string(sample.question), "sample": .string(sample.text),
      ])
    case .warning: break
    }
  }

  /// The lines of a run's log up to `step`, which a resumed run goes on from.
  static func lines(of path: String, upTo step: Int) throws -> [UInt8] {
    guard step > 0, FileSystem.isPlainFile(path) else { return [] }
    let lines = try FileSystem.read(path).split(separator: UInt8(ascii: "\n"))
    let kept = lines.prefix { line in
      // What was being written when the run was killed is no JSON.
      (try? JSONValue(parsing: Array(line)))?["step"]?.intValue.map { $0 <= step } ?? false
    }
    return Array(kept.flatMap { $0 + [UInt8(ascii: "\n")] })
  }
}
