/// Takes white space at the ends of tokens out of their offsets, as the post-processors of byte-level
/// tokenizers do.
struct OffsetTrim: Sendable, Hashable {
  /// Whether a single space before the text is taken for one that the pre-tokenizer put there, which
  /// has no place in it.
  var keepsPrefixSpace: Bool

  func apply(to encoding: inout AlignedEncoding) {
    func isSpace(_ scalar: Unicode.Scalar) -> Bool {
      scalar == "\u{120}" || scalar.properties.isWhitespace
    }
    for (i, token) in encoding.tokens.enumerated() {
      let scalars = token.unicodeScalars
      var leading = scalars.prefix(while: isSpace).count
      let trailing = scalars.reversed().prefix(while: isSpace).count
      var (start, end) = (encoding.offsets[i].lowerBound, encoding.offsets[i].upperBound)
      if leading > 0 {
        if keepsPrefixSpace, leading == 1, i == 0 || start == 0 { leading = 0 }
        start = min(start + leading, end)
      }
      if trailing > 0, end >= trailing { end = max(end - trailing, start) }
      encoding.offsets[i] = start..<end
    }
  }
}
