package import LoRAFiles
package import LoRAText

/// Encodes texts that are cut into words, and says which token each word begins with: what tokenizers do
/// with `is_split_into_words`.
package struct WordEncoder: Sendable {
  private let tokenizer: any Tokenizer
  private let template: SequenceTemplate
  /// What a word stands behind.
  private let separator: String

  /// The tokens of a text, special ones included.
  package struct Encoding: Sendable, Hashable {
    /// The ids.
    package var ids: [Int]
    /// The position of each word's first token; nil for a word that was cut off, or that the tokenizer
    /// makes nothing of.
    package var starts: [Int?]
    /// Whether tokens were cut off.
    package var isCut: Bool
  }

  /// Creates an encoder.
  ///
  /// Where a tokenizer writes the space between two words into the tokens of the second, as byte pairs
  /// do, every word stands behind one: transformers too demands `add_prefix_space` of such a tokenizer.
  package init(_ tokenizer: any Tokenizer) {
    func ids(_ text: String) -> [Int] { tokenizer.encode(text, addSpecialTokens: false) }
    self.tokenizer = tokenizer
    template = tokenizer.template
    separator = ids("a b") == ids("a") + ids("b") ? "" : " "
  }

  /// The tokens of `words`, at most `limit` with the template's. Throws `FormatError` where the template
  /// leaves no room; `file` and `line` are for that.
  package func encode(
    _ words: [String], limit: Int, file: String, line: Int
  ) throws(FormatError) -> Encoding {
    let special = template.before.count + template.after.count
    guard special < limit else { throw tokenizer.noRoom(for: special, limit, file, line) }
    var result = Encoding(ids: template.before, starts: [], isCut: false)
    let end = limit - template.after.count
    for word in words {
      let ids = self.ids(word)
      let start = result.ids.count
      result.starts.append(ids.isEmpty || start >= end ? nil : start)
      result.ids += ids.prefix(end - start)
      if ids.count > end - start { result.isCut = true }
    }
    result.ids += template.after
    return result
  }

  private func ids(_ word: String) -> [Int] {
    guard let first = word.first else { return [] }
    return tokenizer.encode(
      first.isWhitespace ? word : separator + word, addSpecialTokens: false)
  }
}
