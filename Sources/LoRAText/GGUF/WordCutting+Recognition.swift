import LoRAJSON

// The name that GGUF files have for the way in which a tokenizer cuts words: the one of the known ways that
// cuts texts as it does. llama.cpp's converter finds it by the ids of one text, of published models alone;
// here the words of a text are compared in which characters of every kind meet.

extension WordCutting {
  /// The name of the way in which a byte-level tokenizer cuts words; nil if it is none that is known.
  ///
  /// Of two that differ in whether merges are ignored the tokenizer's own counts, or the commoner one where
  /// that makes no difference: every token is what merges make of its spelling (gpt-oss).
  static func name(of definition: TokenizerDefinition, _ model: BytePairModel) -> String? {
    let probe = Array(probe.utf8)
    let words = self.words(of: probe, definition.normalizer, definition.preTokenizer)
    let alike = all.filter { entry in
      guard let (normalizer, preTokenizer) = try? entry.cutting.steps else { return false }
      return words == self.words(of: probe, normalizer, preTokenizer)
    }
    let own = alike.firstIndex { $0.cutting.ignoresMerges == model.ignoresMerges }
    let other = alike.firstIndex { $0.cutting.ignoresMerges != model.ignoresMerges }
    guard let other, own == nil || model.ignoresMerges && other < (own ?? 0) else {
      return own.map { alike[$0].names[0] }
    }
    return (model.mergesAllTokens(but: definition.added) ? other : own).map { alike[$0].names[0] }
  }

  /// What is done to a text before its words are encoded.
  var steps: (normalizer: Normalizer?, preTokenizer: PreTokenizer) {
    get throws(TokenizerError) {
      let reader = DefinitionReader(.null, file: "", place: "tokenizer.ggml.pre")
      var steps: [PreTokenizer] = cutsDigits ? [.digits(areIndividual: true)] : []
      for pattern in patterns {
        steps.append(
          .split(.expression(try reader.expression(pattern)), .isolated, isInverted: false))
      }
      steps.append(.byteLevel(addsPrefixSpace: false, splitter: nil))
      return (composes ? .unicode(.nfc) : nil, .sequence(steps))
    }
  }

  /// Takes words and keeps where they end, and their bytes.
  private final class Words: WordReceiver {
    var bytes: [UInt8] = []
    var ends: [Int] = []

    func receive(_ word: UnsafeBufferPointer<UInt8>, _ origins: UnsafePointer<Origin>?) {
      bytes.append(contentsOf: word)
      ends.append(bytes.count)
    }
  }

  private static func words(
    of text: [UInt8], _ normalizer: Normalizer?, _ preTokenizer: PreTokenizer?
  ) -> [[Int]] {
    let words = Words()
    let text = normalizer?.normalize(text).bytes ?? text
    text.withUnsafeBufferPointer { text in
      guard let cutter = WordCutter.cutting(by: preTokenizer).cutter else {
        return words.receive(text, nil)
      }
      cutter.cut(text, 0..<text.count, startsText: true, to: words)
    }
    return [words.bytes.map { Int($0) }, words.ends]
  }

  /// Characters of the kinds that patterns tell apart, and what single patterns know by name.
  private static let kinds: [Unicode.Scalar] = [
    "a", "e", "B", "\u{E9}", "\u{430}", "\u{4E00}", "\u{3042}", "\u{AC00}", "\u{301}", "1",
    "\u{661}",
    "\u{B2}", " ", "\n", "\r", "\t", "\u{A0}", "'", ".", "/", "$", "\u{2026}", "\u{1F600}", "_",
  ]

  /// A text in which every three of `kinds` stand side by side, and more of some.
  static let probe: String = {
    var text = ""
    for triple in deBruijn(kinds.count) { text.unicodeScalars.append(kinds[triple]) }
    for word in [
      "s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "Ve", "M", "LL", "D",
    ] {
      text += " it'\(word) '\(word)x A'\(word)1'\(word)"
    }
    for count in [2, 3, 4, 5, 6, 7, 9] {
      text += " x" + String(repeating: "7", count: count) + "."
      text += String(repeating: "\u{663}", count: count) + "y"
      text += String(repeating: " ", count: count) + "z"
      text += String(repeating: "\n", count: count)
      text +=
        String(repeating: " ", count: 2 * count) + "\n" + String(repeating: "\t", count: count)
      text += String(repeating: "!?", count: count) + String(repeating: "/", count: count)
    }
    // Marks of scripts of which single patterns know ranges.
    text += "IMGIMGABZ <sentinel:12> \u{FF01}\u{3002}\u{060C}\u{0964}\u{06D4}\u{17D2}\u{E01}\u{E31}"
    text += "\u{3131}\u{3105}\u{2E80}\u{3400}\u{F900}\u{FF66}\u{10A0}\u{13A0}\u{1F600}\u{200D}"
    text += "HelloWorld camelCase XMLFile iPhone e\u{301}te\u{301} "
    for size in [512, 256, 128, 64, 32, 16, 8, 4] {
      text += String(repeating: " ", count: size + 1) + "w"
    }
    return text + "end  "
  }()

  /// A sequence of numbers below `count` in which every three stand side by side: the Lyndon words in
  /// their order.
  ///
  /// Source: Fredricksen and Maiorana, *Necklaces of beads in k colors and k-ary de Bruijn sequences*, 1978.
  private static func deBruijn(_ count: Int) -> [Int] {
    var result: [Int] = []
    for a in 0..<count {
      result.append(a)
      for b in a..<count {
        for c in a..<count {
          // The word a b c is a Lyndon word if it is the least of its rotations.
          if [a, b, c].lexicographicallyPrecedes([b, c, a]),
            [a, b, c].lexicographicallyPrecedes([c, a, b])
          {
            result += [a, b, c]
          }
        }
      }
    }
    return result
  }
}
