public import LoRAAutograd
import LoRATensor

/// A module that makes a hidden state of every token, in sight of the others of its sequence: what
/// language models, classifiers and encoders have in common.
public protocol TokenModel: Module {
  /// The number of token ids.
  var vocabularySize: Int { get }
  /// The longest sequence.
  var maximumPositions: Int { get }
  /// The number of types of tokens; 0, the default, for a model that knows none.
  var typeCount: Int { get }
  /// The token that stands between a source and its target in every sequence of an encoder-decoder:
  /// ``TransformerEncoderDecoder``. Nil, the default, for a model that reads one text.
  var targetStart: Int? { get }
  /// The hidden states, `[batch, positions, size]`. Tokens and types are checked by the caller: see
  /// `validate(_:)`.
  func hiddenStates(_ batch: TokenBatch) -> Variable
}

extension TokenModel {
  /// None.
  public var typeCount: Int { 0 }

  /// None.
  public var targetStart: Int? { nil }

  /// Checks ids that come from outside: every sequence has at least one token, no more than the model
  /// has positions, and each is in the vocabulary; an encoder-decoder's have a source and a target.
  public func validate(_ sequences: some Sequence<[Int]>) throws(SequenceError) {
    for (index, ids) in sequences.enumerated() {
      if ids.isEmpty { throw .empty(sequence: index) }
      if let start = targetStart, ids.firstIndex(of: start) ?? 0 == 0 {
        throw .noSource(sequence: index, start: start)
      }
      if ids.count > maximumPositions {
        throw .tooLong(sequence: index, count: ids.count, limit: maximumPositions)
      }
      for (position, id) in ids.enumerated() where id < 0 || id >= vocabularySize {
        throw .tokenOutOfRange(
          sequence: index, position: position, id: id, vocabularySize: vocabularySize)
      }
    }
  }

  /// Checks a batch that comes from outside: its sequences as `validate(_:)` does,
  /// and its types.
  public func validate(_ batch: TokenBatch) throws(SequenceError) {
    let ids = batch.tokens.scalars(as: Int64.self).map { Int($0) }
    let types = batch.types?.scalars(as: Int64.self)
    let width = batch.tokens.shape[1]
    var sequence = 0
    for (item, lengths) in batch.sequenceLengths.enumerated() {
      var start = item * width
      for length in lengths {
        let range = start..<start + length
        if length == 0 { throw .empty(sequence: sequence) }
        if let token = targetStart, ids[range].firstIndex(of: token) ?? start == start {
          throw .noSource(sequence: sequence, start: token)
        }
        if length > maximumPositions {
          throw .tooLong(sequence: sequence, count: length, limit: maximumPositions)
        }
        if let place = range.first(where: { !(0..<vocabularySize).contains(ids[$0]) }) {
          throw .tokenOutOfRange(
            sequence: sequence, position: place - start, id: ids[place],
            vocabularySize: vocabularySize)
        }
        if let types,
          let place = range.first(where: { !(0..<Int64(max(1, typeCount))).contains(types[$0]) })
        {
          throw .typeOutOfRange(
            sequence: sequence, position: place - start, type: Int(types[place]),
            typeCount: typeCount)
        }
        start += length
        sequence += 1
      }
    }
  }
}
