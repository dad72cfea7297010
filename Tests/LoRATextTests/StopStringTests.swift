import LoRAText
import Testing

/// Texts that end at a string, in every way of cutting them into pieces.
@Suite struct StopStringTests {
  private func text(_ pieces: [String], _ strings: [String]) -> (text: String, found: String?) {
    var stops = StopStrings(strings)
    var text = pieces.map { stops.append($0) }.joined()
    text += stops.finish()
    return (text, stops.found)
  }

  @Test(
    arguments: [
      ("one two three", ["two"], "one ", "two"),
      ("one two three", ["four"], "one two three", nil),
      // The one that comes first, and of two that begin together the one that is complete first.
      ("abcabd", ["abd", "cab"], "ab", "cab"),
      ("xaab", ["aab", "aa"], "x", "aa"),
      ("aaab", ["aab"], "a", "aab"),
      // The one that begins first, though another is complete before it.
      ("abcd", ["abcd", "bc"], "", "abcd"), ("abce", ["abcd", "bc"], "a", "bc"),
      ("日本語の文。終", ["文。"], "日本語の", "文。"),
      ("ends with a beginni", ["beginning"], "ends with a beginni", nil),
      ("no stop", [], "no stop", nil), ("no stop", [""], "no stop", nil),
      ("<|im_end|>", ["<|im_end|>"], "", "<|im_end|>"),
    ] as [(String, [String], String, String?)])
  func ends(text: String, strings: [String], expected: String, found: String?) {
    let whole = self.text([text], strings)
    #expect(whole.text == expected && whole.found == found)
    let single = self.text(text.map { String($0) }, strings)
    #expect(single.text == expected && single.found == found)
    for cut in 1...max(1, text.count) {
      let result = self.text([String(text.prefix(cut)), String(text.dropFirst(cut))], strings)
      #expect(result.text == expected && result.found == found, "cut behind \(cut)")
    }
  }

  @Test func holdsBackNoMoreThanItMust() {
    var stops = StopStrings(["\nUser:"])
    #expect(stops.append("Hello.\nUs") == "Hello.")
    #expect(stops.append("ual") == "\nUsual")
    #expect(stops.append("\n") == "")
    #expect(stops.append("User: more") == "")
    #expect(stops.found == "\nUser:")
    #expect(stops.append("text") == "" && stops.finish() == "")
  }
}
