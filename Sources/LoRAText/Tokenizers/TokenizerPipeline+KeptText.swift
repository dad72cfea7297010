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
    var ids: [Int] = []
    try forEachPart(of: text, keepingAsText: kept) { piece, position, ignoresAdded in
      let part = bareIDs(piece, isFirst: position == 0, ignoresAdded: ignoresAdded)
      ids += part
      return part
    }
    return ids
  }

  /// The tokens of a conversation's text as ``encode(_:keepingAsText:)`` has them, with where they are in it,
  /// in Unicode scalars. Unlike those of ``encodeAligned(_:pairedWith:addSpecialTokens:)`` the places have
  /// the spaces that a word begins with, whatever the tokenizer's file says: every character is some
  /// token's.
  public func encodeAligned(
    _ text: String, keepingAsText kept: [Range<Int>]
  ) throws(TokenizerError) -> AlignedEncoding {
    guard !kept.isEmpty else { return trace(text) }
    var whole = AlignedEncoding()
    try forEachPart(of: text, keepingAsText: kept) { piece, position, ignoresAdded in
      var part = bareTokens(piece, isFirst: position == 0, ignoresAdded: ignoresAdded)
      part.offsets = part.offsets.map { $0.lowerBound + position..<$0.upperBound + position }
      whole.append(part)
      return part.ids
    }
    return whole
  }

  /// Calls `body` with the parts of a text that are encoded apart, where each begins, and whether added
  /// tokens are text in it. Throws if the ids that it returns have such a token all the same.
  private func forEachPart(
    of text: String, keepingAsText kept: [Range<Int>],
    _ body: (_ piece: String, _ position: Int, _ ignoresAdded: Bool) -> [Int]
  ) throws(TokenizerError) {
    let scalars = Array(text.unicodeScalars)
    func take(_ range: Range<Int>, asText: Bool) throws(TokenizerError) {
      guard !range.isEmpty else { return }
      var piece = String.UnicodeScalarView()
      piece.append(contentsOf: scalars[range])
      let ids = body(String(piece), range.lowerBound, asText)
      if asText, let id = id(of: String(piece)), ids.contains(id) {
        throw TokenizerError(
          .inconsistent, place: "the vocabulary",
          expected: "\"\(String(piece))\" as an added token alone",
          found: "a word of the vocabulary that text becomes",
          advice: "take it out of the user's text")
      }
    }
    var position = 0
    for range in kept {
      try take(position..<range.lowerBound, asText: false)
      try take(range, asText: true)
      position = range.upperBound
    }
    try take(position..<scalars.count, asText: false)
  }

  /// The ids of a piece of a text. Behind another piece it is encoded behind a line break, which is taken
  /// away again: SentencePiece puts a space before a text, and not within it.
  private func bareIDs(_ piece: String, isFirst: Bool, ignoresAdded: Bool) -> [Int] {
    func ids(_ text: String, ignoresAdded: Bool = false) -> [Int] {
      var ids: [Int32] = []
      encodeBare(text, into: &ids, ignoresAdded: ignoresAdded)
      return ids.map(Int.init)
    }
    if !isFirst {
      let lineBreak = ids("\n")
      let all = ids("\n" + piece, ignoresAdded: ignoresAdded)
      if all.starts(with: lineBreak) { return Array(all.dropFirst(lineBreak.count)) }
    }
    return ids(piece, ignoresAdded: ignoresAdded)
  }

  /// The same with where the tokens are in the piece.
  private func bareTokens(_ piece: String, isFirst: Bool, ignoresAdded: Bool) -> AlignedEncoding {
    if !isFirst {
      let lineBreak = trace("\n").ids
      let all = trace("\n" + piece, ignoresAdded: ignoresAdded)
      if all.ids.starts(with: lineBreak) {
        let rest = lineBreak.count..<all.ids.count
        return AlignedEncoding(
          ids: Array(all.ids[rest]), tokens: Array(all.tokens[rest]),
          offsets: all.offsets[rest].map { max(0, $0.lowerBound - 1)..<max(0, $0.upperBound - 1) })
      }
    }
    return trace(piece, ignoresAdded: ignoresAdded)
  }
}
