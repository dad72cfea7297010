import LoRAPatterns

/// SentencePiece's byte-pair model: of all neighbours that together spell a piece, those with the
/// highest score join first. What users defined joins with nothing.
///
/// Source: `bpe::Model::SampleEncode` of sentencepiece 0.2.
final class SentencePieceMerges: PieceFinder {
  private let model: BytePairModel
  private let pieces: SentencePieces
  private var scratch = BytePairModel.Scratch()

  init(_ pieces: SentencePieces, _ model: BytePairModel) {
    self.pieces = pieces
    self.model = model
  }

  /// The model of the pieces that may join.
  static func model(_ pieces: SentencePieces) -> BytePairModel {
    BytePairModel(
      vocabulary: pieces.findable, merges: MergeTable(capacity: 0), unknown: pieces.unknown,
      fusesUnknown: false, fallsBackToBytes: false, ignoresMerges: false, continuingPrefix: [],
      endSuffix: [], scores: pieces.scores)
  }

  func forEachPiece(
    of text: UnsafeBufferPointer<UInt8>, _ body: (Int32, Range<Int>) -> Void
  ) {
    guard let userDefined = pieces.userDefined else {
      merge(text, 0..<text.count, body)
      return
    }
    var done = 0
    var position = 0
    while position < text.count {
      guard let length = userDefined.longestMatch(in: text, at: position) else {
        position += min(scalarLength(startingWith: text[position]), text.count - position)
        continue
      }
      if done < position { merge(text, done..<position, body) }
      let range = position..<position + length
      body(pieces.findable.id(of: UnsafeBufferPointer(rebasing: text[range])), range)
      position += length
      done = position
    }
    if done < text.count { merge(text, done..<text.count, body) }
  }

  private func merge(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ body: (Int32, Range<Int>) -> Void
  ) {
    model.forEachPiece(
      ofLong: UnsafeBufferPointer(rebasing: text[range]), scratch: &scratch
    ) { piece, id in
      body(id, range.lowerBound + piece.lowerBound..<range.lowerBound + piece.upperBound)
    }
  }

  func trim() {
    if scratch.symbols.capacity > 1 << 20 { scratch = BytePairModel.Scratch() }
  }
}
