import Foundation
import LoRAJSON
import Testing

@testable import LoRAText

/// Long words are cut where that changes nothing, and encoded window by window.
@Suite struct LongWordTests {
  /// Words of a few thousand code points of each kind, by windows of 48 bytes and by parts, against
  /// encoding each as one.
  @Test(arguments: Fixtures.names)
  func cutsChangeNothing(_ name: String) throws {
    guard let model = try Fixtures.tokenizer(name).model as? BytePairModel,
      model.hasLocalSymbols, !model.ignoresMerges
    else { return }
    var random = SystemRandomNumberGenerator()
    var scratch = BytePairModel.Scratch()
    for word in Self.words(of: model, using: &random) {
      Array(word.utf8).withUnsafeBufferPointer { word in
        var whole: [Int32] = []
        if model.scores.isEmpty {
          model.tokens(of: word, &scratch)
          whole = scratch.symbols
        } else {
          model.scoredTokens(of: word, &scratch, into: &whole) { _ in }
        }
        var windows: [Int32] = []
        model.encodeByWindows(word, length: 48, into: &windows, scratch: &scratch)
        #expect(windows == whole, "\(String(decoding: word, as: UTF8.self)) by windows")
        var parts: [Int32] = []
        model.encode(word, into: &parts, scratch: &scratch)
        #expect(parts == whole, "\(String(decoding: word, as: UTF8.self)) by parts")
      }
    }
  }

  private static func words(
    of model: BytePairModel, using random: inout SystemRandomNumberGenerator
  ) -> [String] {
    let tokens = (0..<min(model.vocabulary.idCount, 2_000)).compactMap { id in
      model.vocabulary.spelling(of: id).map { String(decoding: $0, as: UTF8.self) }
    }
    var words = [String(repeating: "a", count: 1_500), String(repeating: "ab", count: 900)]
    for alphabet in ["abc", "aeiou", "日本語today", "é▁ aĠ"].map(Array.init) {
      words.append(String((0..<1_200).map { _ in alphabet.randomElement(using: &random) ?? "a" }))
    }
    for _ in 0..<3 {
      words.append((0..<300).map { _ in tokens.randomElement(using: &random) ?? "" }.joined())
    }
    return words
  }

  /// A text of a megabyte and more is normalized in parts; all of them together are the text.
  @Test func longTextsAreEncodedInParts() throws {
    let tokenizer = try Fixtures.tokenizer("llama-prepend")
    let line = "Once upon a time there was a little dog,  who said: \"hello 123\"! "
    let text = String(repeating: line, count: 40_000)
    var compact: [Int32] = [7]
    tokenizer.encode(text, addSpecialTokens: false, into: &compact)
    let once = tokenizer.encode(line + line, addSpecialTokens: false)
    let twice = tokenizer.encode(line + line + line, addSpecialTokens: false)
    // Every line but the first adds the same tokens.
    let added = twice.count - once.count
    #expect(compact.count == 1 + once.count + added * (40_000 - 2))
    #expect(compact[1...].prefix(once.count).elementsEqual(once.map(Int32.init)))
    #expect(tokenizer.decode(compact.dropFirst().map(Int.init)) == text)
  }
}
