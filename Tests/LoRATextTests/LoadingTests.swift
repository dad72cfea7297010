import Foundation
import LoRAJSON
import Testing

@testable import LoRAText

@Suite struct TokenizerLoading {
  /// A tokenizer.json with a member of the model or of the whole replaced.
  private func definition(
    model: [String: JSONValue] = [:], _ changes: [String: JSONValue] = [:]
  ) -> String {
    var core: JSONObject = [
      "type": "BPE", "unk_token": nil, "vocab": ["a": 0, "b": 1, "ab": 2], "merges": [["a", "b"]],
    ]
    for (key, value) in model { core[key] = value }
    var whole: JSONObject = [
      "version": "1.0", "added_tokens": [], "normalizer": nil, "pre_tokenizer": nil,
      "post_processor": nil, "decoder": nil, "model": .object(core),
    ]
    for (key, value) in changes { whole[key] = value }
    return whole.encoded()
  }

  @Test func readsTheLeastThereIs() throws {
    let tokenizer = try TokenizerPipeline(json: definition())
    #expect(tokenizer.encode("abba?") == [2, 1, 0])
    #expect(tokenizer.decode([2, 1, 99]) == "ab b")
    #expect(tokenizer.id(of: "ab") == 2)
    #expect(tokenizer.token(of: 2) == "ab")
    #expect(tokenizer.token(of: 3) == nil)
    #expect(tokenizer.token(of: -1) == nil)
    #expect(tokenizer.vocabularySize == 3)
    #expect(tokenizer.beginningOfSequence == nil)
  }

