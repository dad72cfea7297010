public import LoRATensor

/// The tokens that a pass reads: ids, how they divide into sequences, and their types.
///
/// ```swift
/// TokenBatch(Tensor([Int64(1), 5, 7], shape: [1, 3]))     // one sequence an item, all equally long
/// TokenBatch(sequences: [[1, 5, 7], [1, 6]])                    // padded to 3 tokens
/// TokenBatch(tokens, packed: [[5, 3, 4], [12]])            // three sequences in the first item
/// ```
///
/// Sequences do not see each other, and padding neither sees nor is seen. The hidden states of padding
/// mean nothing.
public struct TokenBatch: Sendable {
  /// The sequences that the positions of each batch item are.
  public enum Sequences: Sendable, Hashable {
    /// One, of all positions.
    case whole
    /// One, of so many positions; padding follows.
    case padded([Int])
    /// Several of these lengths, one after the other; padding follows. Positions are counted from 0
    /// in each.
    case packed([[Int]])
  }

  /// The ids, int64, `[batch, positions]`.
  public let tokens: Tensor
  /// The sequences of each batch item.
  public let sequences: Sequences
  /// The type of each token, int64 of the tokens' shape: 0 for those of a first text, 1 for those of a
  /// second. Nil: all are 0.
  public let types: Tensor?

  /// Creates a batch whose items are a sequence each, without padding.
  public init(_ tokens: Tensor, types: Tensor? = nil) {
    self.init(tokens, .whole, types)
  }

  /// Creates a batch of a sequence an item; `lengths` are the numbers of tokens before the padding.
  public init(_ tokens: Tensor, lengths: [Int], types: Tensor? = nil) {
    self.init(tokens, .padded(lengths), types)
  }

  /// Creates a batch of several sequences an item, whose lengths are `lengths`.
  public init(_ tokens: Tensor, packed lengths: [[Int]], types: Tensor? = nil) {
    self.init(tokens, .packed(lengths), types)
  }

  /// Creates a batch of sequences of any lengths, padded on the right to the longest.
  ///
  /// - Parameters:
  ///   - sequences: the ids of each sequence.
  ///   - types: the types of each sequence's tokens, as many; nil: all are 0.
  ///   - padding: what padding reads as. It changes no number.
  public init(sequences: [[Int]], types: [[Int]]? = nil, padding: Int = 0) {
    let lengths = sequences.map(\.count)
    if let types {
      require(
        types.map(\.count) == lengths,
        "types of \(types.map(\.count)) tokens for sequences of \(lengths)")
    }
    let longest = lengths.max() ?? 0
    func padded(_ sequences: [[Int]], _ padding: Int) -> Tensor {
      Tensor(
        sequences.flatMap { ids in
          ids.map(Int64.init) + repeatElement(Int64(padding), count: longest - ids.count)
        }, shape: [sequences.count, longest])
    }
    let isWhole = lengths.allSatisfy { $0 == longest }
    self.init(
      padded(sequences, padding), isWhole ? .whole : .padded(lengths), types.map { padded($0, 0) })
  }

  private init(_ tokens: Tensor, _ sequences: Sequences, _ types: Tensor?) {
    require(
      tokens.shape.count == 2 && tokens.dtype == .int64,
      "a batch of tokens \(tokens.dtype) \(tokens.shape); int64 [batch, positions] is one")
    if let types {
      require(
        types.shape == tokens.shape && types.dtype == .int64,
        "types \(types.dtype) \(types.shape) of tokens \(tokens.shape)")
    }
    let (items, positions) = (tokens.shape[0], tokens.shape[1])
    let totals: [Int]? =
      switch sequences {
      case .whole: nil
      case .padded(let lengths): lengths
      case .packed(let lengths): lengths.map { $0.reduce(0, +) }
      }
    if let totals {
      require(
        totals.count == items && totals.allSatisfy { (0...positions).contains($0) },
        "\(sequences) for \(items) batch items of \(positions) positions")
    }
    self.tokens = tokens
    self.sequences = sequences
    self.types = types
  }

  /// The number of batch items.
  public var count: Int { tokens.shape[0] }

  /// The number of tokens of each batch item, without padding.
  public var lengths: [Int] {
    switch sequences {
    case .whole: Array(repeating: tokens.shape[1], count: count)
    case .padded(let lengths): lengths
    case .packed(let lengths): lengths.map { $0.reduce(0, +) }
    }
  }

  /// The lengths of each batch item's sequences.
  var sequenceLengths: [[Int]] {
    if case .packed(let lengths) = sequences { return lengths }
    return lengths.map { [$0] }
  }

  /// The position of every token in its sequence, those of padding too; nil where those of each item
  /// are counted from 0.
  var positions: [Int]? {
    guard case .packed(let lengths) = sequences else { return nil }
    return lengths.flatMap { lengths in
      let padding = tokens.shape[1] - lengths.reduce(0, +)
      return (lengths + [padding]).flatMap { 0..<$0 }
    }
  }
}
