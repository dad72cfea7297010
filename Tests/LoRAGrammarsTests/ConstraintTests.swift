import LoRAGrammars
import Testing

@Suite struct ConstraintTests {
  @Test func choicesAreTakenWhole() throws {
    let constraint = try OutputConstraint.choices(["yes", "no", "no way", "né"])
    for text in ["yes", "no", "no way", "né"] { #expect(try constraint.accepts(text)) }
    for text in ["", "y", "yess", "now", "n", "ne"] { #expect(try !constraint.accepts(text)) }
  }

  @Test func patternsDescribeTheWholeText() throws {
    let constraint = try OutputConstraint.pattern(#"(?:[A-Z]\w*|\d+)(, [é-ü]{2})?"#)
    for text in ["Ab_1", "17", "17, éê", "Z, ëé"] {
      #expect(try constraint.accepts(text), "\(text)")
    }
    for text in ["", "ab", "17,", "17, é", " 17", "17 "] {
      #expect(try !constraint.accepts(text), "\(text)")
    }
    #expect(try OutputConstraint.pattern("^a$|^b").accepts("a"))
    #expect(try OutputConstraint.pattern("(?i)ab").accepts("aB"))
    #expect(try OutputConstraint.pattern("a*?b+?").accepts("aab"))
  }

  @Test func jsonAndObjects() throws {
    #expect(try OutputConstraint.json().accepts("[1, {\"a\": null}]"))
    #expect(try OutputConstraint.jsonObject().accepts("{\"a\": [1]}"))
    #expect(try !OutputConstraint.jsonObject().accepts("[1]"))
    #expect(try OutputConstraint.json(whitespace: .compact).allows("[1,2"))
    #expect(try !OutputConstraint.json(whitespace: .compact).allows("[1, 2"))
  }

  @Test func equalityIsThatOfTheSource() throws {
    #expect(try OutputConstraint.choices(["a"]) == .choices(["a"]))
    #expect(try OutputConstraint.choices(["a"]) != .choices(["b"]))
    #expect(try OutputConstraint.choices(["a"]) != .pattern("a"))
    #expect(try Set([OutputConstraint.json(), .json(), .jsonObject()]).count == 2)
  }

  /// Very many ways to read the text so far are as good as few.
  @Test func ambiguousGrammarsStaySmall() throws {
    let both = ##"{"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}"##
    let node = #"{"type": "array", "items": \#(both), "maxItems": 1}"#
    let constraint = try OutputConstraint(
      jsonSchema:
        #"{"$defs": {"a": \#(node), "b": {"title": "other", "type": "array", "items": \#(both)}}, "anyOf": [\#(node), \#(both)]}"#
    )
    #expect(
      try constraint.accepts(String(repeating: "[", count: 60) + String(repeating: "]", count: 60)))
    let pattern = try OutputConstraint.pattern("(?:a|a|aa|a*)*b")
    #expect(try pattern.accepts(String(repeating: "a", count: 5000) + "b"))
  }

  // MARK: Tokens

  @Test func tokensThatMayFollow() throws {
    var matcher = try ConstraintMatcher(try .choices(["yes", "no"]), vocabulary: plainVocabulary)
    func ids(_ texts: String...) -> [Int] {
      (0..<plainVocabulary.count).filter {
        texts.map { Array($0.utf8) }.contains(plainVocabulary.bytes(of: $0))
      }
    }
    #expect(try matcher.allowedTokens().ids == ids("y", "n", "yes", "no").sorted())
    #expect(!matcher.mayEnd && !matcher.isFinished)
    let before = matcher
    try matcher.advance(by: ids("n")[0])
    #expect(try matcher.allowedTokens().ids == ids("o"))
    #expect(
      try matcher.allows(ids("o")[0]) && !matcher.allows(ids("y")[0]) && !matcher.allows(endToken))
    try matcher.advance(by: ids("o")[0])
    // The text can only end: the generation is over, and its end is the only token.
    #expect(matcher.mayEnd && matcher.isFinished)
    #expect(try matcher.allowedTokens().ids == [endToken])
    try matcher.advance(by: endToken)
    #expect(matcher.isFinished)
    #expect(try matcher.allowedTokens().isEmpty)
    // The copy is where it was.
    var copy = before
    #expect(try copy.allowedTokens().count == 4)
  }

  @Test func theEndIsAllowedExactlyWhereTheTextMayEnd() throws {
    var matcher = try ConstraintMatcher(
      try OutputConstraint(jsonSchema: #"{"type": "integer", "maximum": 120}"#),
      vocabulary: plainVocabulary)
    #expect(try !matcher.allowedTokens().contains(endToken))
    try matcher.advance(by: Int(UInt8(ascii: "1")))
    #expect(try matcher.allowedTokens().contains(endToken))
    #expect(matcher.mayEnd && !matcher.isFinished)
    try matcher.advance(by: endToken)
    #expect(matcher.isFinished && matcher.mayEnd)
  }

  /// The walk through the tree finds what asking token by token finds.
  @Test func masksAgreeWithSingleTokens() throws {
    for schema in [
      "true", #"{"type": "string", "maxLength": 3}"#,
      #"{"type": "object", "properties": {"ab": {"type": ["integer", "boolean"]}}, "additionalProperties": {"type": "string", "pattern": "^é+$"}}"#,
    ] {
      let constraint = try OutputConstraint(jsonSchema: schema)
      var random = Draws(seed: 5)
      for _ in 0..<30 {
        var matcher = try ConstraintMatcher(constraint, vocabulary: plainVocabulary)
        for _ in 0..<40 where !matcher.isFinished {
          let mask = try matcher.allowedTokens()
          let single = try (0..<plainVocabulary.count).filter { try matcher.allows($0) }
          #expect(mask.ids == single)
          #expect(mask.count == single.count && !mask.contains(-1) && !mask.contains(1 << 20))
          try matcher.advance(by: single[random.below(single.count)])
        }
      }
    }
  }

  @Test func tokensThatAreNotAllowedChangeNothing() throws {
    var matcher = try ConstraintMatcher(try .choices(["ab", "c"]), vocabulary: plainVocabulary)
    for token in [Int(UInt8(ascii: "b")), endToken, -1, 100_000] {
      expectError(.notAllowed, at: "token") { () throws(ConstraintError) in
        try matcher.advance(by: token)
      }
    }
    #expect(try matcher.allowedTokens().count == 3)
  }

  @Test func aVocabularyWithoutBytesIsSaidToBeSo() throws {
    let vocabulary = TokenVocabulary(
      tokens: [Array("a".utf8), Array("bb".utf8), []], endTokens: [2])
    var matcher = try ConstraintMatcher(try .choices(["ab"]), vocabulary: vocabulary)
    try matcher.advance(by: 0)
    expectError(.notAllowed, at: "token", saying: "bytes") { () throws(ConstraintError) in
      _ = try matcher.allowedTokens()
    }
  }

  /// Equal tokens, tokens that begin others, and a token for part of a character.
  @Test func vocabulariesOfAllKinds() throws {
    let tokens: [[UInt8]] = [[0xC3], [0xA9], [0xC3, 0xA9], [0x61], [0x61], [0x61, 0xC3], []]
    let vocabulary = TokenVocabulary(tokens: tokens, endTokens: [6, 99])
    var matcher = try ConstraintMatcher(try .pattern("aé"), vocabulary: vocabulary)
    #expect(try matcher.allowedTokens().ids == [3, 4, 5])
    try matcher.advance(by: 5)
    #expect(try matcher.allowedTokens().ids == [1])
    try matcher.advance(by: 1)
    #expect(matcher.isFinished)
    #expect(
      vocabulary.endTokens == [6] && vocabulary.bytes(of: 2) == [0xC3, 0xA9]
        && vocabulary.bytes(of: 7).isEmpty)
  }

  /// What was learned is forgotten where it has become much, and nothing changes.
  @Test func longTextsForgetAndGoOn() throws {
    let constraint = try OutputConstraint(
      jsonSchema: #"{"type": "array", "items": {"type": "string", "maxLength": 9000}}"#)
    var matcher = try ConstraintMatcher(constraint, vocabulary: plainVocabulary)
    let text =
      "[" + String(repeating: "\"" + String(repeating: "é\\u00e9", count: 4400) + "\",", count: 2)
    for byte in text.utf8 { try matcher.advance(by: Int(byte)) }
    let allowed = try matcher.allowedTokens()
    #expect(allowed.contains(0x20) && allowed.contains(0x22) && !allowed.contains(0x5D))
  }
}
