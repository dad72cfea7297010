import LoRAFiles
import LoRAJSON
import LoRATensor
import Testing

/// Text from files, as people read it.
@Suite struct TerminalTextTests {
  /// One of each kind that must never reach a terminal raw.
  static let unsafe: [Unicode.Scalar] = [
    "\u{0}", "\u{7}", "\u{8}", "\n", "\r", "\u{1B}", "\u{7F}", "\u{80}", "\u{9B}", "\u{9F}",
    "\u{AD}",
    "\u{61C}", "\u{180E}", "\u{200B}", "\u{200D}", "\u{200F}", "\u{2028}", "\u{2029}", "\u{202A}",
    "\u{202E}", "\u{2060}", "\u{2066}", "\u{2069}", "\u{FEFF}", "\u{FFF9}", "\u{E0041}",
  ]

  @Test(arguments: unsafe)
  func unsafeCharactersAreEscaped(scalar: Unicode.Scalar) throws {
    let text = "a\(scalar)b"
    let line = TerminalText.line(text)
    #expect(!line.unicodeScalars.contains(scalar) && line.hasPrefix("a\\") && line.hasSuffix("b"))
    let document = TerminalText.json(JSONValue.string(text).encoded())
    #expect(!document.unicodeScalars.contains(scalar))
    #expect(try JSONValue(parsing: document) == .string(text))
  }

  @Test func ordinaryTextStaysAsItIs() {
    for text in ["plain", "é 漢字 ελ \u{1F600}", "q_proj.weight", "", "¡ÿĀ"] {
      #expect(TerminalText.line(text) == text)
      #expect(TerminalText.lines(text) == text)
      #expect(TerminalText.generated(text) == text)
    }
    #expect(TerminalText.lines("a\n\tb\u{1B}") == "a\n\tb\\u{1B}")
    #expect(TerminalText.line("\u{1B}[31m") == "\\u{1B}[31m")
    // A combining mark does not hide what it stands on.
    #expect(TerminalText.line("\u{7}\u{301}").utf8.starts(with: "\\u{7}".utf8))
  }

  @Test func whatAModelWritesKeepsItsLetters() {
    let family = "\u{1F468}\u{200D}\u{1F469}"
    #expect(TerminalText.generated(family + "\n\t") == family + "\n\t")
    #expect(TerminalText.generated("\u{1B}]0;x\u{7}\r\u{9B}") == "\\u{1B}]0;x\\u{7}\\r\\u{9B}")
  }

  @Test func longTextLosesItsMiddle() {
    let text = String(repeating: "a", count: 900) + String(repeating: "z", count: 100)
    let short = TerminalText.line(text, limit: 90)
    #expect(short.hasPrefix(String(repeating: "a", count: 60) + "...(910 more characters)..."))
    #expect(short.hasSuffix(String(repeating: "z", count: 30)))
    #expect(TerminalText.line(text, limit: 1000) == text)
  }
}
