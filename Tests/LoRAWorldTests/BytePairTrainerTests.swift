import Testing

@testable import LoRAWorld

@Suite("Training a byte-pair vocabulary")
struct BytePairTrainerTests {
  let text = "Q: Low lower lowest?\nA: 12 + 3 = 15, or  20."

  @Test("the merges are those of the tokenizers package, ties included")
  func merges() {
    // tokenizers 0.23.3: BpeTrainer(vocab_size=275, special_tokens=["<|endoftext|>"],
    // initial_alphabet=ByteLevel.alphabet()) over the same texts, split by the same pattern.
    let expected: [(String, String)] = [
      ("o", "w"), ("e", "w"), ("l", "ow"), ("n", "ew"), ("e", "r"), ("e", "s"), ("Ġ", "low"),
      ("es", "t"), ("-", "w"), ("?", "Ċ"), ("L", "ow"), ("e", "d"), ("i", "t"), ("o", "r"),
      ("s", "low"), ("t", "ed"), ("Ġ", "("), ("Ġ", "+"),
    ]
    let texts = [text, "new newer (newest) slow-witted!"]
    let json = BytePairTrainer.tokenizerJSON(texts: texts + texts, vocabularySize: 275)
    let merges = json.matches(of: /\n +\["([^"]+)", "([^"]+)"\]/).map {
      (String($0.1), String($0.2))
    }
    #expect(merges.elementsEqual(expected, by: ==))
    for (token, number) in [("!", 1), ("Ġ", 221), ("Ċ", 199), ("w", 87), ("ow", 257)] {
      #expect(json.contains("\n      \"\(token)\": \(number),"), "\(token)")
    }
    #expect(json.contains("\"\\\"\": 2,") && json.contains("\"\\\\\": 60,"))
  }

  @Test(
    "text is split as the pattern says",
    arguments: [
      ("Q: Low lower?\nA: 12", ["Q", ":", " Low", " lower", "?\n", "A", ":", " ", "1", "2"]),
      ("or  20.", ["or", " ", " ", "2", "0", "."]),
      ("a  b - c\n\n d", ["a", " ", " b", " -", " c", "\n\n", " d"]),
      ("x-y, (z)", ["x", "-y", ",", " (", "z", ")"]),
      ("end  ", ["end", "  "]),
    ])
  func split(_ text: String, _ pieces: [String]) {
    let found = BytePairTrainer.split(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
    #expect(found == pieces)
  }

  @Test("every byte has its own letter")
  func letters() {
    #expect(Set(BytePairTrainer.byteLetters).count == 256)
    #expect(BytePairTrainer.byteLetters[0x20] == "Ġ")
    #expect(BytePairTrainer.byteLetters[0x0A] == "Ċ")
  }
}
