import LoRATensor

/// Examples that are there twice: the same, nearly the same, in the evaluation set too, or with another
/// answer.
///
/// Of each example a few numbers and its shingles go to disk; what shares a hash or a band of its
/// signature is compared exactly. What is nearly the same has at least four fifths of its shingles in
/// common, the same numbers and the same labels: problems that differ in a number are two problems.
struct Duplicates: DataDetector {
  /// The least similarity of near duplicates.
  static let threshold = 0.8
  /// The fewest shingles of a text that has near duplicates: short texts differ by what they are about.
  static let leastShingles = 10

  /// An example by its question and its answer.
  struct Entry: BitwiseCopyable {
    let question: UInt64
    let answer: UInt64
    let place: UInt64
  }

  /// An example by a band of its signature.
  struct Band: BitwiseCopyable {
    let key: UInt64
    let place: UInt64
  }

  private let evaluationName: String
  private let store = ExampleStore()
  private let hashing = MinHash()
  private var entries = PartitionedRecords<Entry>()
  private var bands = PartitionedRecords<Band>()
  private var evaluationCount = 0
  /// The examples that were found already, a bit each.
  private var found: [UInt64] = []

  /// Creates a detector; `evaluationName` is what the evaluation set is called.
  init(evaluationName: String = "the evaluation data") { self.evaluationName = evaluationName }

  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) throws {
    try add(example, split: 0)
  }

  mutating func examineEvaluation(_ example: CheckedExample) throws {
    evaluationCount += 1
    try add(example, split: 1)
  }

  private mutating func add(_ example: CheckedExample, split: UInt32) throws {
    guard let (question, answer) = example.identity else { return }
    let shingles = example.shingles
    var numbers: UInt64 = 0
    for turn in example.turns { numbers = (numbers ^ turn.words.numbers) &* 0x9e37_79b9_7f4a_7c15 }
    let place = try store.append(
      ExampleStore.Header(
        number: UInt32(truncatingIfNeeded: example.number),
        line: UInt32(truncatingIfNeeded: example.line), split: split, count: 0, numbers: numbers,
        labels: example.labels.isEmpty ? 0 : answer),
      shingles: shingles)
    try entries.append(Entry(question: question, answer: answer, place: place), key: question)
    guard shingles.count >= Self.leastShingles else { return }
    for key in hashing.bands(of: shingles) {
      try bands.append(Band(key: key, place: place), key: key)
    }
  }

  mutating func finish(_ log: inout FindingLog) throws {
    try findSame(&log)
    try findSimilar(&log)
  }

  // MARK: - The same

  private mutating func findSame(_ log: inout FindingLog) throws {
    var entries = entries
    self.entries = PartitionedRecords()
    try entries.drain(by: Self.isBefore) { partition in
      try partition.forEachRun({ $0.question == $1.question }) { run in
        guard run.count > 1 else { return }
        try run.forEachRun({ $0.answer == $1.answer }) { try reportSame($0, &log) }
        try reportConflict(run, &log)
      }
    }
  }

  private static func isBefore(_ left: Entry, _ right: Entry) -> Bool {
    (left.question, left.answer, left.place) < (right.question, right.answer, right.place)
  }

  /// Reports examples with one question and one answer; those of the evaluation set stand last.
  private mutating func reportSame(_ run: ArraySlice<Entry>, _ log: inout FindingLog) throws {
    guard run.count > 1, let last = run.last, let entry = run.first else { return }
    let (first, evaluation) = (
      try store.header(at: entry.place), try store.header(at: last.place)
    )
    guard first.split == 0 else { return }
    for (index, entry) in run.enumerated() {
      let header = try store.header(at: entry.place)
      guard header.split == 0 else { return }
      if evaluation.split == 1 {
        mark(header)
        log.add(.splitDuplicate, header, "line \(evaluation.line) of \(evaluationName) is the same")
      } else if index > 0 {
        mark(header)
        log.add(.duplicate, header, "the same as " + log.place(of: first, seenFrom: header))
      }
    }
  }

  /// Reports examples with one question and several answers. Each differs from the commonest, or from the
  /// first where none is.
  private mutating func reportConflict(_ run: ArraySlice<Entry>, _ log: inout FindingLog) throws {
    var answers: [(examples: [Entry], first: ExampleStore.Header)] = []
    try run.forEachRun({ $0.answer == $1.answer }) { group in
      let header = try store.header(at: group[group.startIndex].place)
      if header.split == 0 { answers.append((Array(group), header)) }
    }
    guard answers.count > 1 else { return }
    answers.sort { $0.first.number < $1.first.number }
    let most = answers.map(\.examples.count).max() ?? 0
    let best = answers.firstIndex { $0.examples.count == most } ?? 0
    let hasMajority = answers.count { $0.examples.count == most } == 1
    let reference = try store.example(at: answers[best].examples[0].place)
    for (index, answer) in answers.enumerated() where index != best {
      for entry in answer.examples {
        let header = try store.header(at: entry.place)
        guard header.split == 0, !isMarked(header) else { continue }
        let other = try store.example(at: entry.place)
        // Two wordings of one answer are near duplicates.
        if other.shingles.count >= Self.leastShingles,
          other.header.numbers == reference.header.numbers,
          other.header.labels == reference.header.labels,
          other.similarity(to: reference) >= Self.threshold
        {
          continue
        }
        mark(header)
        log.add(
          .conflict, header,
          log.place(of: reference.header, seenFrom: header) + " answers the same question otherwise"
            + (hasMajority ? ", as \(most) examples do" : ""))
      }
    }
  }

  // MARK: - Nearly the same

  private mutating func findSimilar(_ log: inout FindingLog) throws {
    var bands = bands
    self.bands = PartitionedRecords()
    try bands.drain(by: { ($0.key, $0.place) < ($1.key, $1.place) }) { partition in
      try partition.forEachRun({ $0.key == $1.key }) { run in
        if run.count > 1 { try compare(run.map(\.place), &log) }
      }
    }
  }

  /// Compares what shares a band: each example with the first, the one before, and the evaluation set's.
  private mutating func compare(_ places: [UInt64], _ log: inout FindingLog) throws {
    let first = try store.example(at: places[0])
    guard first.header.split == 0 else { return }
    let last = try store.example(at: places[places.count - 1])
    var previous = first
    for (index, place) in places.enumerated() {
      let example = index == 0 ? first : try store.example(at: place)
      guard example.header.split == 0 else { return }
      defer { previous = example }
      if isMarked(example.header) { continue }
      if last.header.split == 1, let share = Self.similarity(example, last) {
        mark(example.header)
        log.add(
          .splitDuplicate, example.header,
          "line \(last.header.line) of \(evaluationName) is \(share) the same")
        continue
      }
      for other in index > 1 ? [first, previous] : index == 1 ? [first] : [] {
        guard let share = Self.similarity(example, other) else { continue }
        mark(example.header)
        log.add(
          .nearDuplicate, example.header,
          "\(share) the same as " + log.place(of: other.header, seenFrom: example.header))
        break
      }
    }
  }

  /// How alike near duplicates are, in per cent; nil for others.
  private static func similarity(
    _ left: ExampleStore.Stored, _ right: ExampleStore.Stored
  ) -> String? {
    guard left.header.numbers == right.header.numbers, left.header.labels == right.header.labels
    else { return nil }
    let share = left.similarity(to: right)
    return share >= threshold ? "\(Int(share * 100)) %" : nil
  }

  // MARK: - What was found

  private mutating func mark(_ header: ExampleStore.Header) {
    let word = Int(header.number) / 64
    if word >= found.count {
      found.append(contentsOf: repeatElement(0, count: word + 1 - found.count))
    }
    found[word] |= 1 << UInt64(header.number % 64)
  }

  private func isMarked(_ header: ExampleStore.Header) -> Bool {
    let word = Int(header.number) / 64
    return word < found.count && found[word] >> UInt64(header.number % 64) & 1 == 1
  }
}

