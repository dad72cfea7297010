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

  /// BERT's word pieces as a GGUF file spells them.
  @Test func wordPieces() throws {
    var fields = EmbeddedTokenizer(
      file: "base.gguf", model: "bert",
      tokens: [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u{2581}the", "\u{2581}caf", "e", "\u{2581},", "ing",
      ])
    fields.types = [3, 2, 3, 3, 1, 1, 1, 1, 1]
    (fields.unknown, fields.classifier, fields.separator) = (1, 2, 3)
    let tokenizer = try TokenizerPipeline(fields)
    #expect(tokenizer.encode("The Caf\u{e9}, x") == [2, 4, 5, 6, 7, 1, 3])
    #expect(tokenizer.decode([2, 4, 5, 6, 7, 3]) == "the cafe,")
    #expect(tokenizer.encode("the", pairedWith: "the").types == [0, 0, 0, 1, 1])
    fields.lowercases = false
    #expect(try TokenizerPipeline(fields).encode("The the") == [2, 1, 4, 3])
    #expect(throws: TokenizerError.self) { try fields.files() }
  }

  /// T5's unigrams.
  @Test func unigrams() throws {
    var fields = EmbeddedTokenizer(
      file: "base.gguf", model: "t5",
      tokens: ["<pad>", "</s>", "<unk>", "\u{2581}", "a", "b", "\u{2581}ab", "<x>", "ab"])
    fields.types = [3, 3, 2, 1, 1, 1, 1, 4, 1]
    fields.scores = [0, 0, 0, -2, -3, -3, -4, 0, -3.5]
    (fields.unknown, fields.endOfSequence) = (2, 1)
    (fields.addsSpacePrefix, fields.removesExtraSpaces) = (true, true)
    let tokenizer = try TokenizerPipeline(fields)
    #expect(tokenizer.encode("  ab  ab ") == [6, 6, 1])
    #expect(tokenizer.encode("abab") == [6, 8, 1] && tokenizer.encode("a??") == [3, 4, 2, 1])
    #expect(tokenizer.encode("a<x>b") == [3, 4, 7, 3, 5, 1])
    #expect(tokenizer.decode([6, 6, 1]) == "ab ab")
    fields.characterMap = [1, 2, 3]
    #expect {
      try TokenizerPipeline(fields)
    } throws: {
      "\($0)".contains("precompiled_charsmap")
    }
  }

  /// Gemma 4's merges of plain text.
  @Test func plainMerges() throws {
    let bytes = (0..<256).map { byte in
      "<0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) + ">"
    }
    var fields = EmbeddedTokenizer(
      file: "base.gguf", model: "gemma4",
      tokens: [
        "<pad>", "<eos>", "<bos>", "<unk>", "a", "b", "\u{2581}", "ab", "\u{2581}ab", "\n", "\n\n",
      ] + bytes)
    fields.types = [3, 3, 3, 3] + Array(repeating: 1, count: 7) + Array(repeating: 6, count: 256)
    fields.merges = ["\n \n", "a b", "\u{2581} ab"]
    (fields.beginningOfSequence, fields.unknown, fields.addsBeginning) = (2, 3, false)
    let tokenizer = try TokenizerPipeline(fields)
    #expect(tokenizer.encode("ab ab\n\n\u{e9}") == [2, 7, 8, 10, 11 + 0xC3, 11 + 0xA9])
    #expect(tokenizer.decode([2, 7, 8, 10, 11 + 0xC3, 11 + 0xA9]) == "ab ab\n\n\u{e9}")
  }

  @Test func otherKindsAreRefusedByName() throws {
    #expect {
      try TokenizerPipeline(EmbeddedTokenizer(file: "base.gguf", model: "rwkv", tokens: ["a"]))
    } throws: {
      "\($0)".contains("'rwkv'") && "\($0)".contains("'gemma4'")
    }
    var fields = EmbeddedTokenizer(file: "base.gguf", model: "gpt2", tokens: ["a"])
    (fields.merges, fields.preTokenizer) = ([], "kimi-k2")
    #expect {
      try TokenizerPipeline(fields)
    } throws: {
      "\($0)".contains("'kimi-k2'")
    }
  }

  /// Every rule's patterns are understood.
  @Test func everyRuleCompiles() throws {
    for entry in WordCutting.all {
      for name in entry.names {
        var fields = EmbeddedTokenizer(file: "base.gguf", model: "gpt2", tokens: ["a", "b"])
        (fields.merges, fields.preTokenizer) = ([], name)
        #expect(try TokenizerPipeline(fields).encode("ab", addSpecialTokens: false) == [0, 1])
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
