import Foundation
import LoRAJSON
import Testing

@testable import LoRAText

@Suite struct WordModels {
  private func tokenizer(
    _ model: JSONValue, _ parts: [String: JSONValue] = [:]
  ) throws -> TokenizerPipeline {
    var whole: JSONObject = ["model": model]
    for (key, value) in parts { whole[key] = value }
    return try TokenizerPipeline(json: whole.encoded())
  }

  private func pieces(_ changes: [String: JSONValue] = [:]) -> JSONValue {
    var model: JSONObject = [
      "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
      "max_input_chars_per_word": 5,
      "vocab": ["[UNK]": 0, "a": 1, "ab": 2, "##b": 3, "##bc": 4, "日": 5, "##": 6],
    ]
    for (key, value) in changes { model[key] = value }
    return .object(model)
  }

  @Test func wordPiecesTakeTheLongestAtEachPlace() throws {
    let tokenizer = try tokenizer(pieces(), ["pre_tokenizer": ["type": "WhitespaceSplit"]])
    // The longest first piece is taken though "a" and "##bc" would spell the whole word.
    #expect(tokenizer.encode("ab abb abc abbc") == [2, 2, 3, 0, 2, 4])
    // Five code points are a word, of whatever length in bytes; six are too many.
    #expect(tokenizer.encode("abbbb 日bbbb abbbbb") == [2, 3, 3, 3, 5, 3, 3, 3, 3, 0])
    #expect(tokenizer.encode("").isEmpty)
    #expect(try self.tokenizer(pieces(["continuing_subword_prefix": "@"])).encode("ab") == [2])
    #expect(try self.tokenizer(pieces(["continuing_subword_prefix": "@"])).encode("abb") == [0])
  }

  /// Files from before 2021 name no type.
  @Test func knowsModelsByTheirFields() throws {
    #expect(try tokenizer(pieces(["type": .null])).model is WordPieceModel)
    #expect(try tokenizer(["unk_id": 0, "vocab": [["<unk>", 0]]]).model is UnigramModel)
    #expect(try tokenizer(["unk_token": "?", "vocab": ["?": 0]]).model is WordLevelModel)
    #expect(try tokenizer(["merges": [], "vocab": ["?": 0]]).model is BytePairModel)
  }

  private func unigram(
    _ vocabulary: [(String, Double)], _ changes: [String: JSONValue] = [:]
  ) throws -> TokenizerPipeline {
    let vocab = vocabulary.map { JSONValue.array([.string($0.0), .number($0.1)]) }
    var model: JSONObject = ["type": "Unigram", "unk_id": 0, "vocab": .array(vocab)]
    for (key, value) in changes { model[key] = value }
    return try tokenizer(.object(model))
  }

  @Test func unigramsTakeTheBestSum() throws {
    let tokenizer = try unigram([
      ("<unk>", 0), ("a", -1), ("b", -1), ("ab", -1.5), ("bc", -1), ("c", -4), ("abc", -3),
    ])
    #expect(tokenizer.encode("abc") == [1, 4])  // -2, better than "abc" and than "ab", "c"
    #expect(tokenizer.encode("abbc") == [3, 4])
    #expect(tokenizer.encode("axyzb") == [1, 0, 2])  // unknown neighbours are one
    // Of equal sums the one that was found first stays: the one whose last token is longer.
    #expect(try unigram([("?", 0), ("a", -1), ("aa", -2)]).encode("aa") == [2])
  }

  @Test func unigramsSpellTheUnknownInBytes() throws {
    let bytes = (0..<256).map { byte -> (String, Double) in
      let digits = String(byte, radix: 16, uppercase: true)
      return ("<0x\(byte < 16 ? "0" : "")\(digits)>", 0)
    }
    let tokenizer = try unigram([("<unk>", 0), ("a", -1)] + bytes, ["byte_fallback": true])
    #expect(tokenizer.encode("aé") == [1, 2 + 0xC3, 2 + 0xA9])
    let partial = try unigram([("<unk>", 0), ("<0xC3>", -1)], ["byte_fallback": true])
    #expect(partial.encode("é") == [0])
  }

