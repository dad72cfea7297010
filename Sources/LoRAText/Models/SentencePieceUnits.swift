import LoRAPatterns

/// SentencePiece's models without a search: the pieces of a text are its characters, or its words.
final class SentencePieceUnits: PieceFinder {
  private let pieces: SentencePieces
  private let areWords: Bool
  private let spaceIsSuffix: Bool

  init(_ pieces: SentencePieces, areWords: Bool, spaceIsSuffix: Bool) {
    self.pieces = pieces
    self.areWords = areWords
    self.spaceIsSuffix = spaceIsSuffix
  }

  func forEachPiece(
    of text: UnsafeBufferPointer<UInt8>, _ body: (Int32, Range<Int>) -> Void
  ) {
    func emit(_ range: Range<Int>) {
      body(pieces.findable.id(of: UnsafeBufferPointer(rebasing: text[range])), range)
    }
    var start = 0
    var position = 0
    while position < text.count {
      let (code, length) = decodeScalar(text, at: position)
      let isSpace = code == 0x2581
      guard areWords else {
        let known = pieces.userDefined?.longestMatch(in: text, at: position)
        emit(position..<position + (known ?? length))
        position += known ?? length
        continue
      }
      if !spaceIsSuffix, isSpace, start < position {
        emit(start..<position)
        start = position
      }
      position += length
      if spaceIsSuffix, isSpace {
        emit(start..<position)
        start = position
      }
    }
    if areWords, start < text.count { emit(start..<text.count) }
  }

  func trim() {}
}
