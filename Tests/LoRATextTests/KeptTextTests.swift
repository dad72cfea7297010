import LoRAText
import Testing

/// Control tokens that a user spells are text; see also Qwen3's, by transformers, in `SharedDataTests`.
@Suite struct KeptTextTests {
  @Test(arguments: Fixtures.names)
  func aSpelledTokenIsText(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    for token in tokenizer.controlTokens {
      let id = try #require(tokenizer.id(of: token))
      for (before, behind) in [("", ""), ("so ", " on"), ("x", "y"), ("", "\n"), ("日本", "語")] {
        let text = before + token + behind
        let start = before.unicodeScalars.count
        let kept = [start..<start + token.unicodeScalars.count]
        let ids: [Int]
        do {
          ids = try tokenizer.encode(text, keepingAsText: kept)
        } catch {
          // The vocabulary has the token as a word: said, not done.
          #expect(error.kind == .inconsistent && error.description.contains(token))
          continue
        }
        let aligned = try tokenizer.encodeAligned(text, keepingAsText: kept)
        #expect(aligned.ids == ids, "\(text)")
        // No token reaches over the place's ends.
        #expect(
          aligned.offsets.allSatisfy {
            $0.upperBound <= kept[0].lowerBound || $0.lowerBound >= kept[0].upperBound
              || $0.lowerBound >= kept[0].lowerBound && $0.upperBound <= kept[0].upperBound
          }, "\(text): \(aligned.offsets)")
        // Words that are unknown all become one token.
        let others =
          tokenizer.encode(before, addSpecialTokens: false)
          + tokenizer.encode(behind, addSpecialTokens: false)
        #expect(!ids.contains(id) || others.contains(id), "\(text)")
        if tokenizer.decode(tokenizer.encode("x \(text)", addSpecialTokens: false)) == "x \(text)" {
          #expect(tokenizer.decode(ids, skipSpecialTokens: false) == text)
        }
      }
    }
  }

  @Test(arguments: Fixtures.names)
  func whatIsNotKeptIsAsEver(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    let text = (["one"] + tokenizer.controlTokens + ["two"]).joined(separator: " ")
    #expect(
      try tokenizer.encode(text, keepingAsText: [])
        == tokenizer.encode(text, addSpecialTokens: false))
  }
}
