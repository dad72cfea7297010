import LoRAGrammars
import Testing

/// A vocabulary of all single bytes, and a few longer tokens behind them; the last one is the end.
let plainVocabulary: TokenVocabulary = {
  var tokens = (0..<256).map { [UInt8($0)] }
  tokens += ["true", "{\"", "\": ", "ab", "\"}", "12", "yes", "no", "é", "  "].map {
    Array($0.utf8)
  }
  tokens.append([])
  return TokenVocabulary(tokens: tokens, endTokens: [tokens.count - 1])
}()

let endToken = plainVocabulary.count - 1

extension OutputConstraint {
  /// Whether a text fulfils the constraint.
  func accepts(_ text: String) throws -> Bool {
    var matcher = try GrammarMatcher(grammar)
    return try matcher.advance(text.utf8) && matcher.mayEnd
  }

  /// Whether a text is the beginning of one that does.
  func allows(_ text: String) throws -> Bool {
    var matcher = try GrammarMatcher(grammar)
    return try matcher.advance(text.utf8)
  }
}

/// Expects that the schema takes all of the one and none of the other.
func expect(
  _ schema: String, accepts: [String], rejects: [String],
  whitespace: JSONWhitespace = .spaced,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let constraint = try OutputConstraint(jsonSchema: schema, whitespace: whitespace)
  for text in accepts {
    #expect(
      try constraint.accepts(text), "\(schema) must accept \(text)", sourceLocation: sourceLocation)
  }
  for text in rejects {
    #expect(
      try !constraint.accepts(text), "\(schema) must reject \(text)",
      sourceLocation: sourceLocation)
  }
}

/// Expects an error of the kind at the place, and that its text says what matters.
func expectError(
  _ kind: ConstraintError.Kind, at place: String, saying word: String = "",
  sourceLocation: SourceLocation = #_sourceLocation,
  _ make: () throws(ConstraintError) -> Void
) {
  do throws(ConstraintError) {
    try make()
    Issue.record("no error", sourceLocation: sourceLocation)
  } catch {
    #expect(error.kind == kind, "\(error)", sourceLocation: sourceLocation)
    #expect(error.place == place, "\(error)", sourceLocation: sourceLocation)
    #expect(
      word.isEmpty || error.description.contains(word), "\(error)",
      sourceLocation: sourceLocation)
    #expect(!error.advice.isEmpty, sourceLocation: sourceLocation)
  }
}
