import LoRATensor

/// Sentences that many answers have beside their own, as "As an AI language model, I ...".
///
/// A sentence counts that has at least five words and no digits, in an answer that says something else
/// too. It is reported where at least 10 answers and one in a thousand have it.
struct Boilerplate: DataDetector {
  static let leastAnswers = 10
  static let leastShare = 0.001
  /// How many different sentences are kept as text, for the report.
  private static let sampleCount = 4096

  struct Entry: BitwiseCopyable {
    let hash: UInt64
    let number: UInt32
    let line: UInt32
  }

  private var entries = PartitionedRecords<Entry>()
  private var answerCount = 0
  /// Approximate counts of sentences, by 16 bits of their hashes in each of two rows: what is common gets its
  /// text kept.
  private var counts = [UInt16](repeating: 0, count: 2 << 16)
  private var samples: [UInt64: String] = [:]

  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) throws {
    var seen: [UInt64] = []
    for turn in example.answers {
      answerCount += 1
      guard turn.words.sentences.count > 1 else { continue }
      for sentence in turn.words.sentences
      where sentence.words.count >= 5 && !sentence.hasDigits && !seen.contains(sentence.hash) {
        if seen.count < 64 { seen.append(sentence.hash) }
        // Triples of Japanese characters are no sentence yet.
        guard sentence.bytes.count >= 20 else { continue }
        try entries.append(
          Entry(
            hash: sentence.hash, number: UInt32(truncatingIfNeeded: example.number),
            line: UInt32(truncatingIfNeeded: example.line)), key: sentence.hash)
        count(sentence, in: turn)
      }
    }
  }

  private mutating func count(_ sentence: TextWords.Sentence, in turn: CheckedExample.Turn) {
    let places = [
      Int(sentence.hash & 0xFFFF), 1 << 16 | Int(sentence.hash >> 16 & 0xFFFF),
    ]
    for place in places where counts[place] < .max { counts[place] += 1 }
    guard places.allSatisfy({ Int(counts[$0]) >= Self.leastAnswers }),
      samples.count < Self.sampleCount, samples[sentence.hash] == nil
    else { return }
    samples[sentence.hash] = String(decoding: Array(turn.text.utf8)[sentence.bytes], as: UTF8.self)
  }

  mutating func finish(_ log: inout FindingLog) throws {
    let least = max(Self.leastAnswers, Int(Double(answerCount) * Self.leastShare))
    var entries = entries
    self.entries = PartitionedRecords()
    try entries.drain(by: { ($0.hash, $0.number) < ($1.hash, $1.number) }) { partition in
      partition.forEachRun({ $0.hash == $1.hash }) { run in
        guard run.count >= least else { return }
        let text = samples[run[run.startIndex].hash].map { ": " + Excerpt.of($0) } ?? ""
        for entry in run {
          log.add(
            Finding(
              .boilerplate, line: Int(entry.line), example: Int(entry.number),
              detail: "\(run.count) answers have one sentence\(text)"))
        }
      }
    }
  }
}
