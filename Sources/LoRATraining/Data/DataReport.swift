/// What became of the records of a data file that are not rows as they were.
public struct DataReport: Sendable, Hashable {
  /// Some records of one fate.
  public struct Records: Sendable, Hashable {
    /// How many there are.
    public private(set) var count = 0
    /// The lines of the first ones, from 1.
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

  /// Records that were longer than a row and became several.
  public internal(set) var split = Records()
  /// The rows that these became.
  public internal(set) var splitRows = 0
  /// Texts that lost their end, and prompts that lost their beginning.
  public internal(set) var truncated = Records()
  /// Of those the pairs whose completion lost its end too.
  public internal(set) var cutCompletions = Records()
  /// Records that were left out because they are too long.
  public internal(set) var skipped = Records()
  /// Records that were left out because they have nothing to predict.
  public internal(set) var empty = Records()
  /// Records with fields that are data too but are not used, and the names of those of the first.
  public internal(set) var ambiguous = Records()
  /// The fields of the first ambiguous record that are not used.
  public internal(set) var unusedFields: [String] = []
  /// The most positions that a row may have.
  public internal(set) var limit = 0
  /// The format that was assumed of a file whose name does not say it; nil if the name does.
  public internal(set) var assumedFormat: DataFile.Format?
  /// What the numbers count: lines of a file, or rows of a tensor.
  public let unit: String

  init(unit: String) { self.unit = unit }

  /// How the file was read if its name does not say it, and each fate, a sentence each.
  public var notes: [String] {
    var notes: [String] = []
    if let assumedFormat { notes.append(assumedFormat.assumption) }
    func note(_ records: Records, _ singular: String, _ plural: String) {
      guard records.count > 0 else { return }
      notes.append(
        "\(records.count) \(records.count == 1 ? singular : plural) (\(records.places(unit)))")
    }
    // A row of n tokens has n - 1 positions: the last token is only predicted.
    let long = "longer than \(limit + 1) tokens (\(limit) position\(limit == 1 ? "" : "s"))"
    note(
      split, "row \(long) was split into \(splitRows)", "rows \(long) were split into \(splitRows)")
    note(truncated, "row \(long) was cut", "rows \(long) were cut")
    note(
      cutCompletions, "of them lost the end of its completion",
      "of them lost the ends of their completions")
    note(skipped, "row \(long) was left out", "rows \(long) were left out")
    note(
      empty, "row with nothing to predict was left out",
      "rows with nothing to predict were left out")
    let fields = unusedFields.map { "'\($0)'" }.joined(separator: ", ")
    note(
      ambiguous, "row has \(fields) beside what is trained; it is not used",
      "rows have fields as \(fields) beside what is trained; these are not used")
    return notes
  }
}
