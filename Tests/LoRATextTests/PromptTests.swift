import LoRAJSON
import LoRAText
import Testing

/// Prompts and completions as models read them, over every kind of tokenizer that has a fixture.
@Suite struct Prompts {
  /// Beginnings and continuations whose boundary is of some interest.
  private static let pairs = [
    ("Answer: ", "yes"), ("Answer:", " yes"), ("Answer:", "yes"), ("Answer: ", " yes"),
    ("Q: a\nA:\n", "b"), ("", "yes"), ("yes", ""), ("the fox\t", "jumps"), ("fox 日本", "語"),
    ("a", "b"), ("it's", "n't"), ("1", "2"), ("\n", "\n"), ("end.", "\n\nNext"), ("🙂", "🙂"),
    ("x ", "  y"), ("The quick", "est fox"), ("<s>", "a"), ("e", "\u{301}"), (" ", " "),
  ]

  @Test(arguments: Fixtures.names)
  func templatesAreFound(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    let expected = try Fixtures.json("\(name).expected.json")["template"]
    let template = SequenceTemplate(
      before: expected?[0]?.integers ?? [], after: expected?[1]?.integers ?? [])
    #expect(tokenizer.template == template)
    #expect(Stranger(tokenizer: tokenizer).template == template, "found by encoding")
  }

  @Test(arguments: Fixtures.names)
  func promptsHaveNothingBehindThem(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    for (prompt, _) in Self.pairs {
      let bare = tokenizer.encode(prompt, addSpecialTokens: false)
      #expect(tokenizer.encodePrompt(prompt) == tokenizer.template.before + bare)
      var document: [Int32] = []
      tokenizer.encodeDocument(prompt, into: &document)
      #expect(document.map { Int($0) } == tokenizer.encodeDocument(prompt))
    }
  }

  @Test(arguments: Fixtures.names)
  func completionsFollowTheirPrompts(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    for (prompt, completion) in Self.pairs {
      let encoding = tokenizer.encode(prompt: prompt, completion: completion)
      let start = tokenizer.encodePrompt(prompt)
      #expect(encoding.ids.starts(with: start) && encoding.promptLength == start.count)
      let end = tokenizer.template.after + [tokenizer.endOfSequence].compactMap { $0 }
      let rest = encoding.ids.dropFirst(start.count)
      if let last = end.last { #expect(rest.last == last) }
      // Composition, runs of spaces, affixes, partial vocabularies, whole words: they look across the
      // boundary.
      let across = [
        "affixes", "fallback-partial", "nfd-replace", "openai", "words", "words-delimited",
      ]
      guard completion != "\u{301}", !across.contains(name) else { continue }
      let joint = tokenizer.encodePrompt(prompt + completion)
      func spelling(_ ids: some Sequence<Int>) -> String {
        ids.map { tokenizer.token(of: $0) ?? "" }.joined()
      }
      let words = spelling(encoding.ids)
      #expect(
        words.hasPrefix(spelling(joint)) && words.utf8.count <= spelling(joint + end).utf8.count,
        "\(prompt.debugDescription) + \(completion.debugDescription): \(words)")
    }
  }

