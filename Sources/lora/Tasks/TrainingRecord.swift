import Foundation
import LoRAFiles
import LoRAKit

/// Where goes what happens in a training: into the report's history, the log, TensorBoard's file, and the folder
/// of a run that can be resumed, so that the report of a resumed one has all of its curves.
struct TrainingRecord {
  /// What happened, in earlier parts of the run too.
  private(set) var history = TrainingHistory()
  private let log: TrainingLog
  private let board: TensorBoardLog?
  /// The folder's copy; nil where none is kept, or since it can't be written.
  private var kept: FileWriter?

  /// Begins a record.
  ///
  /// - Parameters:
  ///   - log: the path of the log; nil for none.
  ///   - file: where events are kept for a later part of the run; nil for nowhere.
  ///   - board: TensorBoard's file; nil for none.
  ///   - step: the step that a resumed run goes on after; nil for a run from its beginning.
  init(log: String?, keptIn file: String?, board: TensorBoardLog?, continuing step: Int?) throws {
    self.board = board
    self.log = try TrainingLog(log, continuing: step)
    guard let file else { return }
    var lines: [UInt8] = []
    if let step, FileSystem.isPlainFile(file) {
      for (event, line) in try Self.events(in: FileSystem.read(file), upTo: step) {
        history.add(event)
        lines += line + [UInt8(ascii: "\n")]
      }
    }
    kept = try FileWriter(appendingTo: file, beginningWith: lines)
  }

  /// Notes what was measured before the first step, which is no line of the log.
  mutating func begin(with measurement: TaskMeasurement) throws {
    let event = TrainingEvent.measurement(measurement.after(0))
    history.add(event)
    keep(event)
    try board?.add(event)
  }

  /// Notes what happened. Throws if the log can't be written; the folder's copy is worth a warning.
  mutating func add(_ event: TrainingEvent) throws {
    history.add(event)
    keep(event)
    try log.append(event)
    try board?.add(event)
  }

  private mutating func keep(_ event: TrainingEvent) {
    guard let kept else { return }
    do {
      try kept.write(Array(JSONEncoder().encode(event)) + [UInt8(ascii: "\n")])
    } catch {
      self.kept = nil
      StandardError.line("warning: the report will lack what happens before a resumption: \(error)")
    }
  }

  /// The events up to `step`. What was being written when the run was killed ends them.
  private static func events(
    in bytes: [UInt8], upTo step: Int
  ) -> [(TrainingEvent, line: ArraySlice<UInt8>)] {
    var events: [(TrainingEvent, line: ArraySlice<UInt8>)] = []
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      guard let event = try? JSONDecoder().decode(TrainingEvent.self, from: Data(line)),
        event.step <= step
      else { break }
      events.append((event, line))
    }
    return events
  }
}
