import LoRAFiles
import LoRAText

/// Builds the examples of a data set from records, one at a time, of any length.
struct ExampleBuilder {
  /// What kind of record an example comes from.
  enum Kind {
    /// A file of plain text, which is there to be cut.
    case document
    /// A text that is a record of its own.
    case text
    /// A prompt and its completion.
    case pair
    /// A conversation.
    case chat
    /// Ready token ids.
    case tokens

    var standard: LongExamples {
      switch self {
      case .document, .text: .split
      case .pair, .chat: .truncate
      case .tokens: .error
      }
    }
  }

  private(set) var report: DataReport
  private var storage: ExampleStorage
  /// The split key of the record that is added; nil: an example's is that of its tokens.
  var key: UInt64?
  private var hasWeights = false
  let source: String
  private let unit: DataUnit
  /// The number of records that were seen.
  private var recordCount = 0
  private let options: DataOptions
  /// The most positions of a ready example where the options don't say.
  private let modelLimit: Int
  /// The file's format, if only its content says it.
  var assumedFormat: DataFile.Format? {
    get { report.assumedFormat }
    set { report.assumedFormat = newValue }
  }
  /// How its fields were recognized, for the report.
  var recognition: String? {
    get { report.recognition }
    set { report.recognition = newValue }
  }
  /// How many tokens the template puts before a prompt.
  var opening: Int
  /// How many tokens stand behind the source of an encoder-decoder, which loses its end, not its
  /// beginning; 0 for other models.
  var closing = 0

  init(
    source: String, unit: DataUnit = .line, options: DataOptions, modelLimit: Int = .max,
    opening: Int = 0
  ) {
    self.source = source
    self.unit = unit
    self.options = options
    self.modelLimit = modelLimit
    self.opening = opening
    storage = ExampleStorage(memoryLimit: options.memoryLimit)
    report = DataReport(unit: unit == .row ? "row" : "line")
  }

  /// Adds the example of `ids`, of which `given` are a prompt's.
  mutating func append(
    _ ids: some RandomAccessCollection<Int32>, given: Int = 0, _ kind: Kind, line: Int
  ) throws(FormatError) {
    recordCount += 1
    let length = ids.count - 1
    guard length > max(0, given - 1) else { return try leaveOut(ids.count, kind, line) }
    let limit = kind == .tokens && options.longExamples == nil ? modelLimit : options.sequenceLength
    if length <= limit { return add(ids, given: given, line: line) }
    report.limit = limit
    switch options.longExamples ?? kind.standard {
    case .error: throw tooLong(ids.count, limit, line)
    case .skip: report.skipped.add(line: line)
    case .truncate:
      report.truncated.add(line: line)
      if kind == .pair { return cutPair(ids, to: limit, given: given, line: line) }
      add(ids.prefix(limit + 1), given: given, line: line)
    case .split:
      if kind != .document { report.split.add(line: line) }
      let start = storage.tokens.count
      storage.tokens.append(contentsOf: ids)
      for offset in stride(from: 0, to: length, by: limit) {
        let (size, rest) = (min(limit, length - offset), max(0, given - offset))
        guard size > rest - 1 else { continue }
        add(
          .init(start: start + offset, length: size, given: rest, line: line),
          ids.dropFirst(offset).prefix(size + 1))
        if kind != .document { report.splitExamples += 1 }
      }
    }
  }

  /// Adds the example of a conversation with the weight of each id in the loss, 0 where it is not learned.
  /// `isWhole` is whether no message of it was left out to make it short.
  mutating func append(
    _ ids: [Int], weights: [Float], isWhole: Bool, line: Int
  ) throws(FormatError) {
    recordCount += 1
    let (length, limit) = (ids.count - 1, options.sequenceLength)
    let ids = ids.map { Int32(truncatingIfNeeded: $0) }
    if length <= limit, isWhole { return add(ids[...], weights[...], line: line) }
    report.limit = limit
    switch options.longExamples ?? Kind.chat.standard {
    case .error: throw tooLong(ids.count, limit, line)
    case .skip: report.skipped.add(line: line)
    case .truncate:
      let part = weights.prefix(limit + 1)
      guard part.dropFirst().contains(where: { $0 > 0 }) else {
        return report.skipped.add(line: line)
      }
      if isWhole { report.truncated.add(line: line) } else { report.shortened.add(line: line) }
      if length > limit, !isWhole { report.cutCompletions.add(line: line) }
      add(ids.prefix(limit + 1), part, line: line)
    case .split:
      report.split.add(line: line)
      for first in stride(from: 0, to: length, by: limit) {
        let range = first..<min(first + limit, length) + 1
        guard weights[range].dropFirst().contains(where: { $0 > 0 }) else { continue }
        add(ids[range], weights[range], line: line)
        report.splitExamples += 1
      }
    }
  }

