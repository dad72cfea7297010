import Foundation
import LoRAFiles

/// Where a search keeps what it needs to go on: its record, and the states of the candidates that are left.
package struct TuningFolder {
  /// The file of the record.
  package static let record = "lora-tune.json"
  /// The state of the winner, behind the decay.
  static let winner = "winner"

  /// The name of the state of a trial: of its candidate, since what is tried when depends on the clock.
  static func trial(_ trial: TuningRecord.Trial) -> String {
    let candidate = trial.candidate
    var hash = ContentHash()
    hash.combine(
      "\(candidate.method) \(candidate.rank) \(candidate.alpha) \(candidate.dropout) "
        + "\(candidate.targets.rawValue) \(candidate.learningRate) \(candidate.headLearningRate ?? 0) "
        + "\(candidate.batchSize) \(trial.stage == .default)")
    return "trial-\(ContentHash.text(hash.value))"
  }

  let path: String

  /// The folder at `path`, which is made when something is saved.
  package init(path: String) {
    self.path = path
    AtomicFile.removeLeftovers(in: path, of: Self.owns)
  }

  /// Whether a file of this name is part of a search.
  package static func owns(_ name: String) -> Bool {
    name == record || (name.hasPrefix("lora-tune-") && name.hasSuffix(".safetensors"))
  }

  private func file(_ name: String) -> String { FileSystem.join(path, name) }

  private func stateFile(_ name: String) -> String { file("lora-tune-\(name).safetensors") }

  /// The record of a search that was begun here; nil if none was.
  ///
  /// Throws `FormatError` for one that is damaged, or of a later version.
  package func record() throws -> TuningRecord? {
    let path = file(Self.record)
    guard FileSystem.exists(path) else { return nil }
    do {
      let record = try JSONDecoder().decode(
        TuningRecord.self, from: Data(try FileSystem.read(path)))
      guard record.version == TuningRecord.current else {
        throw FormatError(
          .unsupported, file: path,
          problem:
            "the record's version is \(record.version); this program reads \(TuningRecord.current)",
          remedy: "go on with the version of LoRAKit that began the search")
      }
      return record
    } catch let error as DecodingError {
      throw FormatError(
        .malformed, file: path, problem: "the record of a search can't be read: \(error)",
        remedy: "begin the search again in another folder")
    }
  }

  func save(_ record: TuningRecord) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try FileSystem.makeFolder(path)
    try AtomicFile.write([UInt8](try encoder.encode(record)) + [0x0A], to: file(Self.record))
  }

  /// The state of this name; nil if there is none, or it is damaged: it is trained again then.
  func state(_ name: String) throws -> TrainingState? {
    let path = stateFile(name)
    guard FileSystem.exists(path) else { return nil }
    return try? TrainingState(path: path)
  }

  func save(_ state: TrainingState, _ name: String) throws {
    try FileSystem.makeFolder(path)
    try state.save(to: stateFile(name))
  }

  func removeState(_ name: String) { unlink(stateFile(name)) }

  /// Removes all that is left of a search, of which nothing is wanted any more.
  package func removeAll() {
    removeStates()
    unlink(file(Self.record))
  }

  /// Removes the states, which a search that has ended does not need.
  func removeStates() {
    for name in FileSystem.names(in: path) where Self.owns(name) && name != Self.record {
      unlink(file(name))
    }
  }
}

extension TuningRecord {
  static let current = 1

  /// Throws ``TrainingError/differentRun(part:saved:current:)`` unless this is a record of the search that
  /// `other` begins.
  func check(_ other: TuningRecord) throws(TrainingError) {
    func demand(
      _ part: RunPart, _ isSame: Bool, _ saved: String, _ current: String
    ) throws(TrainingError) {
      if !isSame { throw .differentRun(part: part, saved: saved, current: current) }
    }
    try demand(
      .data, data == other.data && exampleCount == other.exampleCount,
      "\(exampleCount) examples of content \(ContentHash.text(data))",
      "\(other.exampleCount) examples of content \(ContentHash.text(other.data))")
    try demand(
      .options, metric == other.metric, "measured by \(metric.name)", "by \(other.metric.name)")
    try demand(
      .options, space == other.space, "a search of \(space)", "a search of \(other.space)")
  }
}
