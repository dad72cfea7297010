public import LoRAFiles

/// The records of a data file that were changed or left out.
public struct DataReport: Sendable, Hashable {
  /// The records that were treated in one way.
  public struct Records: Sendable, Hashable {
    /// The number of records.
    public private(set) var count = 0
    /// The lines of the first records, from 1.
    public private(set) var lines: [Int] = []

    mutating func add(line: Int) {
      count += 1
      if lines.count < 5 { lines.append(line) }
    }

    /// "line 4", "lines 4, 9", "lines 1, 2, 3, 4, 5, ...".
    func places(_ unit: String) -> String {
      "\(unit)\(count == 1 ? "" : "s") " + lines.map { "\($0)" }.joined(separator: ", ")
        + (count > lines.count ? ", ..." : "")
    }
  }

  /// Records that were too long and were split into several examples.
  public internal(set) var split = Records()
  /// The number of examples that these became.
  public internal(set) var splitExamples = 0
  /// Texts whose end was cut, and prompts whose beginning was cut.
  public internal(set) var truncated = Records()
  /// Those of the truncated pairs whose completion was cut too.
  public internal(set) var cutCompletions = Records()
  /// Conversations that lost their oldest messages.
  public internal(set) var shortened = Records()
  /// Records left out because they are invalid.
  public internal(set) var invalid = Records()
  /// The errors of the first of these, at most ``mostErrors``.
  public private(set) var errors: [FormatError] = []
  /// The number of errors that are kept.
  public static let mostErrors = 1000
  /// Records left out because they are too long.
  public internal(set) var skipped = Records()
  /// Records left out because they have nothing to predict.
  public internal(set) var empty = Records()
  /// Records with data fields that are not used.
  public internal(set) var ambiguous = Records()
  /// The unused fields of the first such record.
  public internal(set) var unusedFields: [String] = []
  /// The largest number of positions per example.
  package internal(set) var limit = 0
  /// The assumed format of a file whose name does not determine it; nil if the name does.
  public internal(set) var assumedFormat: DataFile.Format?
  /// How fields without names of the library's were recognized; nil where they had such names.
  public internal(set) var recognition: String?
  /// The unit of the record numbers: lines of a file, or rows of a tensor.
  package let unit: String

  init(unit: String) { self.unit = unit }

  mutating func add(invalid error: FormatError, line: Int) {
    invalid.add(line: line)
    if errors.count < Self.mostErrors { errors.append(error) }
  }

  /// Notes for the user: the assumed format and the recognized fields, if any, and one sentence for each kind of change.
  public var notes: [String] {
    var notes: [String] = []
    if let assumedFormat { notes.append(assumedFormat.assumption) }
    if let recognition { notes.append(recognition) }
    func note(_ records: Records, _ singular: String, _ plural: String) {
      guard records.count > 0 else { return }
      notes.append(
        "\(records.count) \(records.count == 1 ? singular : plural) (\(records.places(unit)))")
    }
    // An example of n tokens has n - 1 positions: the last token is only predicted.
    let long = "longer than \(limit + 1) tokens (\(limit) position\(limit == 1 ? "" : "s"))"
    note(
      split, "example \(long) was split into \(splitExamples)",
      "examples \(long) were split into \(splitExamples)")
    note(truncated, "example \(long) was cut", "examples \(long) were cut")
    note(
      shortened, "conversation \(long) lost its oldest messages",
      "conversations \(long) lost their oldest messages")
    note(
      cutCompletions, "of them lost the end of its completion",
      "of them lost the ends of their completions")
    note(skipped, "example \(long) was left out", "examples \(long) were left out")
    note(
      invalid, "invalid record was left out", "invalid records were left out")
    note(
      empty, "example with nothing to predict was left out",
      "examples with nothing to predict were left out")
    let fields = unusedFields.map { "'\($0)'" }.joined(separator: ", ")
    note(
      ambiguous, "example has \(fields) beside what is trained; it is not used",
      "examples have fields as \(fields) beside what is trained; these are not used")
    return notes
  }
}
