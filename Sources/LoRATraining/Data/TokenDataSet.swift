public import LoRATensor

/// Token sequences of different lengths, batched with padding on the right.
///
/// ```swift
/// let data = try TokenDataSet(sequences: [[1, 5, 7, 2], [1, 6, 2]])
/// data.batch(of: [0, 1]).tokens   // [[1, 5, 7], [1, 6, 0]]
/// data.batch(of: [0, 1]).targets  // [[5, 7, 2], [6, 2, -100]]
/// ```
///
/// Causal attention never looks to the right, so padding needs no mask and changes no result. A
/// token takes four bytes, an example some 50. ``DataReader`` reads data sets from files; what is more than
/// ``DataOptions/memoryLimit`` it puts into a temporary file.
public struct TokenDataSet: TrainingData {
  /// The multiple of positions that batches are padded to.
  public var paddingMultiple = 1
  /// The token id of padding; its targets are ignored.
  public var paddingToken = 0
  /// The name of the data in errors, such as its file's name; of several with commas between them.
  public var source: String { sources.map(\.name).joined(separator: ", ") }
  let sources: [DataSource]
  /// The number of positions of the longest example.
  public let longestExample: Int
  /// The number of targets that are not ignored, over all examples.
  public let targetCount: Int
  let tokens: TokenBuffer
  let targets: TokenBuffer
  /// The weight of each explicit target in the loss; empty where all are 1.
  let weights: SpilledArray<Float>
  let spans: SpilledArray<Span>
  /// The split key of each span; empty where that is what its tokens say.
  let keys: SpilledArray<UInt64>
  /// Whether a batch is one sequence of all its examples, which do not see each other, instead of one of
  /// each, padded to the longest. The loss is the same; the work is that of the tokens there are.
  public var isPacked = false

  /// A batch of tokens and targets, int64, `[batch, positions]`.
  public struct Batch: Sendable {
    /// The token ids, not yet checked.
    public let tokens: Tensor
    /// The next token ids, -100 where ignored.
    public let targets: Tensor
    /// How much each target counts in the loss, float32; nil where all count once.
    public let weights: Tensor?
    /// The lengths of the sequences that are packed one behind the other; nil where there is one an item.
    public let packedLengths: [Int]?
  }

  /// Creates a data set of sequences of `tokens`, each with something to predict.
  init(
    _ spans: [Span], tokens: TokenBuffer, targets: TokenBuffer = TokenBuffer(), source: String
  ) throws(TrainingError) {
    try self.init(
      SpilledArray(spans), tokens: tokens, targets: targets, weights: SpilledArray(),
      keys: SpilledArray(), sources: [DataSource(name: source, unit: .line)])
  }

  /// Creates a data set of sequences that come from `sources`.
  init(
    _ spans: SpilledArray<Span>, tokens: TokenBuffer, targets: TokenBuffer,
    weights: SpilledArray<Float>, keys: SpilledArray<UInt64>, sources: [DataSource]
  ) throws(TrainingError) {
    guard !spans.isEmpty else {
      throw .emptyData(source: sources.map(\.name).joined(separator: ", "))
    }
    // Counted once: explicit targets may be in a file.
    var counted = SpilledArray<Span>(limit: spans.limit)
    let isCounted = spans.allSatisfy { $0.targets == nil || $0.learned != nil }
    if !isCounted {
      for span in spans {
        var span = span
        if span.learned == nil { span.learned = span.targetCount(in: targets) }
        counted.append(span)
      }
    }
    self.spans = isCounted ? spans : counted
    self.keys = keys
    self.sources = sources
    self.tokens = tokens
    self.targets = targets
    self.weights = weights
    var (longest, count) = (0, 0)
    for span in self.spans {
      longest = max(longest, span.length)
      count += span.targetCount(in: targets)
    }
    (longestExample, targetCount) = (longest, count)
  }

