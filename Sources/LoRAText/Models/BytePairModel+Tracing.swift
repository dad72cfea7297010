extension BytePairModel {
  /// Appends the tokens of a word and where they are in it, in memory that grows with the word.
  ///
  /// A token has as many bytes as its symbols: those of a code point without a token, which is
  /// dropped, are nobody's, and what follows is told to be before its place, as `tokenizers` does.
  func trace(
    _ word: UnsafeBufferPointer<UInt8>, into tokens: inout [TracedToken], scratch: inout Scratch
  ) {
    if ignoresMerges {
      let id = vocabulary.id(of: word)
      if id >= 0 {
        tokens.append(TracedToken(id: id, range: 0..<word.count))
        return
      }
    }
    guard scores.isEmpty else {
      var ids: [Int32] = []
      var starts: [Int32] = []
      scoredTokens(of: word, &scratch, into: &ids) { starts.append($0) }
      for (i, id) in ids.enumerated() {
        let end = i + 1 < ids.count ? Int(starts[i + 1]) : word.count
        tokens.append(TracedToken(id: id, range: Int(starts[i])..<end))
      }
      return
    }
    scratch.countsBytes = true
    defer { scratch.countsBytes = false }
    self.tokens(of: word, &scratch)
    for (i, id) in scratch.symbols.enumerated() {
      let end = i + 1 < scratch.starts.count ? Int(scratch.starts[i + 1]) : scratch.byteCount
      tokens.append(TracedToken(id: id, range: Int(scratch.starts[i])..<end))
    }
  }
}
