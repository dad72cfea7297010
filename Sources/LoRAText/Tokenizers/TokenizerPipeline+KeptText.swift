extension TokenizerPipeline {
  /// The special tokens, as "<|im_end|>": what a template writes and what a user should not be able to.
  public var controlTokens: [String] { added.specials.map { String(decoding: $0, as: UTF8.self) } }

  /// The ids of a conversation's text, without what a template for texts adds, in which some places are
  /// text whatever they look like: a user's words that spell a control token.
  ///
  /// What is before such a place, the place and what is behind it are encoded apart, as transformers has
  /// it (`sanitize_control_tokens`).
  ///
  /// - Parameters:
  ///   - text: the text.
  ///   - kept: those places, in Unicode scalars, in their order; an empty one parts what is on both sides.
  /// - Throws: ``TokenizerError`` if the vocabulary has a control token as an ordinary word too, so that the
  ///   text would become it all the same.
  public func encode(_ text: String, keepingAsText kept: [Range<Int>]) throws(TokenizerError)
    -> [Int]
  {
    guard !kept.isEmpty else { return encode(text, addSpecialTokens: false) }
    let scalars = Array(text.unicodeScalars)
    var ids: [Int32] = []
    var position = 0
    func take(_ range: Range<Int>, asText: Bool) throws(TokenizerError) {
      guard !range.isEmpty else { return }
      var piece = String.UnicodeScalarView()
      piece.append(contentsOf: scalars[range])
      let before = ids.count
      append(String(piece), isFirst: range.lowerBound == 0, ignoresAdded: asText, to: &ids)
      if asText, let id = id(of: String(piece)), ids[before...].contains(Int32(id)) {
        throw TokenizerError(
          .inconsistent, place: "the vocabulary",
          expected: "\"\(String(piece))\" as an added token alone",
          found: "a word of the vocabulary that text becomes",
          advice: "take it out of the user's text")
      }
    }
    for range in kept {
      try take(position..<range.lowerBound, asText: false)
      try take(range, asText: true)
      position = range.upperBound
    }
    try take(position..<scalars.count, asText: false)
    return ids.map(Int.init)
  }

  /// Appends a piece of a text. Behind another piece it is encoded behind a line break, which is taken away
  /// again: SentencePiece puts a space before a text, and not within it.
  private func append(_ piece: String, isFirst: Bool, ignoresAdded: Bool, to ids: inout [Int32]) {
    if !isFirst {
      var (lineBreak, all): ([Int32], [Int32]) = ([], [])
      encodeBare("\n", into: &lineBreak)
      encodeBare("\n" + piece, into: &all, ignoresAdded: ignoresAdded)
      if all.starts(with: lineBreak) {
        ids += all.dropFirst(lineBreak.count)
        return
      }
    }
    encodeBare(piece, into: &ids, ignoresAdded: ignoresAdded)
  }
}
