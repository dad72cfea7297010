import LoRAJSON
import LoRAPatterns

/// SentencePiece's unigram model: of all ways to cut a word into tokens, the one whose scores, the
/// logarithms of their probabilities, have the highest sum (Kudo, arXiv 1804.10959).
///
/// A code point that no token begins with is unknown, at a score below all others; neighbours that
/// are unknown are one unknown token, or the tokens of their bytes where the model has them.
struct UnigramModel: WordModel {
  let vocabulary: Vocabulary
  let unknown: Int32
  /// The ids of "<0x00>"..."<0xFF>" where what is unknown is spelled in them.
  let byteIDs: [Int32]?
  fileprivate let pieces: UnigramLattice<Double>.Pieces

  /// Creates a model.
  ///
  /// - Parameters:
  ///   - vocabulary: All tokens.
  ///   - pieces: Those that are found in words; nil for all.
  ///   - scores: The score of every id.
  ///   - lowestScore: That of the unknown is 10 below it; nil for the lowest of `scores`.
  ///   - unknown: The unknown token.
  ///   - fallsBackToBytes: Whether what is unknown is spelled in bytes.
  init(
    vocabulary: Vocabulary, pieces: Vocabulary? = nil, scores: [Double],
    lowestScore: Double? = nil, unknown: Int32, fallsBackToBytes: Bool
  ) throws(TokenizerError) {
    self.vocabulary = vocabulary
    self.unknown = unknown
    byteIDs = fallsBackToBytes ? vocabulary.byteIDs : nil
    self.pieces = UnigramLattice.Pieces(
      trie: try ByteTrie(of: pieces ?? vocabulary), scores: scores, unknown: unknown,
      unknownScore: (lowestScore ?? scores.min() ?? 0) - 10, keepsSums: true)
  }

  init(_ reader: DefinitionReader) throws(TokenizerError) {
    let list = try reader.required("vocab")
    guard case .array(let entries) = list.value, !entries.isEmpty else {
      throw list.error(
        .malformed, expected: "an array of tokens and scores", found: list.value.kind,
        advice: "correct the file")
    }
    var vocabulary = Vocabulary(capacity: entries.count)
    var scores: [Double] = []
    scores.reserveCapacity(entries.count)
    for (id, entry) in entries.enumerated() {
      func fail(
        _ kind: TokenizerError.Kind, _ expected: String, _ found: String
      ) -> TokenizerError {
        DefinitionReader(entry, file: reader.file, place: "\(list.place)[\(id)]").error(
          kind, expected: expected, found: found, advice: "correct the vocabulary")
      }
      guard case .array(let pair) = entry, pair.count == 2, case .string(let token) = pair[0],
        let score = pair[1].doubleValue, score.isFinite
      else { throw fail(.malformed, "a token and its score", entry.encoded()) }
      guard withBytes(of: token, { vocabulary.insert($0, id: id) }) else {
        throw fail(.inconsistent, "a token of its own", "'\(token)', which another id has")
      }
      scores.append(score)
    }
    guard let unknown = try reader.optional("unk_id")?.integer() else {
      throw reader.at("unk_id").error(
        .unsupported, expected: "the id of the unknown token", found: "none",
        advice: "name one: texts with unknown characters could not be encoded")
    }
    guard unknown < entries.count else {
      throw reader.at("unk_id").error(
        .inconsistent, expected: "an id below \(entries.count)", found: "\(unknown)",
        advice: "correct the file")
    }
    try self.init(
      vocabulary: vocabulary, scores: scores, unknown: Int32(unknown),
      fallsBackToBytes: try reader.optional("byte_fallback")?.boolean() ?? false)
  }

  func makeEncoder() -> any WordEncoder { UnigramEncoder(self) }
}

/// Finds the best way to cut a word.
private final class UnigramEncoder: WordEncoder {
  private let model: UnigramModel
  private var lattice = UnigramLattice<Double>()

  init(_ model: UnigramModel) { self.model = model }

  func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    search(word) { appendIDs(of: word, $0, to: &ids) }
  }

  func trace(_ word: UnsafeBufferPointer<UInt8>, into tokens: inout [TracedToken]) {
    search(word) { appendTokens(of: word, $0, to: &tokens) }
  }

  /// What was found in a word: a token, or a run of unknown code points.
  private enum Found {
    case token(Int32, Range<Int>)
    case unknown(Range<Int>)
  }

  private func search(_ word: UnsafeBufferPointer<UInt8>, _ body: (Found) -> Void) {
    /// The first byte that has not been decided to be unknown or not.
    var unknownStart: Int?
    lattice.forEachPiece(of: word, model.pieces) { id, place in
      if id == model.unknown {
        unknownStart = unknownStart ?? place.lowerBound
        return
      }
      if let first = unknownStart {
        body(.unknown(first..<place.lowerBound))
        unknownStart = nil
      }
      body(.token(id, place))
    }
    if let start = unknownStart { body(.unknown(start..<word.count)) }
  }

  private func appendIDs(
    of word: UnsafeBufferPointer<UInt8>, _ found: Found, to ids: inout [Int32]
  ) {
    switch found {
    case .token(let id, _): ids.append(id)
    case .unknown(let range):
      let text = UnsafeBufferPointer(rebasing: word[range])
      let id = model.vocabulary.id(of: text)
      if id >= 0 {
        ids.append(id)
      } else if let byteIDs = byteIDs(of: text) {
        ids.append(contentsOf: byteIDs)
      } else {
        ids.append(model.unknown)
      }
    }
  }

  private func appendTokens(
    of word: UnsafeBufferPointer<UInt8>, _ found: Found, to tokens: inout [TracedToken]
  ) {
    switch found {
    case .token(let id, let range): tokens.append(TracedToken(id: id, range: range))
    case .unknown(let range):
      let text = UnsafeBufferPointer(rebasing: word[range])
      let id = model.vocabulary.id(of: text)
      if id >= 0 {
        tokens.append(TracedToken(id: id, range: range))
      } else if let byteIDs = byteIDs(of: text) {
        // Each is told to stand for the whole.
        tokens.append(contentsOf: byteIDs.map { TracedToken(id: $0, range: range) })
      } else {
        tokens.append(TracedToken(id: model.unknown, range: range, isCalledByText: true))
      }
    }
  }

  private func byteIDs(of text: UnsafeBufferPointer<UInt8>) -> [Int32]? {
    guard let byteIDs = model.byteIDs, text.allSatisfy({ byteIDs[Int($0)] >= 0 }) else {
      return nil
    }
    return text.map { byteIDs[Int($0)] }
  }

  func trim() { lattice.trim() }
}
