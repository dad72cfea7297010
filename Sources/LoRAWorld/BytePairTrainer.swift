/// Learns a byte-level byte-pair vocabulary from text and writes it as a `tokenizer.json`.
///
/// The result is the one that the `BpeTrainer` of the `tokenizers` package comes to with the same
/// settings: the most frequent pair is merged first and, between equals, the one with the lower
/// numbers (Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword
/// units", 2016). Digits stand alone, as in Qwen's pattern, so that a sum is read column by column.
///
/// Text is split as Qwen's pattern splits it, but only ASCII is: any other character counts as a
/// letter here. The small world has none.
public enum BytePairTrainer {
  /// Stands before every document: where one begins, the last has ended.
  public static let endOfText = "<|endoftext|>"

  /// The pattern that the written tokenizer splits text with.
  static let pattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"#
    + #"|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// A `tokenizer.json` with a vocabulary learned from the texts. It puts ``endOfText`` (number 0)
  /// before each text that it encodes.
  ///
  /// - Parameters:
  ///   - texts: what to learn from; a few thousand documents of the small world hold all its words.
  ///   - vocabularySize: numbers in all, at least 257: the end of text, the 256 bytes, then merges.
  ///     Fewer come out if every word is a single token before that.
  /// - Returns: the file's text.
  /// - Complexity: the number of different words times `vocabularySize`.
  public static func tokenizerJSON(
    texts: some Sequence<String>, vocabularySize: Int
  ) -> String {
    precondition(vocabularySize >= 257, "256 bytes and the end of text need 257 numbers")
    var counts: [[UInt8]: Int] = [:]
    for text in texts {
      for piece in split(Array(text.utf8)) { counts[Array(piece), default: 0] += 1 }
    }
    let letters = byteLetters
    let order = letters.indices.sorted { letters[$0] < letters[$1] }
    var tokens = [endOfText] + order.map { String(Character(letters[$0])) }
    var number = [Int](repeating: 0, count: 256)
    for (index, byte) in order.enumerated() { number[byte] = index + 1 }
    var words = counts.map { (tokens: $0.key.map { number[Int($0)] }, count: $0.value) }
    var merges: [Pair] = []
    while tokens.count < vocabularySize, let pair = mostFrequentPair(words) {
      merges.append(pair)
      for index in words.indices { merge(pair, into: tokens.count, &words[index].tokens) }
      tokens.append(tokens[pair.first] + tokens[pair.second])
    }
    return json(tokens: tokens, merges: merges)
  }

  struct Pair: Hashable {
    let first: Int
    let second: Int
  }

  private static func mostFrequentPair(_ words: [(tokens: [Int], count: Int)]) -> Pair? {
    var counts: [Pair: Int] = [:]
    for word in words {
      for (first, second) in zip(word.tokens, word.tokens.dropFirst()) {
        counts[Pair(first: first, second: second), default: 0] += word.count
      }
    }
    return counts.max { a, b in
      (a.value, b.key.first, b.key.second) < (b.value, a.key.first, a.key.second)
    }?.key
  }

  private static func merge(_ pair: Pair, into number: Int, _ tokens: inout [Int]) {
    var merged: [Int] = []
    var index = 0
    while index < tokens.count {
      if index + 1 < tokens.count, tokens[index] == pair.first, tokens[index + 1] == pair.second {
        merged.append(number)
        index += 2
      } else {
        merged.append(tokens[index])
        index += 1
      }
    }
    tokens = merged
  }

  /// Splits text as ``pattern`` does: a word with the mark or space before it, one digit, marks with
  /// the space before them and the line ends behind them, white space.
  static func split(_ text: [UInt8]) -> [ArraySlice<UInt8>] {
    var pieces: [ArraySlice<UInt8>] = []
    var start = 0
    while start < text.count {
      let end = endOfPiece(text, start)
      pieces.append(text[start..<end])
      start = end
    }
    return pieces
  }

  private static func endOfPiece(_ text: [UInt8], _ start: Int) -> Int {
    func end(of isMember: (UInt8) -> Bool, from start: Int) -> Int {
      text[start...].firstIndex { !isMember($0) } ?? text.count
    }
    let first = text[start]
    if isLetter(first) { return end(of: isLetter, from: start) }
    if isDigit(first) { return start + 1 }
    let next = start + 1 < text.count ? text[start + 1] : nil
    if let next, isLetter(next), !isLineEnd(first) { return end(of: isLetter, from: start + 1) }
    if !isSpace(first) || (first == 0x20 && next.map(isMark) == true) {
      return end(of: isLineEnd, from: end(of: isMark, from: isSpace(first) ? start + 1 : start))
    }
    let white = end(of: isSpace, from: start)
    if let last = text[start..<white].lastIndex(where: isLineEnd) { return last + 1 }
    return white == text.count || white == start + 1 ? white : white - 1
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
  private static func isLineEnd(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }
  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }
  private static func isLetter(_ byte: UInt8) -> Bool {
    (0x61...0x7A).contains(byte | 0x20) || byte >= 0x80
  }
  private static func isMark(_ byte: UInt8) -> Bool {
    !isDigit(byte) && !isSpace(byte) && !isLetter(byte)
  }

  /// GPT-2's letter for each byte: itself if it prints, otherwise the next free one from U+0100.
  static let byteLetters: [Unicode.Scalar] = {
    var free: UInt32 = 0x100
    return (0..<256).map { (byte: UInt32) in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(UInt8(byte))
      default:
        defer { free += 1 }
        return Unicode.Scalar(free) ?? "?"
      }
    }
  }()

  private static func json(tokens: [String], merges: [Pair]) -> String {
    let special = quoted(endOfText)
    let vocabulary = tokens.enumerated().map { "      \(quoted($1)): \($0)" }
    let pairs = merges.map {
      "      [\(quoted(tokens[$0.first])), \(quoted(tokens[$0.second]))]"
    }
    return """
      {
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [
          {"id": 0, "content": \(special), "single_word": false, "lstrip": false, \
      "rstrip": false, "normalized": false, "special": true}
        ],
        "normalizer": null,
        "pre_tokenizer": {
          "type": "Sequence",
          "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": \(quoted(pattern))}, \
      "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, \
      "use_regex": false}
          ]
        },
        "post_processor": {
          "type": "TemplateProcessing",
          "single": [{"SpecialToken": {"id": \(special), "type_id": 0}}, \
      {"Sequence": {"id": "A", "type_id": 0}}],
          "pair": [{"SpecialToken": {"id": \(special), "type_id": 0}}, \
      {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
          "special_tokens": {\(special): {"id": \(special), "ids": [0], "tokens": [\(special)]}}
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, \
      "use_regex": true},
        "model": {
          "type": "BPE",
          "dropout": null,
          "unk_token": null,
          "continuing_subword_prefix": null,
          "end_of_word_suffix": null,
          "fuse_unk": false,
          "byte_fallback": false,
          "ignore_merges": false,
          "vocab": {
      \(vocabulary.joined(separator: ",\n"))
          },
          "merges": [
      \(pairs.joined(separator: ",\n"))
          ]
        }
      }

      """
  }

  /// A JSON string. The tokens and the pattern hold no control characters.
  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { quoted.unicodeScalars.append("\\") }
      quoted.unicodeScalars.append(scalar)
    }
    return quoted + "\""
  }
}