  @Test(arguments: Fixtures.names)
  func continuationsDecodeWithoutTheirPrompts(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    for (prompt, completion) in Self.pairs {
      let encoding = tokenizer.encode(prompt: prompt, completion: completion)
      let start = Array(encoding.ids.prefix(encoding.promptLength))
      let rest = Array(encoding.ids.dropFirst(encoding.promptLength))
      let text = tokenizer.decode(rest, after: start)
      let (head, whole) = (tokenizer.decode(start), tokenizer.decode(encoding.ids))
      if whole.utf8.starts(with: head.utf8) {
        #expect(text.utf8.elementsEqual(whole.utf8.dropFirst(head.utf8.count)))
      }
      for other in [tokenizer as any Tokenizer, Stranger(tokenizer: tokenizer)] {
        var decoder = other.streamingDecoder(after: start)
        let pieces = rest.map { decoder.append($0) } + [decoder.finish()]
        #expect(
          pieces.joined() == text,
          "\(prompt.debugDescription) + \(completion.debugDescription), \(type(of: other))")
      }
    }
  }

  @Test func bytesOfAPromptAreNotEchoed() throws {
    let tokenizer = try TokenizerPipeline(json: Self.byteFallback)
    func id(_ token: String) throws -> Int { try #require(tokenizer.id(of: token)) }
    let b = try id("b")
    for prompt in ["a\n", "a\t", "a\n\n", "a日"] {
      let ids = tokenizer.encodePrompt(prompt)
      #expect(tokenizer.decode([b], after: ids) == "b")
      var decoder = tokenizer.streamingDecoder(after: ids)
      #expect(decoder.append(b) == "b" && decoder.finish().isEmpty)
      var silent = tokenizer.streamingDecoder(after: ids)
      #expect(silent.finish().isEmpty)
    }
    // Two of three bytes in the prompt: the character is the continuation's.
    let (first, second, third) = (try id("<0xE6>"), try id("<0x97>"), try id("<0xA5>"))
    #expect(tokenizer.decode([third, b], after: [try id("▁"), first, second]) == "日b")
    // A byte that spoils the run: one sign for it, none for what the prompt had.
    #expect(
      tokenizer.decode([third, b], after: tokenizer.encodePrompt("a\n")) == "\u{FFFD}b")
    var decoder = tokenizer.streamingDecoder(after: tokenizer.encodePrompt("a\n"))
    #expect([third, b].map { decoder.append($0) }.joined() == "\u{FFFD}b")
    // Without a prompt that is a text's beginning: its space goes.
    #expect(tokenizer.decode([try id("▁"), b]) == "b")
    #expect(tokenizer.decode([try id("▁"), b], after: tokenizer.encodePrompt("a")) == " b")
  }

  @Test func aTokenizerOfOnesOwnHasATemplateToo() {
    struct Letters: Tokenizer {
      let vocabularySize = 300
      let beginningOfSequence: Int? = nil
      let endOfSequence: Int? = 2
      func encode(_ text: String, addSpecialTokens: Bool) -> [Int] {
        let ids = text.utf8.map(Int.init)
        // Begins with an "a" of all things, and ends with two tokens.
        return addSpecialTokens ? [97, 97] + ids + [3, 4] : ids
      }
      func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String {
        String(decoding: ids.filter { $0 > 4 }.map { UInt8($0) }, as: UTF8.self)
      }
      func id(of token: String) -> Int? { token.utf8.first.map(Int.init) }
      func token(of id: Int) -> String? { String(UnicodeScalar(UInt8(id))) }
    }
    #expect(Letters().template == SequenceTemplate(before: [97, 97], after: [3, 4]))
    #expect(Letters().encodePrompt("b") == [97, 97, 98])
    let encoding = Letters().encode(prompt: "b", completion: "c")
    #expect(encoding == PromptEncoding(ids: [97, 97, 98, 99, 3, 4, 2], promptLength: 3))
    #expect(Letters().encodeDocument("b") == [97, 97, 98, 3, 4, 2])
  }

  /// Another tokenizer of which only the least that the protocol asks for is known.
  private struct Stranger: Tokenizer {
    let tokenizer: TokenizerPipeline
    var vocabularySize: Int { tokenizer.vocabularySize }
    var beginningOfSequence: Int? { tokenizer.beginningOfSequence }
    var endOfSequence: Int? { tokenizer.endOfSequence }
    func encode(_ text: String, addSpecialTokens: Bool) -> [Int] {
      tokenizer.encode(text, addSpecialTokens: addSpecialTokens)
    }
    func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String {
      tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens)
    }
    func id(of token: String) -> Int? { tokenizer.id(of: token) }
    func token(of id: Int) -> String? { tokenizer.token(of: id) }
  }

  /// Letters and bytes as Llama 2's tokenizer has them.
  private static let byteFallback: String = {
    let digits = Array("0123456789ABCDEF")
    let bytes = (0..<256).map { "<0x\(digits[$0 >> 4])\(digits[$0 & 15])>" }
    let tokens = ["<unk>"] + bytes + ["▁", "a", "b"]
    let vocabulary = tokens.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
    return """
      {"added_tokens":[],"normalizer":{"type":"Sequence","normalizers":[\
      {"type":"Prepend","prepend":"▁"},\
      {"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":null,\
      "post_processor":null,"decoder":{"type":"Sequence","decoders":[\
      {"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},\
      {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},\
      "model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,\
      "vocab":{\(vocabulary)},"merges":[]}}
      """
  }()
}
