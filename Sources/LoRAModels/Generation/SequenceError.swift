/// A sequence of token ids that a model can't take.
public enum SequenceError: Error, Sendable, Hashable, CustomStringConvertible {
  /// There are no tokens.
  case empty(row: Int)
  /// The sequence is longer than the model's positions.
  case tooLong(row: Int, count: Int, limit: Int)
  /// An id is negative or beyond the vocabulary.
  case tokenOutOfRange(row: Int, position: Int, id: Int, vocabularySize: Int)
  /// An option of generation is out of its range.
  case invalidOption(name: String, value: String, expected: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .empty(let row):
      "sequence \(row + 1) holds no tokens; give it at least one"
    case .tooLong(let row, let count, let limit):
      "sequence \(row + 1) has \(count) tokens; the model's limit is \(limit) positions; shorten it"
    case .tokenOutOfRange(let row, let position, let id, let vocabularySize):
      "sequence \(row + 1), position \(position): token id \(id) is not in 0..<\(vocabularySize); "
        + "was the text encoded with this model's tokenizer?"
    case .invalidOption(let name, let value, let expected):
      "\(name) is \(value); expected \(expected)"
    }
  }
}

extension LanguageModel {
  /// Checks ids that come from outside: every row has at least one token, no more than the model
  /// has positions, and each is in the vocabulary.
  public func validate(_ rows: some Sequence<[Int]>) throws(SequenceError) {
    for (index, row) in rows.enumerated() {
      if row.isEmpty { throw .empty(row: index) }
      if row.count > maximumPositions {
        throw .tooLong(row: index, count: row.count, limit: maximumPositions)
      }
      for (position, id) in row.enumerated() where id < 0 || id >= vocabularySize {
        throw .tokenOutOfRange(
          row: index, position: position, id: id, vocabularySize: vocabularySize)
      }
    }
  }
}