  @Test(
    arguments: [
      (["normalizer": ["type": "Nemo"]], "normalizer", "Nemo"),
      (
        [
          "normalizer": [
            "type": "Sequence", "normalizers": [["type": "NFC"], ["type": "Compiled"]],
          ]
        ],
        "normalizer.normalizers[1]", "Compiled"
      ),
      (["pre_tokenizer": ["type": "Syllables"]], "pre_tokenizer", "Syllables"),
      (
        [
          "pre_tokenizer": [
            "type": "Split", "pattern": ["Regex": "\\p{Han}+"], "behavior": "Isolated",
            "invert": false,
          ]
        ], "pre_tokenizer.pattern.Regex", "\\p{Han}"
      ),
      (["post_processor": ["type": "XProcessing"]], "post_processor", "XProcessing"),
      (["decoder": ["type": "Speech"]], "decoder", "Speech"),
      (["decoder": ["type": "BPEDecoder", "suffix": ""]], "decoder.suffix", "empty"),
      (["model": ["type": "Hexagram"]], "model", "Hexagram"),
    ] as [([String: JSONValue], String, String)])
  func namesWhatItDoesNotHave(_ changes: [String: JSONValue], _ place: String, _ name: String) {
    let error = #expect(throws: TokenizerError.self) {
      try TokenizerPipeline(json: definition(changes))
    }
    #expect(error?.kind == .unsupported)
    #expect(error?.place == place)
    #expect(error?.found.contains(name) == true)
  }

  @Test(
    arguments: [
      ["type": "Unigram"], ["type": "WordPiece"], ["type": "WordLevel"], ["dropout": 0.1],
      ["vocab": nil], ["vocab": []], ["merges": nil],
      ["vocab": ["a": 0, "b": 0]], ["vocab": ["a": -1]], ["vocab": ["a": 4_000_000_000]],
      ["vocab": ["a": 1.5]], ["merges": [["a", "c"]]], ["merges": ["a b c"]], ["merges": [["a"]]],
      ["merges": [["b", "a"]]], ["unk_token": "<unk>"], ["fuse_unk": 1],
    ] as [[String: JSONValue]])
  func refusesABrokenModel(_ changes: [String: JSONValue]) {
    let error = #expect(throws: TokenizerError.self) {
      try TokenizerPipeline(json: definition(model: changes))
    }
    #expect(error?.place.hasPrefix("model") == true)
  }

  @Test func refusesAddedTokensWithOtherIDs() throws {
    func added(_ id: JSONValue) -> String {
      definition(["added_tokens": [["id": id, "content": "<s>", "special": true]]])
    }
    #expect(try TokenizerPipeline(json: added(3)).vocabularySize == 4)
    let error = #expect(throws: TokenizerError.self) { try TokenizerPipeline(json: added(7)) }
    #expect(error?.kind == .inconsistent)
    #expect(error?.place == "added_tokens[0]")
  }

  @Test func tellsWhatIsWrongWithFiles() throws {
    let manager = FileManager.default
    let directory = manager.temporaryDirectory
      .appendingPathComponent("lora-tokenizer-\(UUID().uuidString)").path
    try manager.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? manager.removeItem(atPath: directory) }
    func failure() -> TokenizerError? {
      #expect(throws: TokenizerError.self) { try TokenizerPipeline(contentsOf: directory) }
    }
    func write(_ text: String, _ name: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
    }
    #expect(throws: TokenizerError.self) {
      try TokenizerPipeline(contentsOf: directory + "/absent")
    }
    #expect(failure()?.kind == .unreadable)
    // What cuts words with MeCab is refused by name.
    try write("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n", "vocab.txt")
    try write(#"{"tokenizer_class": "BertJapaneseTokenizer"}"#, "tokenizer_config.json")
    let japanese = failure()
    #expect(japanese?.place == "tokenizer_class" && japanese?.kind == .unsupported)
    #expect("\(String(describing: japanese))".contains("MeCab"))
    for name in ["vocab.txt", "tokenizer_config.json"] {
      try manager.removeItem(atPath: "\(directory)/\(name)")
    }
    try write(#"{"a": 0, "b": 1, "ab": 2}"#, "vocab.json")
    #expect(failure()?.file.hasSuffix("merges.txt") == true)
    try write("#version: 0.2\na b\n", "merges.txt")
    #expect(failure()?.place == "tokenizer_class")
    try write(
      #"{"tokenizer_class": "GPT2TokenizerFast", "eos_token": "b"}"#, "tokenizer_config.json")
    let tokenizer = try TokenizerPipeline(contentsOf: directory)
    #expect(tokenizer.encode("ab") == [0, 1])
    #expect(tokenizer.endOfSequence == 1)
    try write("a b\r\nb b\r\n", "merges.txt")
    #expect(failure()?.place == "line 2")
    try write(definition().dropLast(5) + "", "tokenizer.json")
    #expect(failure()?.kind == .malformed)
    try write(definition(), "tokenizer.json")
    #expect(try TokenizerPipeline(contentsOf: directory).endOfSequence == 1)
    try write(#"{"eos_token": 3}"#, "tokenizer_config.json")
    #expect(failure()?.place == "eos_token")
  }

  @Test func addsTheBeginningWhereTheConfigurationAsks() throws {
    let tokenizer = try Fixtures.tokenizer("gpt2-files")
    #expect(tokenizer.beginningOfSequence == tokenizer.endOfSequence)
    #expect(tokenizer.encode("a").first == tokenizer.beginningOfSequence)
    let llama = try Fixtures.tokenizer("llama-prepend")
    #expect(llama.beginningOfSequence == 1)
    #expect(llama.endOfSequence == nil)
    #expect(try Fixtures.tokenizer("llama3").endOfSequence == 1)
  }
}

@Suite struct LongTexts {
  /// Words without a place to cut must not cost the square of their length: these would take minutes.
  @Test(
    arguments: [
      "gpt2", "llama-prepend", "qwen", "bert", "bert-cased", "words", "xlm-roberta",
      "unigram-whole",
      "unigram-bytes",
    ])
  func areEncoded(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    for unit in ["a", " ", "\n", "ab", "日", "!", "e\u{301}"] {
      let text = String(repeating: unit, count: 20_000)
      let ids = tokenizer.encode(text, addSpecialTokens: false)
      // White space alone is nothing to those that split at it.
      #expect(!ids.isEmpty || unit == " " || unit == "\n")
    }
  }

  @Test func shortAndLongWordsMergeAlike() throws {
    let tokenizer = try Fixtures.tokenizer("llama-prepend")
    // One word below and one above the length where the method changes, made of the same parts.
    let short = tokenizer.encode("the quick brown", addSpecialTokens: false)
    let long = tokenizer.encode(
      "the quick brown" + String(repeating: "\u{7}", count: 100), addSpecialTokens: false)
    #expect(Array(long.prefix(short.count - 2)) == Array(short.dropLast(2)))
  }
}

@Suite struct ManyTasks {
  @Test func encodeAtTheSameTime() async throws {
    let tokenizer = try Fixtures.tokenizer("qwen")
    let texts = try Fixtures.hostileTexts()
    let expected = texts.map { tokenizer.encode($0) }
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask { texts.map { tokenizer.encode($0) } == expected }
      }
      for await isEqual in group { #expect(isEqual) }
    }
  }
}

@Suite struct Streaming {
  /// A tokenizer of a user's own, for the decoder that works with any.
  private struct Bytes: Tokenizer {
    let vocabularySize = 256
    let beginningOfSequence: Int? = nil
    let endOfSequence: Int? = nil
    func encode(_ text: String, addSpecialTokens: Bool) -> [Int] { text.utf8.map(Int.init) }
    func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String {
      String(decoding: ids.map { UInt8($0) }, as: UTF8.self)
    }
    func id(of token: String) -> Int? { nil }
    func token(of id: Int) -> String? { nil }
  }

  @Test func worksWithAnyTokenizer() {
    let text = "aé日🙂\u{FFFD}z"
    var decoder = Bytes().streamingDecoder()
    let pieces = Bytes().encode(text).map { decoder.append($0) } + [decoder.finish()]
    #expect(pieces.joined() == text)
    #expect(pieces.prefix(3) == ["a", "", "é"])
  }

  @Test func emitsWholeCodePoints() throws {
    let tokenizer = try Fixtures.tokenizer("gpt2")
    var decoder = tokenizer.streamingDecoder()
    let ids = tokenizer.encode("🙂")
    let pieces = ids.map { decoder.append($0) }
    #expect(pieces.dropLast().allSatisfy { $0.isEmpty })
    #expect(pieces.last == "🙂")
    #expect(decoder.finish().isEmpty)
    // A decoder that was finished starts anew.
    #expect(ids.map { decoder.append($0) }.joined() == "🙂")
  }
}
