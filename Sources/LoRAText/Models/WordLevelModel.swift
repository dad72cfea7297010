/// A model whose tokens are whole words; all others are unknown.
struct WordLevelModel: WordModel {
  let vocabulary: Vocabulary
  /// The id of words that are not in the vocabulary.
  let unknown: Int32

  init(_ reader: DefinitionReader) throws(TokenizerError) {
    vocabulary = try Vocabulary(try reader.required("vocab"))
    unknown = try reader.unknownToken(in: vocabulary, otherwise: "<unk>")
  }

  func makeEncoder() -> any WordEncoder { Encoder(model: self) }

  private final class Encoder: WordEncoder {
    let model: WordLevelModel

    init(model: WordLevelModel) { self.model = model }

    func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
      let id = model.vocabulary.id(of: word)
      ids.append(id >= 0 ? id : model.unknown)
    }

    func trace(_ word: UnsafeBufferPointer<UInt8>, into tokens: inout [TracedToken]) {
      let id = model.vocabulary.id(of: word)
      tokens.append(TracedToken(id: id >= 0 ? id : model.unknown, range: 0..<word.count))
    }
  }
}
