import Foundation
import LoRAAutograd
import LoRATemplates
import LoRATensor
import LoRATesting
import LoRAText
import Testing

@testable import LoRAModels

/// Conversations with the built-in base, whose adapters change while they go on.
@Suite struct ChatSessionTests {
  private static let path = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Sources/LoRAWorld/Base").path

  private let model: any PretrainedLanguageModel
  private let tokenizer: TokenizerPipeline
  private let template: ChatTemplate

  init() throws {
    model = try PretrainedModel(path: Self.path).languageModel
    tokenizer = try PretrainedModel.tokenizer(at: Self.path)
    template = try ChatTemplate(
      """
      {% for m in messages %}{{ m.role }}: {{ m.content }}
      {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}
      """)
    for (index, name) in ["a", "b"].enumerated() {
      try model.inject(LoRA(rank: 2), named: name, into: .allLinear, seed: 1)
      for (path, parameter) in model.adapterParameters(named: name) {
        var random = SeededRandom(seed: UInt64(index), path: path)
        parameter.value = random.normal(parameter.shape, standardDeviation: 0.1)
      }
    }
  }

  private func chat(_ options: GenerationOptions) -> ChatSession {
    ChatSession(
      model, format: ChatFormat(tokenizer: tokenizer, template: template), system: "Be short.",
      options: options)
  }

  private func rest(of answer: ChatAnswer) throws -> String {
    while try answer.next() != nil {}
    return answer.text
  }

  /// Turn by turn the tokens of a fresh conversation with that history under that adapter.
  @Test func adaptersChangeWhileTalking() throws {
    var options = GenerationOptions(maximumTokens: 12, temperature: 0.8, seed: 5)
    let chat = chat(options)
    var history: [TemplateValue] = [["role": "system", "content": "Be short."]]
    var seen: Set<AdapterSelection> = []
    for (turn, selection): (Int, AdapterSelection) in [
      (0, [:]), (1, ["a": 1]), (2, ["a": 1]), (3, ["a": 0.5, "b": 1]), (4, [:]), (5, ["a": 1]),
    ] {
      chat.adapters = selection
      let question = "Question \(turn)?"
      let answer = try chat.answer(to: question)
      #expect((answer.cachedTokenCount > 0) == seen.contains(selection), "turn \(turn)")
      seen.insert(selection)
      let text = try rest(of: answer)
      #expect(answer.end != nil)
      history.append(["role": "user", "content": .string(question)])
      let rendered = try template.render(Conversation(messages: history))
      options.seed = 5
      let fresh = try TextSession(
        model, tokenizer: tokenizer,
        prompt: tokenizer.encode(rendered.text, addSpecialTokens: false), options: options,
        adapters: selection)
      #expect(try fresh.rest() == text)
      #expect(fresh.choices.map(\.token) == answer.tokens)
      history.append(["role": "assistant", "content": .string(text)])
      #expect(chat.messages == Array(history.dropFirst()))
    }
  }

  @Test func anotherAnswerTakesThePlaceOfTheLast() throws {
    let chat = chat(GenerationOptions(maximumTokens: 12, temperature: 1.5))
    #expect(try chat.answerAgain() == nil)
    #expect(try chat.text(under: [:]) == nil)
    let first = try rest(of: try chat.answer(to: "Why?"))
    let second = try rest(of: try #require(try chat.answerAgain()))
    #expect(first != second)
    #expect(chat.messages.count == 2 && chat.messages[1]["content"] == .string(second))
    // What is only asked for is not said.
    let other = try #require(try chat.text(under: ["b": 1]))
    _ = try other.rest()
    #expect(chat.messages.count == 2)
    let third = try #require(try chat.text(answering: "And?", under: nil))
    #expect(third.prompt.count > other.prompt.count && chat.messages.count == 2)
    chat.removeAll()
    #expect(chat.messages.isEmpty)
  }

  /// What came before a stop was said; a new message ends an answer that still goes on.
  @Test func answersAreStopped() throws {
    let chat = chat(GenerationOptions(maximumTokens: 30))
    let answer = try chat.answer(to: "Why?")
    let piece = try #require(try answer.next())
    answer.stop()
    answer.stop()
    #expect(try answer.next() == nil)
    #expect(chat.messages.count == 2 && chat.messages[1]["content"] == .string(piece))
    let going = try chat.answer(to: "And?")
    _ = try going.next()
    _ = try chat.answer(to: "So?")
    #expect(
      chat.messages.map { $0["role"] } == ["user", "assistant", "user", "assistant", "user"])
  }

  /// Where there is no room, or the template refuses, nothing was said.
  @Test func whatIsRefusedWasNotSaid() throws {
    let chat = chat(GenerationOptions(maximumTokens: 4))
    let long = Array(repeating: "word", count: model.maximumPositions + 1).joined(separator: " ")
    #expect(throws: SequenceError.self) { try chat.answer(to: long) }
    #expect(chat.messages.isEmpty)
    let strict = ChatSession(
      model,
      format: ChatFormat(
        tokenizer: tokenizer, template: try ChatTemplate("{{ raise_exception('No system.') }}")),
      system: "x")
    #expect(throws: TemplateError.self) { try strict.answer(to: "Hello") }
    #expect(strict.messages.isEmpty)
  }
}
