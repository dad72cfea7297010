import LoRAPatterns

/// What SentencePiece's models have in common: pieces by kind, and what becomes of what none of them
/// is.
struct SentencePieces: Sendable {
  /// The kinds of pieces, by their numbers in a model's file and, mostly, in GGUF.
  enum Kind: Int, Sendable {
    case normal = 1
    case unknown
    case control
    case userDefined
    case unused
    case byte
  }

  /// All pieces by id.
  let all: Vocabulary
  /// Those that are found in a text: normal, user-defined and unused ones.
  let findable: Vocabulary
  let kinds: [Kind]
  let scores: [Float]
  let unknown: Int32
  /// The ids of "<0x00>"..."<0xFF>" where what is unknown is spelled in them.
  let byteIDs: [Int32]?
  /// nil if there are none.
  let userDefined: ByteTrie?

  func isUserDefined(_ id: Int32) -> Bool { kinds[Int(id)] == .userDefined }

  /// Takes found pieces in their order, and makes tokens of them: what is unknown is its bytes, or
  /// one token with its unknown neighbours.
  struct Output {
    let pieces: SentencePieces
    private var isBehindUnknown = false

    init(_ pieces: SentencePieces) { self.pieces = pieces }

    /// A piece of the text; -1 for what none is.
    mutating func add(
      _ id: Int32, _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>,
      _ body: (TracedToken, _ continues: Bool) -> Void
    ) {
      let isUnknown = id < 0 || id == pieces.unknown
      if isUnknown, let byteIDs = pieces.byteIDs {
        for place in range {
          // The last byte stands for the character, the others for nothing.
          let covers = place == range.upperBound - 1 ? range : range.lowerBound..<range.lowerBound
          body(TracedToken(id: byteIDs[Int(text[place])], range: covers), false)
        }
      } else if isUnknown {
        body(
          TracedToken(id: pieces.unknown, range: range, isCalledByText: true), isBehindUnknown)
      } else {
        body(TracedToken(id: id, range: range), false)
      }
      isBehindUnknown = isUnknown
    }
  }
}

/// A model that finds pieces in a text, and leaves it to ``SentencePieces`` what they become.
protocol PieceFinder: AnyObject {
  /// Calls `body` with the pieces from left to right; -1 for what none is.
  func forEachPiece(
    of text: UnsafeBufferPointer<UInt8>, _ body: (Int32, Range<Int>) -> Void)

  func trim()
}

/// A SentencePiece model of any type.
struct SentencePieceModel: WordModel {
  let pieces: SentencePieces
  let makeFinder: @Sendable () -> any PieceFinder

  var vocabulary: Vocabulary { pieces.all }

  func makeEncoder() -> any WordEncoder { Encoder(pieces, makeFinder()) }

  private final class Encoder: WordEncoder {
    private let pieces: SentencePieces
    private let finder: any PieceFinder

    init(_ pieces: SentencePieces, _ finder: any PieceFinder) {
      self.pieces = pieces
      self.finder = finder
    }

    func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
      var output = SentencePieces.Output(pieces)
      finder.forEachPiece(of: word) { id, range in
        output.add(id, word, range) { token, continues in
          if !continues { ids.append(token.id) }
        }
      }
    }

    func trace(_ word: UnsafeBufferPointer<UInt8>, into tokens: inout [TracedToken]) {
      var output = SentencePieces.Output(pieces)
      finder.forEachPiece(of: word) { id, range in
        output.add(id, word, range) { token, continues in
          guard continues, let last = tokens.last else {
            tokens.append(token)
            return
          }
          tokens[tokens.count - 1].range = last.range.lowerBound..<token.range.upperBound
        }
      }
    }

    func trim() { finder.trim() }
  }
}