  /// A word far longer than what is settled at once gives what its parts give, unknown runs across
  /// the seams included.
  @Test func unigramsSettleLongWords() throws {
    let tokenizer = try unigram([("<unk>", 0), ("a", -2), ("ab", -1), ("b", -2), ("ba", -1.25)])
    let unit = "abxaabba"
    let once = tokenizer.encode(unit)
    #expect(once == [3 - 1, 0, 1, 2, 4])
    #expect(
      tokenizer.encode(String(repeating: unit, count: 10_000)).elementsEqual(
        (0..<10_000).lazy.flatMap { _ in once }))
    let unknown = String(repeating: "日", count: 100_000)
    #expect(tokenizer.encode("a" + unknown + "b") == [1, 0, 3])
  }

  @Test(
    arguments: [
      (["type": "WordPiece", "vocab": ["a": 0]], "model.unk_token"),
      (["type": "WordLevel", "vocab": ["a": 0], "unk_token": "b"], "model.unk_token"),
      (["type": "WordLevel", "vocab": [["a", 0]], "unk_token": "b"], "model.vocab"),
      (["type": "Unigram", "vocab": [["a", 0]]], "model.unk_id"),
      (["type": "Unigram", "vocab": [["a", 0]], "unk_id": 1], "model.unk_id"),
      (["type": "Unigram", "vocab": [["a", 0], ["a", 1]], "unk_id": 0], "model.vocab[1]"),
      (["type": "Unigram", "vocab": [["a", 0], ["b"]], "unk_id": 0], "model.vocab[1]"),
      (["type": "Unigram", "vocab": ["a": 0], "unk_id": 0], "model.vocab"),
    ] as [(JSONValue, String)])
  func refusesABrokenModel(_ model: JSONValue, _ place: String) {
    let error = #expect(throws: TokenizerError.self) { try tokenizer(model) }
    #expect(error?.place == place)
  }

  @Test(arguments: ["", "AAAA", "not base64!", "AQAAAAAAAAAA", "/////wAAAAAA"])
  func refusesABrokenCharacterMap(_ map: String) {
    let error = #expect(throws: TokenizerError.self) {
      try tokenizer(
        pieces(),
        ["normalizer": ["type": "Precompiled", "precompiled_charsmap": .string(map)]])
    }
    #expect(error?.place == "normalizer.precompiled_charsmap")
  }

  /// Whatever the bits of a map are, it reads nothing outside of them.
  @Test func survivesDamagedCharacterMaps() throws {
    let json = try Fixtures.json("xlm-roberta.json")
    let text = try #require(
      json["normalizer"]?["normalizers"]?[0]?["precompiled_charsmap"]?.stringValue)
    let bytes = Array(try #require(Data(base64Encoded: text)))
    var random = SystemRandomNumberGenerator()
    let texts = try Fixtures.hostileTexts().map { Array($0.utf8) }
    for _ in 0..<300 {
      var damaged = bytes
      for _ in 0..<40 {
        damaged[Int.random(in: 4..<bytes.count, using: &random)] = .random(
          in: 0...255, using: &random)
      }
      guard let map = CharacterMap(damaged) else { continue }
      for text in texts.shuffled(using: &random).prefix(10) {
        let result = map.normalize(text)
        #expect(String(validating: result, as: UTF8.self) != nil)
      }
    }
  }
}

@Suite struct TokenTypes {
  /// A tokenizer of a user's own has BERT's form of pairs.
  private struct Letters: Tokenizer {
    let vocabularySize = 300
    let beginningOfSequence: Int? = 256
    let endOfSequence: Int? = 257
    func encode(_ text: String, addSpecialTokens: Bool) -> [Int] {
      let ids = text.utf8.map(Int.init)
      return addSpecialTokens ? [256] + ids + [257] : ids
    }
    func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String { "" }
    func id(of token: String) -> Int? { nil }
    func token(of id: Int) -> String? { nil }
  }

  @Test func areGivenForAnyTokenizer() {
    let pair = Letters().encode("ab", pairedWith: "c")
    #expect(pair == TypedEncoding(ids: [256, 97, 98, 257, 99, 257], types: [0, 0, 0, 0, 1, 1]))
    let bare = Letters().encode("ab", pairedWith: "c", addSpecialTokens: false)
    #expect(bare == TypedEncoding(ids: [97, 98, 99], types: [0, 0, 1]))
    #expect(Letters().encode("", pairedWith: nil).types == [0, 0])
  }

  @Test func areOneWithoutATemplateForTheSecondText() throws {
    let tokenizer = try Fixtures.tokenizer("gpt2")
    let pair = tokenizer.encode("a", pairedWith: "a b")
    #expect(pair.ids == tokenizer.encode("a") + tokenizer.encode("a b"))
    #expect(pair.types == [0] + Array(repeating: 1, count: pair.ids.count - 1))
  }

  @Test func namesTheEndsOfBertsTexts() throws {
    for name in ["bert", "bert-files"] {
      let tokenizer = try Fixtures.tokenizer(name)
      #expect(tokenizer.beginningOfSequence == tokenizer.id(of: "[CLS]"))
      #expect(tokenizer.endOfSequence == tokenizer.id(of: "[SEP]"))
      #expect(tokenizer.template == SequenceTemplate(before: [2], after: [3]))
    }
  }
}
