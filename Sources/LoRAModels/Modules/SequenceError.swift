/// A sequence of token ids that a model can't take.
public enum SequenceError: Error, Sendable, Hashable, CustomStringConvertible {
  /// There are no tokens.
  case empty(sequence: Int)
  /// A sequence of an encoder-decoder has no source, or no token `start` behind it, with which the target
  /// begins.
  case noSource(sequence: Int, start: Int)
  /// The sequence is longer than the model's positions.
  case tooLong(sequence: Int, count: Int, limit: Int)
  /// An id is negative or beyond the vocabulary.
  case tokenOutOfRange(sequence: Int, position: Int, id: Int, vocabularySize: Int)
  /// The type of a token is negative or one that the model does not have.
  case typeOutOfRange(sequence: Int, position: Int, type: Int, typeCount: Int)
  /// An option of generation is out of its range.
  case invalidOption(name: String, value: String, expected: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .empty(let sequence):
      "sequence \(sequence + 1) holds no tokens; give it at least one"
    case .noSource(let sequence, let start):
      "sequence \(sequence + 1) has no source: this model reads one and writes a target, so the source's "
        + "ids, id \(start), and the target's are expected; give a prompt and its completion"
    case .tooLong(let sequence, let count, let limit):
      "sequence \(sequence + 1) has \(count) tokens; the model's limit is \(limit) positions; shorten it"
    case .tokenOutOfRange(let sequence, let position, let id, let vocabularySize):
      "sequence \(sequence + 1), position \(position): token id \(id) is not in 0..<\(vocabularySize); "
        + "was the text encoded with this model's tokenizer?"
    case .typeOutOfRange(let sequence, let position, let type, let typeCount):
      "sequence \(sequence + 1), position \(position): token type \(type) is not in "
        + "0..<\(max(1, typeCount)); the model has \(max(1, typeCount)), counted from 0"
    case .invalidOption(let name, let value, let expected):
      "\(name) is \(value); expected \(expected)"
    }
  }
}