  /// Whether a conversation of `count` tokens must lose messages.
  func mustShorten(_ count: Int) -> Bool {
    count - 1 > options.sequenceLength && (options.longExamples ?? Kind.chat.standard) == .truncate
  }

  private mutating func add(_ ids: ArraySlice<Int32>, _ part: ArraySlice<Float>, line: Int) {
    let learned = part.dropFirst()
    guard ids.count > 1, learned.contains(where: { $0 > 0 }) else {
      return report.empty.add(line: line)
    }
    add(
      .init(
        start: storage.tokens.count, length: ids.count - 1, given: 0,
        targets: storage.targets.count, line: line), ids)
    hasWeights = hasWeights || learned.contains { $0 > 0 && $0 != 1 }
    if hasWeights { storage.append(weights: learned, of: storage.targets.count) }
    storage.tokens.append(contentsOf: ids.dropLast())
    storage.targets.append(
      contentsOf: zip(ids.dropFirst(), learned).map { $1 > 0 ? $0 : Int32(TrainingExample.ignored) }
    )
  }

  private func tooLong(_ count: Int, _ limit: Int, _ line: Int) -> FormatError {
    FormatError(
      .invalidValue, file: source, subject: unit.place(recordCount, line),
      problem: "it has \(count) tokens, more than the \(limit + 1) "
        + "(\(limit) position\(limit == 1 ? "" : "s")) that an example may have",
      remedy: "choose what becomes of long examples: truncate, skip or split them (--long-rows)")
  }

  /// The prompt loses its beginning, but for what the template puts there, or a source its end; a
  /// completion that is too long by itself loses its end.
  private mutating func cutPair(
    _ ids: some RandomAccessCollection<Int32>, to limit: Int, given: Int, line: Int
  ) {
    let completion = ids.dropFirst(given)
    var room = limit + 1 - completion.count
    let least = min(given, max(1, (limit + 1) / 2))
    if room < min(given, opening + closing + 1) {
      room = least
      report.cutCompletions.add(line: line)
    }
    let head = ids.prefix(
      closing > 0 ? max(0, room - closing) : min(opening, max(0, room - 1)))
    let prompt = ids.prefix(given).suffix(room - head.count)
    let cut = Array(head) + Array(prompt) + Array(completion.prefix(limit + 1 - room))
    add(cut, given: room, line: line)
  }

  private mutating func add(
    _ ids: some RandomAccessCollection<Int32>, given: Int, line: Int
  ) {
    add(.init(start: storage.tokens.count, length: ids.count - 1, given: given, line: line), ids)
    storage.tokens.append(contentsOf: ids)
  }

  private mutating func add(_ span: TokenDataSet.Span, _ ids: some Sequence<Int32>) {
    storage.spans.append(span)
    storage.keys.append(key ?? DataSplit.key(of: ids.lazy.map { Int64($0) }))
  }

  /// Notes a record that is none.
  mutating func leaveOut(invalid error: FormatError, line: Int) {
    recordCount += 1
    report.add(invalid: error, line: line)
  }

  private mutating func leaveOut(_ count: Int, _ kind: Kind, _ line: Int) throws(FormatError) {
    guard kind == .tokens else { return report.empty.add(line: line) }
    throw FormatError(
      .invalidValue, file: source, subject: unit.place(recordCount, line),
      problem: "it has \(count) token\(count == 1 ? "" : "s"), and so nothing to predict",
      remedy: "give examples of at least two")
  }

  /// Notes that a record has fields which are not used.
  mutating func note(unused fields: [String], line: Int) {
    guard !fields.isEmpty else { return }
    if report.ambiguous.count == 0 { report.unusedFields = fields }
    report.ambiguous.add(line: line)
  }

  /// Notes that a record has no text.
  mutating func leaveOut(line: Int) {
    recordCount += 1
    report.empty.add(line: line)
  }

  /// The data set. Throws if no example is left.
  func dataSet() throws -> TokenDataSet {
    let notes = report.notes.dropFirst(
      (assumedFormat == nil ? 0 : 1) + (recognition == nil ? 0 : 1))
    guard !storage.spans.isEmpty || notes.isEmpty else {
      throw FormatError(
        .invalidValue, file: source,
        problem: "no example is left: " + notes.joined(separator: "; "),
        remedy: "give longer texts, or a larger --sequence-length")
    }
    return try TokenDataSet(storage, sources: [DataSource(name: source, unit: unit)])
  }
}

/// What the numbers of records count.
enum DataUnit: Sendable {
  /// Lines of a file.
  case line
  /// Elements of a list in a file, of which a line may have many.
  case element
  /// Rows of a tensor.
  case row

  /// Where the record of a number is, which has the line or row `line`.
  func place(_ number: Int, _ line: Int) -> String {
    switch self {
    case .line: "line \(line)"
    case .element: "example \(number) (line \(line))"
    case .row: "row \(line)"
    }
  }
}