  /// Creates a data set of examples.
  ///
  /// - Parameters:
  ///   - examples: the examples, at least one.
  ///   - source: the name of the data in errors, such as its file's name.
  ///
  /// Throws ``TrainingError`` if there is no example, or if one has nothing to predict.
  public init(
    examples: [TrainingExample], source: String = "the examples"
  ) throws(TrainingError) {
    var (tokens, targets) = (TokenBuffer(), TokenBuffer())
    var spans: [Span] = []
    spans.reserveCapacity(examples.count)
    for (index, example) in examples.enumerated() {
      guard example.tokens.count == example.targets.count else {
        throw .unequalLengths(
          example: index, tokens: example.tokens.count, targets: example.targets.count)
      }
      guard example.targetCount > 0 else { throw .noTargets(example: index) }
      var span = Span(start: tokens.count, length: example.tokens.count, given: 0)
      tokens.append(contentsOf: try Self.narrowed(example.tokens))
      if let given = example.promptLength {
        span.given = given
        tokens.append(contentsOf: try Self.narrowed(example.targets.suffix(1)))
      } else {
        span.targets = targets.count
        targets.append(contentsOf: try Self.narrowed(example.targets))
      }
      spans.append(span)
    }
    try self.init(spans, tokens: tokens, targets: targets, source: source)
  }

  /// Creates a data set of token sequences; each token is predicted from those before it in its
  /// sequence.
  public init(sequences: [[Int]], source: String = "the sequences") throws(TrainingError) {
    try self.init(examples: sequences.map { TrainingExample(sequence: $0) }, source: source)
  }

  /// Creates a data set from an integer tensor `[sequences, length]`.
  public init(sequences: Tensor, source: String = "the sequences") throws(TrainingError) {
    guard sequences.shape.count == 2, !sequences.dtype.isFloatingPoint, sequences.dtype != .bool
    else {
      throw .invalidOption(
        name: "the token tensor", value: "\(sequences.dtype) of shape \(sequences.shape)",
        expected: "integers, [sequences, length]")
    }
    let ids = sequences.converted(to: .int64).scalars(as: Int64.self)
    let length = sequences.shape[1]
    try self.init(
      sequences: (0..<sequences.shape[0]).map { row in
        ids[row * length..<(row + 1) * length].map { Int($0) }
      }, source: source)
  }

  /// Ids in four bytes; no vocabulary has more.
  static func narrowed(_ ids: some Collection<Int>) throws(TrainingError) -> [Int32] {
    if let id = ids.first(where: { Int32(exactly: $0) == nil }) {
      throw .invalidOption(name: "a token id", value: "\(id)", expected: "0 to \(Int32.max)")
    }
    return ids.map { Int32(truncatingIfNeeded: $0) }
  }

  /// The number of examples.
  public var exampleCount: Int { spans.count }

  /// The lengths of the longest examples, at most `count`.
  func longestExamples(_ count: Int) -> [Int] {
    Array(spans.map(\.length).sorted(by: >).prefix(count))
  }

  /// The examples, copied. Takes many times the memory of the data set.
  public var examples: [TrainingExample] { spans.indices.map { self[$0] } }

  /// The example at `index`.
  public subscript(index: Int) -> TrainingExample {
    var (tokens, targets) = ([Int64](), [Int64]())
    append(spans[index], to: &tokens, &targets)
    return TrainingExample(tokens: tokens.map { Int($0) }, targets: targets.map { Int($0) })
  }

  /// The number of targets in these examples that are not ignored.
  public func targetCount(of indexes: [Int]) -> Int {
    indexes.reduce(0) { $0 + spans[$1].targetCount(in: targets) }
  }

  /// The sum of the weights of the targets in these examples.
  public func targetWeight(of indexes: [Int]) -> Double {
    guard !weights.isEmpty else { return Double(targetCount(of: indexes)) }
    return indexes.reduce(0) { sum, index in
      let span = spans[index]
      guard let start = span.targets else { return sum + Double(span.targetCount(in: targets)) }
      return (start..<start + span.length).reduce(sum) {
        $0 + (targets[$1] >= 0 ? Double(weights[$1]) : 0)
      }
    }
  }

  /// The number of positions of these examples, without padding.
  public func tokenCount(of indexes: [Int]) -> Int {
    indexes.reduce(0) { $0 + spans[$1].length }
  }

