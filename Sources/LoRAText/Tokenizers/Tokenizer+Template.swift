extension Tokenizer {
  /// Finds the template by encoding short texts with and without it.
  public var template: SequenceTemplate {
    var found: SequenceTemplate?
    for text in ["a", "1", "the", "."] {
      let bare = encode(text, addSpecialTokens: false)
      let whole = encode(text, addSpecialTokens: true)
      let starts = (0...max(0, whole.count - bare.count)).filter {
        whole[$0...].starts(with: bare)
      }
      guard let start = starts.first, !bare.isEmpty else { continue }
      found =
        found
        ?? SequenceTemplate(
          before: Array(whole[..<start]), after: Array(whole[(start + bare.count)...]))
      // A text whose ids the template has too fits at several places.
      if starts.count == 1 {
        return SequenceTemplate(
          before: Array(whole[..<start]), after: Array(whole[(start + bare.count)...]))
      }
    }
    return found ?? SequenceTemplate()
  }
}
