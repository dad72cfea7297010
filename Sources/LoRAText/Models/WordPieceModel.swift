/// BERT's model: a word is its longest beginning that is a token, then the longest token with the
/// prefix for the rest ("##ing"), and so on; if nothing fits somewhere, the whole word is unknown.
///
/// Source: Schuster and Nakajima, Japanese and Korean Voice Search (2012); the greedy search is
/// BERT's.
struct WordPieceModel: WordModel {
  let vocabulary: Vocabulary
  /// The id of words that no tokens spell, and of words that are too long.
  let unknown: Int32
  /// The most code points that a word may have.
  let longestWord: Int
  private let trie: ByteTrie
  /// Where in the trie the pieces after the first begin; nil if there are none.
  private let continuing: Int32?

  init(
    vocabulary: Vocabulary, unknown: Int32, prefix: [UInt8], longestWord: Int
  ) throws(TokenizerError) {
    self.vocabulary = vocabulary
    self.unknown = unknown
    self.longestWord = longestWord
    trie = try ByteTrie(of: vocabulary)
    continuing = trie.node(of: prefix)
  }

  init(_ reader: DefinitionReader) throws(TokenizerError) {
    let vocabulary = try Vocabulary(try reader.required("vocab"))
    try self.init(
      vocabulary: vocabulary,
      unknown: try reader.unknownToken(in: vocabulary, otherwise: "[UNK]"),
      prefix: try reader.optional("continuing_subword_prefix")?.bytes() ?? Array("##".utf8),
      longestWord: try reader.optional("max_input_chars_per_word")?.integer() ?? 100)
  }

  func makeEncoder() -> any WordEncoder { Encoder(model: self) }

  private final class Encoder: WordEncoder {
    let model: WordPieceModel

    init(model: WordPieceModel) { self.model = model }

    func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
      let count = ids.count
      guard model.isShort(word), model.forEachPiece(of: word, { id, _ in ids.append(id) }) else {
        ids.removeLast(ids.count - count)
        ids.append(model.unknown)
        return
      }
    }

    func trace(_ word: UnsafeBufferPointer<UInt8>, into tokens: inout [TracedToken]) {
      let count = tokens.count
      guard model.isShort(word),
        model.forEachPiece(of: word, { tokens.append(TracedToken(id: $0, range: $1)) })
      else {
        tokens.removeLast(tokens.count - count)
        tokens.append(TracedToken(id: model.unknown, range: 0..<word.count))
        return
      }
    }
  }

  private func isShort(_ word: UnsafeBufferPointer<UInt8>) -> Bool {
    word.count <= longestWord || word.count { $0 & 0xC0 != 0x80 } <= longestWord
  }

  /// Calls `body` with the longest piece at each place; false where none fits.
  private func forEachPiece(
    of word: UnsafeBufferPointer<UInt8>, _ body: (Int32, Range<Int>) -> Void
  ) -> Bool {
    var start = 0
    while start < word.count {
      guard var node = start == 0 ? ByteTrie.root : continuing else { return false }
      var end = start
      var longest: (id: Int32, end: Int)?
      while end < word.count, let child = trie.child(of: node, word[end]) {
        node = child
        end += 1
        if let id = trie.id(at: node) { longest = (id, end) }
      }
      guard let longest else { return false }
      body(longest.id, start..<longest.end)
      start = longest.end
    }
    return true
  }
}
