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

  // MARK: Conversations that are longer than the context

  private func ids(_ messages: some Collection<TemplateValue>) throws -> [Int] {
    let system: TemplateValue = ["role": "system", "content": "Be short."]
    let rendered = try template.render(Conversation(messages: [system] + messages))
    return tokenizer.encode(rendered.text, addSpecialTokens: false)
  }

  /// Whole exchanges are forgotten, the oldest first, and answers are those of a fresh conversation of the
  /// others.
  @Test func oldExchangesAreForgotten() throws {
    let options = GenerationOptions(maximumTokens: 12)
    let chat = chat(options)
    chat.contextLimit = 96
    var forgotten: [Int] = []
    for turn in 0..<14 {
      chat.adapters = turn % 3 == 0 ? [:] : ["a": 1]
      let answer = try chat.answer(to: "Question \(turn), and what of it?")
      let first = chat.forgottenMessageCount
      let seen = chat.messages[first...]
      #expect(answer.prompt == (try ids(seen)) && seen.first?["role"] == "user")
      // There is room for the answer; nothing was forgotten without need.
      #expect(answer.prompt.count <= 96 - 12)
      if first > (forgotten.last ?? 0) {
        #expect(answer.prompt.count <= 48 || seen.count == 1)
        #expect(try ids(chat.messages[(first - 2)...]).count > 48)
        #expect(try ids(chat.messages[(forgotten.last ?? 0)...]).count > 96 - 12)
      }
      forgotten.append(first)
      _ = try rest(of: answer)
      #expect(
        answer.tokens
          == (try model.generate(
            after: answer.prompt, options: optionsWithEnd(options), adapters: chat.adapters)))
      #expect(answer.contextTokenCount == answer.prompt.count + answer.tokens.count)
    }
    #expect(Set(forgotten).count > 2 && chat.messages.count == 28)
    // Asking without saying forgets nothing for good.
    let before = chat.forgottenMessageCount
    _ = try chat.text(answering: String(repeating: "word ", count: 15), under: [:])?.rest()
    #expect(chat.forgottenMessageCount == before)
    chat.removeAll()
    #expect(chat.forgottenMessageCount == 0)
  }

  private func optionsWithEnd(_ options: GenerationOptions) -> GenerationOptions {
    var options = options
    if let end = tokenizer.endOfSequence { options.stopTokens.insert(end) }
    return options
  }

  /// An answer that comes to the end of the context goes on behind fewer exchanges; where there are none, it
  /// ends.
  @Test func anAnswerForgetsToo() throws {
    var options = GenerationOptions(maximumTokens: 20)
    // Nothing ends it before.
    if let end = tokenizer.endOfSequence { options.logitBias = [end: -100] }
    let chat = chat(options)
    chat.contextLimit = 110
    _ = try rest(of: try chat.answer(to: "Why?"))
    chat.options.maximumTokens = 70
    let answer = try chat.answer(to: "And then?")
    #expect(chat.forgottenMessageCount == 0)
    let second = try rest(of: answer)
    #expect(answer.tokens.count == 70 && answer.end == .length && !second.isEmpty)
    #expect(chat.forgottenMessageCount == 2)
    let remembered = try ids([["role": "user", "content": "And then?"]])
    #expect(answer.contextTokenCount == remembered.count + 70)
    let before = 110 + 1 - answer.prompt.count
    var shorter = options
    shorter.maximumTokens = 70 - before
    let expected = try model.generate(
      after: remembered + answer.tokens.prefix(before),
      options: shorter)
    #expect(Array(answer.tokens.dropFirst(before)) == expected)

    chat.removeAll()
    chat.contextLimit = 50
    let cut = try chat.answer(to: "Why?")
    _ = try rest(of: cut)
    #expect(cut.end == .length && cut.tokens.count == 51 - cut.prompt.count)
    #expect(throws: SequenceError.self) {
      try chat.answer(to: String(repeating: "word ", count: 60))
    }
    #expect(chat.messages.count == 2)
  }
}
