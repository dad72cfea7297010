import LoRAPatterns

/// SentencePiece's unigram model as its own program computes it: in float32 sums over the text, by
/// whose rounding ties fall. A sum begins anew with each settled part, as sums of megabytes of text
/// would have no digits left to tell pieces apart.
///
/// Source: `unigram::Model::EncodeOptimized` of sentencepiece 0.2.
final class SentencePieceUnigrams: PieceFinder {
  private let pieces: UnigramLattice<Float>.Pieces
  private var lattice = UnigramLattice<Float>()

  init(_ pieces: UnigramLattice<Float>.Pieces) { self.pieces = pieces }

  func forEachPiece(
    of text: UnsafeBufferPointer<UInt8>, _ body: (Int32, Range<Int>) -> Void
  ) {
    lattice.forEachPiece(of: text, pieces, body)
  }

  func trim() { lattice.trim() }
}

extension UnigramLattice<Float>.Pieces {
  /// What SentencePiece's program makes of a model's pieces.
  init(_ pieces: SentencePieces) throws(TokenizerError) {
    let normal = pieces.kinds.indices.filter { pieces.kinds[$0] == .normal }
    let lowest = normal.map { pieces.scores[$0] }.min() ?? .greatestFiniteMagnitude
    // The program starts from the least positive number, so this is as good as zero.
    let highest = max(.leastNormalMagnitude, normal.map { pieces.scores[$0] }.max() ?? 0)
    var scores = pieces.scores
    for id in pieces.kinds.indices where pieces.kinds[id] == .userDefined {
      pieces.all.withSpelling(of: id) {
        scores[id] = Float($0.count) * highest - 0.1
      }
    }
    self.init(
      trie: try ByteTrie(of: pieces.findable), scores: scores,
      isUnused: pieces.kinds.contains(.unused) ? pieces.kinds.map { $0 == .unused } : [],
      unknown: pieces.unknown, unknownScore: lowest - 10, keepsSums: false)
  }
}
