package import LoRAFiles
public import LoRAText

extension LabelledDataSet {
  /// A data set of texts, or of pairs of them, inside the tokenizer's template, and what became of those
  /// that are too long, a sentence each.
  ///
  /// ```swift
  /// let texts = try LabelledText.read("questions.jsonl")
  /// let labels = try LabelSet(of: texts, file: "questions.jsonl")
  /// let (data, notes) = try LabelledDataSet.encoding(
  ///   texts, labels: labels, tokenizer: tokenizer, longest: 128)
  /// ```
  ///
  /// - Parameters:
  ///   - texts: the examples, each with its labels.
  ///   - labels: what they are told apart by.
  ///   - tokenizer: the model's tokenizer.
  ///   - longest: the most tokens of an example, special ones included.
  ///   - longExamples: what to do with a longer one. Cut, it loses its end, token by token of the longer
  ///     text of a pair, as by transformers' `longest_first`; it can't be split.
  ///   - source: the name of the data in errors, such as its file's name.
  ///
  /// Throws `FormatError` for an example without labels or with one that is not among `labels`, and
  /// ``TrainingError``.
  public static func encoding(
    _ texts: [LabelledText], labels: LabelSet, tokenizer: any Tokenizer, longest: Int,
    longExamples: LongExamples = .truncate, source: String = "the texts"
  ) throws -> (data: LabelledDataSet, notes: [String]) {
    var long = try LongExampleTally(longExamples, limit: longest, source: source)
    var examples: [Example] = []
    examples.reserveCapacity(texts.count)
    for text in texts {
      let numbers = try labels.numbers(of: text, file: source)
      let (encoding, isCut) = try tokenizer.encode(
        text.text, pairedWith: text.second, limit: longest, file: source, line: text.line)
      if isCut, try !long.keeps(line: text.line) { continue }
      examples.append(
        Example(tokens: encoding.ids, types: encoding.typesOfPair, labels: numbers))
    }
    return (try LabelledDataSet(examples, source: source), long.notes)
  }
}

/// The examples of a data set that are longer than allowed, and what becomes of them: they can't be split,
/// as a part of a text does not have its label.
struct LongExampleTally {
  private let choice: LongExamples
  private let limit: Int
  private let source: String
  private var lines: [Int] = []

  /// Throws for the choice to split them.
  init(_ choice: LongExamples, limit: Int, source: String) throws(TrainingError) {
    guard choice != .split else {
      throw .invalidOption(
        name: "what becomes of long examples", value: "split",
        expected: "error, truncate or skip: a part of a text does not have its label")
    }
    self.choice = choice
    self.limit = limit
    self.source = source
  }

  /// Counts the example on `line`; whether it is kept, cut. Throws where none may be longer.
  mutating func keeps(line: Int) throws(FormatError) -> Bool {
    guard choice != .error else {
      throw LabelledText.error(
        source, line, "the example has more than \(limit) tokens",
        "allow longer sequences, or cut it")
    }
    // One that a file's weight repeats stands behind itself.
    if lines.last != line { lines.append(line) }
    return choice == .truncate
  }

  /// What became of them, a sentence if there were any.
  var notes: [String] {
    guard let first = lines.first else { return [] }
    return [
      "\(lines.count) example\(lines.count == 1 ? " was" : "s were") longer than \(limit) tokens and "
        + "\(choice == .skip ? "left out" : "cut"), the first on line \(first)"
    ]
  }
}

extension TypedEncoding {
  /// The types where they say something: nil if all are 0.
  var typesOfPair: [Int]? { types.allSatisfy { $0 == 0 } ? nil : types }
}

extension Tokenizer {
  /// The ids and types of one text or two, at most `limit` of them. Throws `FormatError` where the
  /// template alone is longer, or where nothing is left of a text.
  package func encode(
    _ text: String, pairedWith second: String?, limit: Int, file: String, line: Int
  ) throws(FormatError) -> (encoding: TypedEncoding, isCut: Bool) {
    var whole = encode(text, pairedWith: second)
    guard whole.ids.count > limit else { return (whole, false) }
    var counts = [encode(text, addSpecialTokens: false).count]
    if let second { counts.append(encode(second, addSpecialTokens: false).count) }
    let special = whole.ids.count - counts.reduce(0, +)
    guard special + counts.count <= limit else {
      throw noRoom(for: special, limit, file, line)
    }
    let kept = Self.kept(of: counts, in: limit - special)
    // The second text first: removing it moves nothing before it.
    let before = template.before.count
    var ends = [before + counts[0]]
    if counts.count == 2 { ends.append(whole.ids.count - template.after.count) }
    for index in ends.indices.reversed() {
      let range = ends[index] - (counts[index] - kept[index])..<ends[index]
      whole.ids.removeSubrange(range)
      whole.types.removeSubrange(range)
    }
    return (whole, true)
  }

  func noRoom(for special: Int, _ limit: Int, _ file: String, _ line: Int) -> FormatError {
    FormatError(
      .invalidValue, file: file, subject: "line \(line)",
      problem:
        "the tokenizer puts \(special) tokens round a text, which leaves it none of \(limit)",
      remedy: "allow longer sequences")
  }

  /// How many tokens of texts of these lengths remain where there are `limit`: the longer of two is cut
  /// first, and of an odd number it keeps the one more, as in Hugging Face's tokenizers.
  private static func kept(of counts: [Int], in limit: Int) -> [Int] {
    guard counts.count == 2 else { return [limit] }
    var (shorter, longer) = (min(counts[0], counts[1]), max(counts[0], counts[1]))
    longer = max(shorter, limit - shorter)
    if shorter + longer > limit {
      shorter = limit / 2
      longer = limit - shorter
    }
    return counts[0] > counts[1] ? [longer, shorter] : [shorter, longer]
  }
}
