import LoRAJSON
import Testing

@testable import LoRAText

/// Tokenizers of GGUF files as the files of a folder.
@Suite struct EmbeddedTokenizerTests {
  /// SentencePiece's tokens of a few letters; the scores are those of `joined`, the last ones.
  private static func scored(_ joined: [(String, Double)]) -> EmbeddedTokenizer {
    let single = ["<unk>", "<s>", "</s>", "\u{2581}", "a", "b", "c"]
    var fields = EmbeddedTokenizer(
      file: "base.gguf", model: "llama", tokens: single + joined.map(\.0))
    fields.scores = single.map { _ in 0 } + joined.map(\.1)
    fields.types = [2, 3, 3] + Array(repeating: 1, count: fields.tokens.count - 3)
    (fields.unknown, fields.beginningOfSequence, fields.endOfSequence) = (0, 1, 2)
    return fields
  }

  private static func definition(_ fields: EmbeddedTokenizer) throws -> String {
    let files = try fields.files(chatTemplate: "{{ messages }}")
    #expect(files.map(\.name) == ["tokenizer.json", "tokenizer_config.json"])
    let configuration = try JSONValue(parsing: String(decoding: files[1].content, as: UTF8.self))
    #expect(configuration["chat_template"]?.stringValue == "{{ messages }}")
    return String(decoding: files[0].content, as: UTF8.self)
  }

  /// The order in which letters join is the scores', not the vocabulary's.
  @Test func scoresBecomeMerges() throws {
    var fields = Self.scored([("ab", -3), ("bc", -1), ("abc", -2), ("\u{2581}a", -4)])
    let texts = ["abc", "ab c", "aabbcc", "cab", "<s>ab</s>a", "", " a", "x"]
    for (hasPrefix, addsEnd) in [(true, false), (false, true), (true, true)] {
      (fields.addsSpacePrefix, fields.addsEnd) = (hasPrefix, addsEnd)
      let embedded = try TokenizerPipeline(fields)
      let written = TokenizerPipeline(try TokenizerDefinition(json: Self.definition(fields)))
      for text in texts {
        #expect(written.encode(text) == embedded.encode(text), "\(text)")
        let ids = embedded.encode(text)
        #expect(written.decode(ids) == embedded.decode(ids), "\(text)")
      }
    }
    (fields.addsSpacePrefix, fields.addsEnd) = (false, false)
    #expect(try TokenizerPipeline(fields).encode("abc") == [1, 9])
    let merges = try JSONValue(parsing: Self.definition(fields))["model"]?["merges"]?.arrayValue
    #expect(
      merges?.map { $0.arrayValue?.compactMap(\.stringValue) } == [
        ["b", "c"], ["ab", "c"], ["a", "bc"], ["a", "b"], ["\u{2581}", "a"],
      ])
  }

  /// What a list of merges can't say is refused by name.
  @Test func whatMergesCannotSayIsRefused() throws {
    func refusal(_ joined: [(String, Double)]) -> String {
      do {
        _ = try Self.scored(joined).files()
        return ""
      } catch {
        return error.description
      }
    }
    // Of equal scores the leftmost is first, in either order.
    #expect(refusal([("ab", -1), ("bc", -1), ("aa", -2), ("aaa", -2)]) == "")
    let equal = refusal([("ab", -1), ("ba", -1)])
    #expect(equal.contains("equal scores") && equal.contains("tokenizer.ggml.scores"))
    let lacking = refusal([("ax", -1)])
    #expect(lacking.contains("each character of 'ax'") && lacking.contains("base.gguf"))
    // A control token is not joined of others: it need not be spelled by them.
    var control = Self.scored([("<|x|>", 0), ("ab", -1)])
    control.types?[7] = 3
    _ = try control.files()
  }

  /// Bytes: how words are cut, added tokens, templates.
  @Test(arguments: ["gpt-2", "qwen2", "llama-bpe", "smollm", "default"])
  func bytes(preTokenizer: String) throws {
    var tokens = Self.byteLetters.map { String($0) }
    tokens += ["th", "the", "\u{120}the", "<|end|>", "<|user|>"]
    var fields = EmbeddedTokenizer(file: "base.gguf", model: "gpt2", tokens: tokens)
    fields.preTokenizer = preTokenizer
    fields.merges = ["t h", "th e", "\u{120} the"]
    fields.types = Array(repeating: 1, count: 259) + [3, 4]
    (fields.beginningOfSequence, fields.endOfSequence, fields.padding) = (259, 259, 259)
    for adds in [nil, true, false] as [Bool?] {
      (fields.addsBeginning, fields.addsEnd) = (adds, adds)
      let embedded = try TokenizerPipeline(fields)
      let written = TokenizerPipeline(try TokenizerDefinition(json: Self.definition(fields)))
      for text in [
        "the the  thethe", "12345 6", "e\u{301}t\u{e9}, <|user|>the<|end|>", "\n\n the\ttab!?", "",
        "\u{65e5}\u{672c} \u{1f642}",
      ] {
        let ids = embedded.encode(text)
        #expect(written.encode(text) == ids, "\(text)")
        #expect(written.decode(ids) == embedded.decode(ids), "\(text)")
        #expect(
          written.decode(ids, skipSpecialTokens: false)
            == embedded.decode(ids, skipSpecialTokens: false), "\(text)")
      }
    }
  }

  /// GPT-2's letter for each byte.
  private static let byteLetters: [Character] = {
    let printable = Set(Array(33...126) + Array(161...172) + Array(174...255))
    var others: UInt32 = 255
    return (0..<256).compactMap { (byte: Int) -> Character? in
      if !printable.contains(byte) { others += 1 }
      return Unicode.Scalar(printable.contains(byte) ? UInt32(byte) : others).map { Character($0) }
    }
  }()
}
