/// How an answer is judged by the expected one.
///
/// ```swift
/// AnswerMetric.f1.score("It costs 145 pounds.", expected: "145 pounds")  // 0.67
/// ```
public enum AnswerMetric: String, Sendable, Hashable, Codable, CaseIterable {
  /// Whether both are the same text, white space at the ends aside.
  case exact
  /// Whether the answer has the expected text in it, whatever the case of letters.
  case contains
  /// The harmonic mean of precision and recall of the expected words, as SQuAD has it: without case,
  /// punctuation and English articles. Of scripts without spaces each character is a word.
  ///
  /// Source: Rajpurkar et al., *SQuAD: 100,000+ questions for machine comprehension of text*, 2016.
  case f1

  /// The score, from 0 to 1.
  public func score(_ answer: String, expected: String) -> Double {
    switch self {
    case .exact: Self.trimmed(answer) == Self.trimmed(expected) ? 1 : 0
    case .contains:
      Self.trimmed(answer).lowercased().contains(Self.trimmed(expected).lowercased()) ? 1 : 0
    case .f1: Self.f1(Self.words(of: answer), Self.words(of: expected))
    }
  }

  static func trimmed(_ text: String) -> Substring {
    let start = text.drop(while: \.isWhitespace)
    guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return start[...last]
  }

  private static func f1(_ answer: [String], _ expected: [String]) -> Double {
    if answer.isEmpty || expected.isEmpty { return answer.isEmpty && expected.isEmpty ? 1 : 0 }
    var left: [String: Int] = [:]
    for word in expected { left[word, default: 0] += 1 }
    var common = 0
    for word in answer where left[word, default: 0] > 0 {
      left[word, default: 0] -= 1
      common += 1
    }
    return 2 * Double(common) / Double(answer.count + expected.count)
  }

  /// The words that are compared.
  static func words(of text: String) -> [String] {
    var words: [String] = []
    var word = ""
    func end() {
      if !word.isEmpty, !["a", "an", "the"].contains(word) { words.append(word) }
      word = ""
    }
    for character in text.lowercased() {
      if character.unicodeScalars.contains(where: isWordByItself) {
        end()
        words.append(String(character))
      } else if character.isWhitespace {
        end()
      } else if !character.isPunctuation, !character.isSymbol {
        word.append(character)
      }
    }
    end()
    return words
  }

  /// Han, Hiragana, Katakana, Thai, Lao and Khmer are written without spaces.
  private static func isWordByItself(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x0E00...0x0EFF, 0x1780...0x17FF, 0x3040...0x30FF, 0x3400...0x4DBF, 0x4E00...0x9FFF,
      0xF900...0xFAFF, 0x20000...0x3FFFF:
      true
    default: false
    }
  }
}
