import LoRATensor

/// Sentences that many answers have beside their own, as "As an AI language model, I ...", last words that
/// many have in common, and whole answers to many questions.
///
/// A sentence counts that has at least five words and no digits, in an answer that says something else
/// too; without a full stop before it an end does, see ``AnswerEnds``. It is reported where at least 10 answers
/// and one in a thousand have it; a whole answer only where most answers are not such: those are labels.
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

  private var sentences = PartitionedRecords<Entry>()
  private var ends = PartitionedRecords<Entry>()
  private var wholes = PartitionedRecords<Entry>()
  private var answerCount = 0
  /// Approximate counts of sentences, by 16 bits of their hashes in each of two rows: what is common gets its
  /// text kept.
  private var counts = [UInt16](repeating: 0, count: 2 << 16)
  private var samples: [UInt64: String] = [:]
  /// The examples that were reported, a bit each.
  private var found: [UInt64] = []

  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) throws {
    var seen: [UInt64] = []
    for turn in example.answers {
      answerCount += 1
      for (kind, words) in AnswerEnds.ends(of: turn.text, turn.words) {
        var hash = kind.rawValue
        for word in turn.words.words[words] {
          hash = (hash ^ UInt64(word)) &* 0x9e37_79b9_7f4a_7c15 &+ 0x632b_e59b_d9b4_e019
        }
        guard !seen.contains(hash) else { continue }
        if seen.count < 64 { seen.append(hash) }
        let entry = Entry(hash, example)
        if kind == .whole {
          try wholes.append(entry, key: hash)
        } else {
          try ends.append(entry, key: hash)
        }
        count(hash, in: turn, Int(turn.words.starts[words.lowerBound])..<turn.text.utf8.count)
      }
      guard turn.words.sentences.count > 1 else { continue }
      for sentence in turn.words.sentences
      where sentence.words.count >= 5 && !sentence.hasDigits && !seen.contains(sentence.hash) {
        if seen.count < 64 { seen.append(sentence.hash) }
        // Triples of Japanese characters are no sentence yet.
        guard sentence.bytes.count >= 20 else { continue }
        try sentences.append(Entry(sentence.hash, example), key: sentence.hash)
        count(sentence.hash, in: turn, sentence.bytes)
      }
    }
  }

  private mutating func count(_ hash: UInt64, in turn: CheckedExample.Turn, _ bytes: Range<Int>) {
    let places = [Int(hash & 0xFFFF), 1 << 16 | Int(hash >> 16 & 0xFFFF)]
    for place in places where counts[place] < .max { counts[place] += 1 }
    guard places.allSatisfy({ Int(counts[$0]) >= Self.leastAnswers }),
      samples.count < Self.sampleCount, samples[hash] == nil
    else { return }
    samples[hash] = String(decoding: Array(turn.text.utf8)[bytes], as: UTF8.self)
  }

  mutating func finish(_ log: inout FindingLog) throws {
    for run in try common(&sentences) {
      report(run, of: run.count, "answers have one sentence", &log)
    }
    // That of answers which are one has the same end is nothing new.
    let answers = try common(&wholes)
    let same = Set(answers.joined().map(\.number))
    for run in try common(&ends) {
      let others = run.filter { !same.contains($0.number) }
      guard others.count >= least else { continue }
      report(
        others.filter { !isFound($0) }, of: others.count, "answers end in the same words", &log)
    }
    guard same.count * 2 < answerCount else { return }
    for run in answers {
      report(run.filter { !isFound($0) }, of: run.count, "examples have one answer", &log)
    }
  }

  /// The fewest answers that have something in common.
  private var least: Int { max(Self.leastAnswers, Int(Double(answerCount) * Self.leastShare)) }

  /// The entries of one hash, of which there are enough. They stay few: the hashes of most are their own.
  private func common(_ records: inout PartitionedRecords<Entry>) throws -> [[Entry]] {
    let least = least
    var runs: [[Entry]] = []
    try records.drain(by: { ($0.hash, $0.number) < ($1.hash, $1.number) }) { partition in
      partition.forEachRun({ $0.hash == $1.hash }) { run in
        if run.count >= least { runs.append(Array(run)) }
      }
    }
    records = PartitionedRecords()
    return runs
  }

  private mutating func report(
    _ run: [Entry], of count: Int, _ what: String, _ log: inout FindingLog
  ) {
    guard let first = run.first else { return }
    let text = samples[first.hash].map { ": " + Excerpt.of($0) } ?? ""
    for entry in run {
      mark(entry)
      log.add(
        Finding(
          .boilerplate, line: Int(entry.line), example: Int(entry.number),
          detail: "\(count) \(what)\(text)"))
    }
  }

  private mutating func mark(_ entry: Entry) {
    let word = Int(entry.number) / 64
    if word >= found.count {
      found.append(contentsOf: repeatElement(0, count: word + 1 - found.count))
    }
    found[word] |= 1 << UInt64(entry.number % 64)
  }

  private func isFound(_ entry: Entry) -> Bool {
    let word = Int(entry.number) / 64
    return word < found.count && found[word] >> UInt64(entry.number % 64) & 1 == 1
  }
}

extension Boilerplate.Entry {
  fileprivate init(_ hash: UInt64, _ example: CheckedExample) {
    self.hash = hash
    number = UInt32(truncatingIfNeeded: example.number)
    line = UInt32(truncatingIfNeeded: example.line)
  }
}
