import Foundation
import LoRAFiles

/// Writes what happens in a training for TensorBoard: an event file of losses, learning rates, norms of
/// gradients, speeds, measurements and samples.
///
/// ```swift
/// let board = try TensorBoardLog(folder: "runs/support")
/// while let report = try run.step() { try board.add(.step(report)) }
/// ```
///
/// `tensorboard --logdir runs` shows it, also while the training goes on. Every record is in the file when
/// ``add(_:)`` returns; one that is cut off by a crash is passed over by TensorBoard. A run that goes on writes a
/// further file into the folder, which takes back what was written of the steps that are made again.
///
/// Numbers are rounded to float32, which is what TensorBoard shows.
public final class TensorBoardLog {
  private let writer: FileWriter
  private let now: () -> Double

  /// Whether a file of this name is one of these files.
  package static func owns(_ name: String) -> Bool { seconds(of: name) != nil }

  private static let prefix = "events.out.tfevents."
  private static let suffix = ".lora"

  private static func seconds(of name: String) -> Int? {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
    return Int(name.dropFirst(prefix.count).dropLast(suffix.count))
  }

  /// Begins a file in `folder`, which is made if it is not there.
  ///
  /// - Parameters:
  ///   - folder: the run's folder.
  ///   - step: the number of steps that a run that goes on has made: what earlier files say of later ones is
  ///     void. 0 takes back all of them.
  /// - Throws: `FileError` if the file can't be written.
  public convenience init(folder: String, continuingAfter step: Int = 0) throws {
    try self.init(folder: folder, continuingAfter: step) { Date().timeIntervalSince1970 }
  }

  init(folder: String, continuingAfter step: Int, now: @escaping () -> Double) throws {
    // TensorBoard reads files in the order of their names.
    let last = FileSystem.names(in: folder).compactMap(Self.seconds).max()
    let seconds = max(Int(now()), last.map { $0 + 1 } ?? 0)
    let digits = "\(seconds)"
    let number = String(repeating: "0", count: max(0, 10 - digits.count)) + digits
    self.now = now
    writer = try FileWriter(
      appendingTo: FileSystem.join(folder, Self.prefix + number + Self.suffix),
      beginningWith: TensorBoardRecord.bytes(.version, step: 0, time: now()))
    // Step 0 is what was before the first one.
    if last != nil { try write(.restart, step: step == 0 ? 0 : step + 1) }
  }

  /// Notes what happened. Throws `FileError` if it can't be written.
  public func add(_ event: TrainingEvent) throws {
    switch event {
    case .step(let report):
      try write(
        .numbers([
          ("loss", Float(report.loss)), ("gradient_norm", report.gradientNorm),
          ("learning_rate", Float(report.learningRate)),
          ("tokens_per_second", Float(report.tokensPerSecond)),
        ]), step: report.step)
    case .measurement(let measurement):
      try write(
        .numbers(measurement.values.map { ("eval/\($0.key)", Float($0.number)) }),
        step: measurement.step)
    case .sample(let sample):
      // Indented, Markdown is shown as it is.
      let text = "prompt:\n\n\(Self.indented(sample.question))\n\nanswer:\n\n"
      try write(
        .text(tag: "sample/\(sample.prompt + 1)", text + Self.indented(sample.text)),
        step: sample.step)
    case .warning(let step, let text): try write(.text(tag: "warning", text), step: step)
    }
  }

  private static func indented(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }
      .joined(separator: "\n")
  }

  private func write(_ content: TensorBoardRecord.Content, step: Int) throws {
    try writer.write(TensorBoardRecord.bytes(content, step: step, time: now()))
  }
}
