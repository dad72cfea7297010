import LoRAJSON
import Testing

@testable import LoRAText

/// Digests of encodings, as Tests/Reference/tokenizers_offsets.py makes them.
struct EncodingDigest {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  private mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }

  mutating func add(_ numbers: [Int]) {
    for number in numbers.map(UInt32.init) + [.max] {
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        add(UInt8(truncatingIfNeeded: number >> shift))
      }
    }
  }

  mutating func add(_ tokens: [String]) {
    for token in tokens {
      for byte in token.utf8 { add(byte) }
      add(0xFF)
    }
  }

  mutating func add(_ encoding: AlignedEncoding) {
    add(encoding.ids)
    add(encoding.tokens)
    add(encoding.offsets.flatMap { [$0.lowerBound, $0.upperBound] })
  }
}

@Suite struct OffsetTests {
  /// Of every kind of tokenizer that has a fixture: tokens and offsets are those of `tokenizers`.
  @Test(arguments: Fixtures.names)
  func areThoseOfTokenizers(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    let expected = try #require(try Fixtures.json("offsets.json")[name]?.stringValue)
    var digest = EncodingDigest()
    for text in try Fixtures.hostileTexts() {
      let encoding = tokenizer.encodeAligned(text)
      #expect(encoding.ids == tokenizer.encode(text), "\(text.debugDescription)")
      digest.add(encoding)
    }
    #expect(digest.value == UInt64(expected, radix: 16))
  }

  @Test func tellOfTheTextThatWasGiven() throws {
    let bert = try Fixtures.tokenizer("bert")
    let encoding = bert.encodeAligned("  \u{c9}t\u{e9} 猫", pairedWith: "the cat")
    // Accents are gone from the tokens, and not from what their offsets count.
    let cat = try #require(encoding.offsets.first { $0.lowerBound == 6 })
    #expect(cat == 6..<7)
    #expect(encoding.offsets.first == 0..<0 && encoding.tokens.first == "[CLS]")
    #expect(encoding.types.first == 0 && encoding.types.last == 1)
    #expect(encoding.offsets.allSatisfy { $0.upperBound <= 7 })
    #expect(
      encoding.ids == bert.encode("  \u{c9}t\u{e9} 猫", pairedWith: "the cat").ids)
    let bare = bert.encodeAligned("the cat", addSpecialTokens: false)
    #expect(bare.ids == bert.encode("the cat", addSpecialTokens: false))
    #expect(bert.encodeAligned("", addSpecialTokens: false) == AlignedEncoding())
  }
}

@Suite struct SentencePieceTests {
  static let names = [
    "unigram", "unigram-bytes", "unigram-defined", "unigram-suffix", "unigram-spaces", "bpe",
    "bpe-bytes", "bpe-defined", "word", "char",
  ]

  private static func tokenizer(_ name: String) throws -> TokenizerPipeline {
    try TokenizerPipeline(contentsOf: "\(Fixtures.directory)/sentencepiece/\(name).model")
  }

  /// Of each type of model: ids, pieces, offsets and decoded texts are those of `sentencepiece`.
  @Test(arguments: names)
  func areThoseOfSentencePiece(_ name: String) throws {
    let tokenizer = try Self.tokenizer(name)
    let expected = try #require(try Fixtures.json("sentencepiece/digests.json")[name])
    var (digest, decoded) = (EncodingDigest(), EncodingDigest())
    for text in try Fixtures.hostileTexts() {
      let encoding = tokenizer.encodeAligned(text)
      #expect(encoding.ids == tokenizer.encode(text), "\(text.debugDescription)")
      digest.add(encoding)
      let whole = tokenizer.decode(encoding.ids)
      decoded.add([] as [Int])
      decoded.add([whole])
      decoded.add([] as [Int])
      var decoder = tokenizer.streamingDecoder()
      let pieces = encoding.ids.map { decoder.append($0) } + [decoder.finish()]
      #expect(JSONValue.string(pieces.joined()) == .string(whole))
    }
    #expect(digest.value == (expected["digest"]?.stringValue).flatMap { UInt64($0, radix: 16) })
    #expect(decoded.value == (expected["decoded"]?.stringValue).flatMap { UInt64($0, radix: 16) })
  }

  @Test func namesItsEnds() throws {
    let tokenizer = try Self.tokenizer("bpe-defined")
    #expect(tokenizer.id(of: "<bos>") == tokenizer.beginningOfSequence)
    #expect(tokenizer.id(of: "</s>") == tokenizer.endOfSequence)
    #expect(tokenizer.template == SequenceTemplate())
    // A control token that is spelled in a text is text; decoded, it is nothing unless asked for.
    let ids = [tokenizer.beginningOfSequence ?? 0] + tokenizer.encode("ab")
    #expect(tokenizer.decode(ids) == "ab")
    #expect(tokenizer.decode(ids, skipSpecialTokens: false) == "<bos>ab")
  }

  /// In a model's folder the class says what goes round a text, and special tokens are found in it.
  @Test func liesInAFolder() throws {
    let folder = try TemporaryFolder()
    try folder.copy("\(Fixtures.directory)/sentencepiece/bpe.model", "tokenizer.model")
    try folder.write(
      "tokenizer_config.json", #"{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}"#)
    let tokenizer = try TokenizerPipeline(contentsOf: folder.path)
    let first = try #require(tokenizer.beginningOfSequence)
    #expect(tokenizer.encode("a").first == first && tokenizer.encode("a<s>").last == first)
    try folder.write("tokenizer_config.json", #"{"tokenizer_class": "XLMRobertaTokenizer"}"#)
    #expect {
      try TokenizerPipeline(contentsOf: folder.path)
    } throws: {
      "\($0)".contains("XLMRobertaTokenizer") && "\($0)".contains("tokenizer_class")
    }
  }

  /// No damaged file crashes or hangs, and what is wrong is told.
  @Test func damageIsTold() throws {
    let path = "\(Fixtures.directory)/sentencepiece/unigram-bytes.model"
    let bytes = try TokenizerFiles.read(path)
    // A file that ends where one of its parts does may be whole.
    var (refused, count) = (0, 0)
    for length in stride(from: 0, to: bytes.count, by: 97) {
      count += 1
      do {
        _ = try TokenizerDefinition(sentencePiece: Array(bytes[..<length]), file: "cut.model")
      } catch {
        refused += 1
        #expect(error.file == "cut.model" && !error.found.isEmpty)
      }
    }
    #expect(refused > count * 3 / 4)
    var state: UInt64 = 1
    for _ in 0..<300 {
      var damaged = bytes
      for _ in 0..<3 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        damaged[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
      }
      if let definition = try? TokenizerDefinition(sentencePiece: damaged, file: "bad.model") {
        let tokenizer = TokenizerPipeline(definition)
        _ = tokenizer.decode(tokenizer.encode("the caf\u{e9} \u{ff21}\u{1f600} \u{2026}"))
      }
    }
  }

  @Test(arguments: ["unigram", "bpe", "bpe-bytes", "unigram-defined"])
  func longTextsTakeLinearTime(_ name: String) throws {
    let tokenizer = try Self.tokenizer(name)
    for text in ["a", "ab", " ", "\u{301}", "日本語", "<sep"] {
      let long = String(repeating: text, count: 60_000)
      #expect(tokenizer.decode(tokenizer.encode("x" + long + "x")).hasSuffix("x"))
    }
  }
}
