import LoRAFiles
import LoRAModels
import LoRATemplates
import LoRAText
import TestSupport
import Testing

/// Chat templates beside models, and masks of tokens.
@Suite struct ModelChatTemplateTests {
  @Test func readsThoseOfAGGUFFile() throws {
    let path = try ScratchFolder.make() + "/model.gguf"
    let tokens = ["<unk>", "<s>", "</s>", "a"]
    try GGUFWriter.write(
      [
        GGUFFile.KeyValue(key: "general.architecture", value: .string("llama")),
        GGUFFile.KeyValue(key: "tokenizer.ggml.tokens", value: .array(.string(tokens))),
        GGUFFile.KeyValue(key: "tokenizer.ggml.bos_token_id", value: .uint32(1)),
        GGUFFile.KeyValue(key: "tokenizer.ggml.eos_token_id", value: .uint32(2)),
        GGUFFile.KeyValue(key: "tokenizer.chat_template", value: .string("{{ bos_token }}plain")),
        GGUFFile.KeyValue(
          key: "tokenizer.chat_template.tool_use", value: .string("tools{{ eos_token }}")),
      ], tensors: [], to: path)
    let templates = try ChatTemplates(path: path)
    let conversation = Conversation(messages: [["role": "user", "content": "x"]])
    #expect(try templates.template().render(conversation).text == "<s>plain")
    #expect(try templates.template(hasTools: true).render(conversation).text == "tools</s>")
  }

  /// A token that ends within a character belongs to what its characters belong to.
  @Test func masksTokensThatShareACharacter() throws {
    let template = try ChatTemplate(
      "{% for m in messages %}<{{ m.content }}>{% endfor %}")
    let masked = try template.renderMasked(
      Conversation(messages: [
        ["role": "user", "content": "é"], ["role": "assistant", "content": "日x"],
      ]))
    let encoding = try ByteTokenizer().encode(masked)
    // <, two bytes, >, and then <, three bytes, x, >.
    #expect(encoding.ids.count == 10)
    #expect(
      encoding.isAssistant == [false, false, false, false] + Array(repeating: true, count: 6))
  }

  @Test func aTokenizerThatChangesTextsHasNoMask() throws {
    let masked = MaskedText(text: "ab C", assistant: [0..<2])
    let error = #expect(throws: TemplateError.self) {
      try ByteTokenizer(lowercases: true).encode(masked)
    }
    #expect(error?.kind == .mask)
  }
}

/// A token a byte.
private struct ByteTokenizer: Tokenizer {
  var lowercases = false
  var vocabularySize: Int { 256 }
  var beginningOfSequence: Int? { nil }
  var endOfSequence: Int? { nil }

  func encode(_ text: String, addSpecialTokens: Bool) -> [Int] {
    (lowercases ? text.lowercased() : text).utf8.map(Int.init)
  }

  func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String {
    String(decoding: ids.map { UInt8($0) }, as: UTF8.self)
  }

  func id(of token: String) -> Int? { token.utf8.count == 1 ? token.utf8.first.map(Int.init) : nil }
  func token(of id: Int) -> String? { String(decoding: [UInt8(id)], as: UTF8.self) }
}