  /// A fingerprint of every token and target, and of the padding. Time: one pass over the tokens.
  public var fingerprint: UInt64 {
    var hash = ContentHash()
    hash.combine(UInt64(truncatingIfNeeded: paddingMultiple))
    hash.combine(UInt64(truncatingIfNeeded: paddingToken))
    if isPacked { hash.combine("packed") }
    if !weights.isEmpty {
      hash.combine(UInt64(weights.count))
      for weight in weights { hash.combine(UInt64(weight.bitPattern)) }
    }
    var (tokens, targets) = ([Int64](), [Int64]())
    for span in spans {
      append(span, to: &tokens, &targets)
      tokens.withUnsafeBytes { hash.combine($0) }
      targets.withUnsafeBytes { hash.combine($0) }
      tokens.removeAll(keepingCapacity: true)
      targets.removeAll(keepingCapacity: true)
    }
    return hash.value
  }

  /// The place of the example at `index`, counted from 1: "line 7", "example 3 (line 1)" of a list,
  /// or "example 3" of data without lines; of several files with the file before it.
  package func place(of index: Int) -> String {
    let source = sources[spans[index].file]
    let place = spans[index].line.map { source.unit.place(index + 1, $0) } ?? "example \(index + 1)"
    return sources.count > 1 ? "\(source.name), \(place)" : place
  }

  /// The batch of the examples at these indexes, padded on the right to the longest, or packed.
  public func batch(of indexes: [Int]) -> Batch {
    let lengths = indexes.map { spans[$0].length }
    let multiple = max(1, paddingMultiple)
    func padded(_ length: Int) -> Int { (length + multiple - 1) / multiple * multiple }
    let length = padded(isPacked ? lengths.reduce(0, +) : lengths.max() ?? 0)
    let shape: Shape = isPacked ? [1, length] : [indexes.count, length]
    var (tokens, targets, weights) = ([Int64](), [Int64](), [Float]())
    tokens.reserveCapacity(shape.elementCount)
    targets.reserveCapacity(shape.elementCount)
    for (row, index) in indexes.enumerated() {
      append(spans[index], to: &tokens, &targets)
      append(weightsOf: spans[index], to: &weights)
      guard !isPacked || row + 1 == indexes.count else { continue }
      let padding = (isPacked ? 1 : row + 1) * length - tokens.count
      tokens.append(contentsOf: repeatElement(Int64(paddingToken), count: padding))
      targets.append(contentsOf: repeatElement(Int64(TrainingExample.ignored), count: padding))
      if !self.weights.isEmpty { weights.append(contentsOf: repeatElement(0, count: padding)) }
    }
    return Batch(
      tokens: Tensor(tokens, shape: shape), targets: Tensor(targets, shape: shape),
      weights: self.weights.isEmpty ? nil : Tensor(weights, shape: shape),
      packedLengths: isPacked ? lengths : nil)
  }

  private func append(weightsOf span: Span, to weights: inout [Float]) {
    guard !self.weights.isEmpty else { return }
    if let start = span.targets {
      weights += self.weights[start..<start + span.length]
    } else {
      weights.append(contentsOf: repeatElement(1, count: span.length))
    }
  }

  private func append(_ span: Span, to tokens: inout [Int64], _ targets: inout [Int64]) {
    append(0..<span.length, of: span, to: &tokens, &targets)
  }

  /// Appends the tokens and the targets of some positions of an example.
  func append(
    _ positions: Range<Int>, of span: Span, to tokens: inout [Int64], _ targets: inout [Int64]
  ) {
    func moved(by start: Int, from first: Int) -> Range<Int> {
      start + first..<start + positions.upperBound
    }
    self.tokens.copy(moved(by: span.start, from: positions.lowerBound), to: &tokens)
    if let start = span.targets {
      return self.targets.copy(moved(by: start, from: positions.lowerBound), to: &targets)
    }
    let first = min(positions.upperBound, max(positions.lowerBound, span.given - 1))
    targets.append(
      contentsOf: repeatElement(
        Int64(TrainingExample.ignored), count: first - positions.lowerBound))
    self.tokens.copy(moved(by: span.start + 1, from: first), to: &targets)
  }
}
