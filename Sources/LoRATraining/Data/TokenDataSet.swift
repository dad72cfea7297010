public import LoRAModels
public import LoRATensor

/// Token rows of possibly different lengths, made into batches padded on the right.
///
/// ```swift
/// let data = try TokenDataSet(rows: [[1, 5, 7, 2], [1, 6, 2]])
/// data.batch(of: [0, 1]).tokens   // [[1, 5, 7], [1, 6, 0]]
/// data.batch(of: [0, 1]).targets  // [[5, 7, 2], [6, 2, -100]]
/// ```
///
/// Causal attention never looks to the right, so padding needs no mask: it changes no number.
public struct TokenDataSet: TrainingData {
  /// The rows.
  public let examples: [TrainingExample]
  /// Batches are padded to a multiple of this many positions.
  public var paddingMultiple = 1
  /// What padding reads as; its targets are ignored.
  public var paddingToken = 0
  private let targetCounts: [Int]

  /// Tokens and targets of some rows, int64, `[batch, positions]`.
  public struct Batch: Sendable {
    /// The token ids, checked by nobody yet.
    public let tokens: Tensor
    /// The next ids, -100 where ignored.
    public let targets: Tensor
  }

  /// Creates a data set of examples.
  ///
  /// - Parameters:
  ///   - examples: the rows, at least one.
  ///   - source: what errors call the data, as its file's name.
  ///
  /// Throws ``TrainingError`` if there is none, or if one has nothing to predict.
  public init(
    examples: [TrainingExample], source: String = "the examples"
  ) throws(TrainingError) {
    guard !examples.isEmpty else { throw .emptyData(source: source) }
    for (row, example) in examples.enumerated() {
      guard example.tokens.count == example.targets.count else {
        throw .unequalLengths(
          row: row, tokens: example.tokens.count, targets: example.targets.count)
      }
    }
    targetCounts = examples.map(\.targetCount)
    if let row = targetCounts.firstIndex(of: 0) { throw .noTargets(row: row) }
    self.examples = examples
  }

  /// Creates a data set of ready rows; each token is predicted from those before it in its row.
  public init(rows: [[Int]], source: String = "the rows") throws(TrainingError) {
    try self.init(examples: rows.map { TrainingExample(row: $0) }, source: source)
  }

  /// Creates a data set of the rows of an integer tensor, `[rows, length]`.
  public init(rows: Tensor, source: String = "the rows") throws(TrainingError) {
    guard rows.shape.count == 2, !rows.dtype.isFloatingPoint, rows.dtype != .bool else {
      throw .invalidOption(
        name: "the token tensor", value: "\(rows.dtype) of shape \(rows.shape)",
        expected: "integers, [rows, length]")
    }
    let ids = rows.converted(to: .int64).scalars(as: Int64.self)
    let length = rows.shape[1]
    try self.init(
      rows: (0..<rows.shape[0]).map { row in
        ids[row * length..<(row + 1) * length].map { Int($0) }
      }, source: source)
  }

  /// The number of rows.
  public var rowCount: Int { examples.count }

  /// The number of targets that count, over all rows.
  public var targetCount: Int { targetCounts.reduce(0, +) }

  /// The number of positions of the longest row.
  public var longestRow: Int { examples.reduce(0) { max($0, $1.tokens.count) } }

  /// The number of targets that count in these rows.
  public func targetCount(of rows: [Int]) -> Int { rows.reduce(0) { $0 + targetCounts[$1] } }

  /// The number of positions of these rows, without padding.
  public func tokenCount(of rows: [Int]) -> Int {
    rows.reduce(0) { $0 + examples[$1].tokens.count }
  }

  /// The rows of these indexes, padded on the right to the longest of them.
  public func batch(of rows: [Int]) -> Batch {
    let longest = rows.reduce(0) { max($0, examples[$1].tokens.count) }
    let multiple = max(1, paddingMultiple)
    let length = (longest + multiple - 1) / multiple * multiple
    var tokens: [Int64] = []
    var targets: [Int64] = []
    tokens.reserveCapacity(rows.count * length)
    targets.reserveCapacity(rows.count * length)
    for row in rows {
      let example = examples[row]
      let padding = length - example.tokens.count
      tokens.append(contentsOf: example.tokens.lazy.map { Int64($0) })
      tokens.append(contentsOf: repeatElement(Int64(paddingToken), count: padding))
      targets.append(contentsOf: example.targets.lazy.map { Int64($0) })
      targets.append(contentsOf: repeatElement(Int64(TrainingExample.ignored), count: padding))
    }
    let shape: Shape = [rows.count, length]
    return Batch(tokens: Tensor(tokens, shape: shape), targets: Tensor(targets, shape: shape))
  }

  /// Throws ``TrainingError`` if a row is longer than `model` allows or holds an id that it lacks.
  /// A pass over all tokens; trainer and evaluation call it.
  public func check(for model: any LanguageModel) throws(TrainingError) {
    let (limit, vocabulary) = (model.maximumPositions, model.vocabularySize)
    for (row, example) in examples.enumerated() {
      guard example.tokens.count <= limit else {
        throw .rowTooLong(row: row, length: example.tokens.count, limit: limit)
      }
      if let position = example.tokens.firstIndex(where: { $0 < 0 || $0 >= vocabulary }) {
        throw .tokenOutOfVocabulary(
          id: example.tokens[position], row: row, position: position, vocabulary: vocabulary)
      }
      if let position = example.targets.firstIndex(where: { $0 >= vocabulary }) {
        throw .tokenOutOfVocabulary(
          id: example.targets[position], row: row, position: position + 1, vocabulary: vocabulary)
      }
    }
  }
}
