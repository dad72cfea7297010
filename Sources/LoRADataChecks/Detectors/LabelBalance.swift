/// Labels that are far rarer or commoner than the others, and labels that are written in two ways.
///
/// Labels are those of the file, or short answers where there are few different ones. A label is rare with
/// less than a twentieth of what labels have on average, and common with more than nine tenths of all.
struct LabelBalance: DataDetector {
  private static let mostLabels = 2000
  private static let rareShare = 0.05
  private static let commonShare = 0.9
  private static let longestAnswer = 40

  private struct Use {
    var count = 0
    var examples: [(number: Int, line: Int)] = []
  }

  private var uses: [String: Use] = [:]
  private var exampleCount = 0
  private var isLabelled = false
  private var isOver = false

  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
    guard !isOver else { return }
    if exampleCount == 0 { isLabelled = !example.labels.isEmpty }
    var labels = example.labels
    if !isLabelled {
      guard let (_, answer) = example.lastAnswer else { return }
      guard answer.text.utf8.count <= Self.longestAnswer, !answer.text.contains("\n") else {
        return end()
      }
      labels = [answer.text]
    }
    exampleCount += 1
    for label in labels {
      var use = uses[label] ?? Use()
      use.count += 1
      if use.examples.count < 1000 { use.examples.append((example.number, example.line)) }
      uses[label] = use
    }
    if uses.count > Self.mostLabels { end() }
  }

  private mutating func end() {
    isOver = true
    uses = [:]
  }

  mutating func finish(_ log: inout FindingLog) {
    let total = uses.values.reduce(0) { $0 + $1.count }
    // Many different answers are no labels.
    guard !isOver, uses.count > 1, total >= 50, isLabelled || total >= 20 * uses.count else {
      return
    }
    let known = reportSpellings(&log)
    let mean = Double(total) / Double(uses.count - known.count)
    for (label, use) in uses.sorted(by: { $0.key < $1.key }) where !known.contains(label) {
      let share = Double(use.count) / Double(total)
      if share > Self.commonShare {
        log.add(
          Finding(
            .unbalanced, line: use.examples[0].line, example: use.examples[0].number,
            detail: "\(use.count) of \(total) examples have the label \(Excerpt.of(label))"))
      } else if Double(use.count) < mean * Self.rareShare {
        for example in use.examples {
          log.add(
            Finding(
              .unbalanced, line: example.line, example: example.number,
              detail: "only \(use.count) of \(total) examples have the label \(Excerpt.of(label))"))
        }
      }
    }
  }

  /// Reports labels that differ from a commoner one in case, white space or marks only.
  private func reportSpellings(_ log: inout FindingLog) -> Set<String> {
    var spellings: [String: [String]] = [:]
    for label in uses.keys {
      let letters = label.lowercased().filter { $0.isLetter || $0.isNumber }
      // "C" and "C++" are two, "book flight" and "book_flight." one.
      let spelling =
        letters.count >= 4 ? letters : label.lowercased().filter { !$0.isWhitespace }
      if !spelling.isEmpty { spellings[spelling, default: []].append(label) }
    }
    var known: Set<String> = []
    for labels in spellings.values where labels.count > 1 {
      let sorted = labels.sorted { (uses[$0]?.count ?? 0, $0) > (uses[$1]?.count ?? 0, $1) }
      for label in sorted.dropFirst() {
        known.insert(label)
        for example in uses[label]?.examples ?? [] {
          log.add(
            Finding(
              .label, line: example.line, example: example.number,
              detail: "the label '\(label)' is '\(sorted[0])' elsewhere"))
        }
      }
    }
    return known
  }
}