extension FindingLog {
  fileprivate func place(
    of header: ExampleStore.Header, seenFrom other: ExampleStore.Header
  ) -> String {
    place(line: Int(header.line), of: Int(header.number), seenFrom: Int(other.number))
  }

  fileprivate mutating func add(
    _ kind: Finding.Kind, _ header: ExampleStore.Header, _ detail: String
  ) {
    add(Finding(kind, line: Int(header.line), example: Int(header.number), detail: detail))
  }
}

extension CheckedExample {
  /// Hashes of what is asked and what is answered; nil where there is no text. The answer is that of the
  /// last message, or the labels; a text without them has none.
  fileprivate var identity: (question: UInt64, answer: UInt64)? {
    guard turns.contains(where: { !$0.words.hash.isEmpty }) else { return nil }
    var (question, answer) = (TextHash(), TextHash())
    let split = lastAnswer?.place ?? turns.count
    for (index, turn) in turns.enumerated() {
      if index < split {
        question.combine(turn.role)
        // A question of marks alone is told by them, and a text that is no question by all it has.
        let isPlain = lastAnswer != nil && !turn.words.plainHash.isEmpty
        question.combine(isPlain ? turn.words.plainHash : turn.words.hash)
      } else {
        answer.combine(turn.role)
        answer.combine(turn.words.hash)
      }
    }
    for label in labels { answer.combine(label) }
    // Several answers to one prompt are what preferences are made of: PreferenceOrder looks at these.
    if preference != nil {
      question.combine(answer)
      answer = TextHash()
      answer.combine("preference")
    }
    return (question.first ^ question.second, answer.first ^ answer.second)
  }

  /// The shingles of all it says but the system's part, each once, in order of their numbers.
  fileprivate var shingles: [UInt32] {
    var result: [UInt32] = []
    for turn in turns where turn.role != "system" {
      let words = turn.words.words
      guard let first = words.first else { continue }
      if words.count == 1 { result.append(first) }
      result.reserveCapacity(result.count + words.count)
      for index in words.indices.dropFirst() {
        result.append((words[index - 1] &* 0x85eb_ca6b ^ words[index]) &* 0xc2b2_ae35)
      }
    }
    result.sort()
    var count = 0
    for index in result.indices where index == 0 || result[index] != result[index - 1] {
      result[count] = result[index]
      count += 1
    }
    result.removeSubrange(count...)
    return result
  }
}
