import LoRATensor
import LoRATraining

/// Preferences that prefer nothing, or the other way round elsewhere: two answers that are the same, a pair
/// that another line has turned round, and a completion that is desirable here and undesirable there.
struct PreferenceOrder: DataDetector {
  /// A pair of answers to a prompt, or one answer, by a hash that does not know which is preferred.
  struct Entry: BitwiseCopyable {
    let hash: UInt64
    let number: UInt32
    let line: UInt32
    /// 1 where the first in the order of hashes is preferred, or the only one.
    let side: UInt32
  }

  private var entries = PartitionedRecords<Entry>()

  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) throws {
    guard let preference = example.preference, let (place, answer) = example.lastAnswer else {
      return
    }
    var hash = TextHash()
    for turn in example.turns[..<place] { hash.combine(turn.words.hash) }
    let side: Bool
    if let rejected = example.turns.last, rejected.role == "rejected" {
      let (one, other) = (answer.words.hash, rejected.words.hash)
      guard !one.isEmpty, !other.isEmpty else { return }
      guard one != other else {
        return log.add(.conflict, in: example, "the chosen and the rejected answer are the same")
      }
      side = (one.first, one.second) < (other.first, other.second)
      hash.combine(side ? one : other)
      hash.combine(side ? other : one)
    } else {
      hash.combine(answer.words.hash)
      side = preference.chosen != nil
    }
    let key = hash.first ^ hash.second
    try entries.append(
      Entry(
        hash: key, number: UInt32(truncatingIfNeeded: example.number),
        line: UInt32(truncatingIfNeeded: example.line), side: side ? 1 : 0), key: key)
  }

  mutating func finish(_ log: inout FindingLog) throws {
    var entries = entries
    self.entries = PartitionedRecords()
    try entries.drain(by: { ($0.hash, $0.number) < ($1.hash, $1.number) }) { partition in
      partition.forEachRun({ $0.hash == $1.hash }) { run in
        guard let first = run.first else { return }
        for entry in run where entry.side != first.side {
          log.add(
            Finding(
              .conflict, line: Int(entry.line), example: Int(entry.number),
              detail: log.place(
                line: Int(first.line), of: Int(first.number), seenFrom: Int(entry.number))
                + " prefers it the other way round"))
        }
      }
    }
  }
}
